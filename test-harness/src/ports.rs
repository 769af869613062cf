//! Free loopback ports for servers that must be told their port before they start.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

/// Ports of 127.0.0.1 that were free a moment ago, none of which this process is ever given again: Envoy shares its port with
/// whoever asks for the same (SO_REUSEPORT), so two tests at once would answer each other's clients.
pub fn free<const N: usize>() -> Result<[u16; N]> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    // All are held until all are found, or the same would be offered over and over.
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        *port = loop {
            let listener = TcpListener::bind(loopback(0)).context("no free port on 127.0.0.1")?;
            let offered = listener.local_addr()?.port();
            held.push(listener);
            if given.insert(offered) {
                break offered;
            }
        };
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
