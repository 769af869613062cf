//! Free loopback ports for servers that must be told their port before they start.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

/// Ports of 127.0.0.1 that nobody listens to, each given once among all processes of tests that run. Two things would take one
/// away before its server listens: Linux, which gives ports from 32768 up to whoever names none, clients included, so these lie
/// below; and another test, because Envoy shares its port with whoever asks for the same (SO_REUSEPORT) and each would answer
/// the other's clients. So the UDP port of the same number stays bound as long as this process lives: that is shared with nobody.
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
