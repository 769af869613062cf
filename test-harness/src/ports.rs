//! Free loopback ports for servers whose port must be known before they start.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

/// Returns unused ports of 127.0.0.1. The ports are below 32768, because Linux assigns ports from 32768 upwards to sockets
/// without a fixed port, including client sockets.
///
/// No two running test processes get the same port. Binding the TCP port would not ensure this: Envoy listens with SO_REUSEPORT,
/// so two Envoys could listen on one port and receive each other's connections. Therefore this process reserves each port: it
/// binds the UDP port with the same number, without SO_REUSEPORT, until it exits.
pub fn free<const N: usize>() -> Result<[u16; N]> {
    static HELD: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    let mut ports = [0; N];
    for port in &mut ports {
        let (found, hold) = first_free().context("no free port on 127.0.0.1")?;
        *port = found;
        held.push(hold);
    }
    Ok(ports)
}

fn first_free() -> Option<(u16, UdpSocket)> {
    (10_000..32_768).find_map(|port| {
        let hold = UdpSocket::bind(loopback(port)).ok()?;
        TcpListener::bind(loopback(port)).is_ok().then_some((port, hold))
    })
}

/// Returns a one-line error if `port` of 127.0.0.1 is in use. The error contains `hint`, which explains how to free the port or
/// choose another one.
pub fn require_free(port: u16, hint: &str) -> Result<()> {
    match TcpListener::bind(loopback(port)) {
        Ok(_) => Ok(()),
        Err(error) => anyhow::bail!("port {port} of 127.0.0.1 cannot be used ({error}); {hint}"),
    }
}

/// Returns the loopback address with this port.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
