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
        let digest = text("connection\0sha256_peer_certificate_digest").filter(|_| is_verified())?;
        Some(Certificate {
            sha256: hex_bytes(&digest)?,
            uri: text("connection\0uri_san_peer_certificate"),
            dns: text("connection\0dns_san_peer_certificate"),
            subject: text("connection\0subject_peer_certificate"),
        })
    }
}

/// Whether Envoy verified the certificate. That one was shown (`connection.mtls`) says too little: a listener may go on without an
/// authority, or with a certificate of no authority that it knows. Before 1.39 a rule beside the filter has to tell.
fn is_verified() -> bool {
    match host::property("connection\0peer_certificate_valid") {
        Some(valid) => valid == [1],
        None => text(VERIFIED_BY_RULE).is_some_and(|result| result == "allowed"),
    }
}

fn text(path: &str) -> Option<String> {
    host::property(path).and_then(|bytes| String::from_utf8(bytes).ok()).filter(|text| !text.is_empty())
}

/// What a shadow rule of Envoy's RBAC filter found; no client can write it.
const VERIFIED_BY_RULE: &str = "metadata\0filter_metadata\0envoy.filters.http.rbac\0portcullis_shadow_engine_result";
