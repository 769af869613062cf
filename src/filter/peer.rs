//! The connection as Envoy describes it in its properties (envoy-facts §3.1).

use std::cell::OnceCell;
use std::net::{IpAddr, SocketAddr};

use super::host;
use crate::config::client::hex_bytes;
use crate::policy::peer::{Certificate, Peer};

/// The peer of the request that the current callback is about.
#[derive(Default)]
pub struct HostPeer {
    address: OnceCell<Option<IpAddr>>,
}

impl Peer for HostPeer {
    /// Envoy adds the port: `192.0.2.1:4711`, `[2001:db8::1]:4711`.
    fn address(&self) -> Option<IpAddr> {
        *self.address.get_or_init(|| {
            let text = text("source\0address")?;
            text.parse::<SocketAddr>().map(|socket| socket.ip()).or_else(|_| text.parse()).ok()
        })
    }

    fn certificate(&self) -> Option<Certificate> {
        let shown = host::property("connection\0mtls")?;
        let digest = text("connection\0sha256_peer_certificate_digest").filter(|_| shown == [1])?;
        Some(Certificate {
            sha256: hex_bytes(&digest)?,
            uri: text("connection\0uri_san_peer_certificate"),
            dns: text("connection\0dns_san_peer_certificate"),
            subject: text("connection\0subject_peer_certificate"),
        })
    }
}

fn text(path: &str) -> Option<String> {
    host::property(path).and_then(|bytes| String::from_utf8(bytes).ok()).filter(|text| !text.is_empty())
}
