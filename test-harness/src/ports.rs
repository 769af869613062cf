//! Free loopback ports for servers that must be told their port before they start.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context, Result};

/// Distinct ports of 127.0.0.1 that were free a moment ago. All are held until all are found, so that none is given twice.
pub fn free<const N: usize>() -> Result<[u16; N]> {
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind(loopback(0)).context("no free port on 127.0.0.1")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// One clear line if `port` of 127.0.0.1 is taken. `hint` says how to choose another.
pub fn require_free(port: u16, hint: &str) -> Result<()> {
    match TcpListener::bind(loopback(port)) {
        Ok(_) => Ok(()),
        Err(error) => anyhow::bail!("port {port} of 127.0.0.1 cannot be used ({error}); {hint}"),
    }
}

/// `port` on the loopback address.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
