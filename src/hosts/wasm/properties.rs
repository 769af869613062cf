//! Reads facts about a request from Envoy's properties.

use std::cell::OnceCell;
use std::net::IpAddr;

use super::host;
use crate::config::client::hex_bytes;
use crate::gateway::host::RequestFacts;
use crate::hosts::{client_address, request_id};
use crate::policy::request::peer::{Certificate, Peer};
use crate::policy::verdict::audit::RequestEnd;

/// Reads facts about the request of the current callback from Envoy's properties (envoy-facts §3.1).
#[derive(Default)]
pub struct StreamProperties {
    address: OnceCell<Option<IpAddr>>,
}

impl RequestFacts for StreamProperties {
    fn peer(&self) -> &dyn Peer {
        self
    }

    fn is_http1(&self) -> bool {
        host::property("request\0protocol").is_some_and(|protocol| protocol.starts_with(b"HTTP/1"))
    }

    fn received_bytes(&self) -> Option<u64> {
        host::number("request\0total_size")
    }

    fn body(&self, max: usize) -> Vec<u8> {
        host::request_body(max)
    }

    fn response_body(&self, max: usize) -> Vec<u8> {
        host::response_body(max)
    }

    fn response_details(&self) -> String {
        String::from_utf8_lossy(&host::property(DETAILS).unwrap_or_default()).into_owned()
    }
}

impl Peer for StreamProperties {
    fn address(&self) -> Option<IpAddr> {
        *self.address.get_or_init(|| client_address::parse(&text("source\0address")?))
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

/// Returns `true` if Envoy verified the client certificate. The property `connection.mtls` does not show this: it is also `true`
/// if the listener has no CA, or accepts certificates of an unknown CA. Envoy before 1.39 has no property for the result, so the
/// generated configuration contains a shadow rule of the RBAC filter that records the result.
fn is_verified() -> bool {
    match host::property("connection\0peer_certificate_valid") {
        Some(valid) => valid == [1],
        None => text(VERIFIED_BY_RULE).is_some_and(|result| result == "allowed"),
    }
}

fn text(path: &str) -> Option<String> {
    host::property(path).and_then(|bytes| String::from_utf8(bytes).ok()).filter(|text| !text.is_empty())
}

/// Returns the facts that Envoy knows only at the end of the request, for the audit record.
pub fn end() -> RequestEnd {
    RequestEnd {
        status: host::number("response\0code").and_then(|code| code.try_into().ok()),
        details: text(DETAILS),
        duration_millis: host::number("request\0duration").map(|nanos| nanos / 1_000_000),
    }
}

/// Returns the id of a request that was never decided.
pub fn known_id() -> String {
    let connection = host::number("connection\0id").unwrap_or(0);
    let millis = host::number("request\0time").unwrap_or(0) / 1_000_000;
    request_id::known_id(&host::property("request\0id").unwrap_or_default(), connection, millis)
}

/// The property with the result of a shadow rule of Envoy's RBAC filter. Clients cannot set this property.
const VERIFIED_BY_RULE: &str = "metadata\0filter_metadata\0envoy.filters.http.rbac\0portcullis_shadow_engine_result";

/// The property with Envoy's response code details.
const DETAILS: &str = "response\0code_details";
