//! Parses the address of a client as Envoy reports it.

use std::net::{IpAddr, SocketAddr};

/// Returns the IP address of a text that may also contain the port, as in `192.0.2.1:4711` or `[2001:db8::1]:4711`.
pub fn parse(text: &str) -> Option<IpAddr> {
    text.parse::<SocketAddr>().map(|socket| socket.ip()).or_else(|_| text.parse()).ok()
}
