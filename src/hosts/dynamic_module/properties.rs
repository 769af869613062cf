//! Reads facts about a request from Envoy's attributes.

use std::cell::OnceCell;
use std::net::IpAddr;

use super::envoy::abi::StreamAttribute;
use super::envoy::{BodyKind, EnvoyStream};
use crate::config::client::hex_bytes;
use crate::gateway::host::RequestFacts;
use crate::hosts::client_address;
use crate::policy::request::peer::{Certificate, Peer};

/// The request of a stream, as Envoy's attributes describe it.
pub struct StreamProperties<'s> {
    envoy: EnvoyStream,
    /// Envoy's response code details, if a filter or Envoy has made the response.
    details: &'s str,
    /// Whether Envoy holds the request.
    is_held: bool,
    address: OnceCell<Option<IpAddr>>,
}

impl<'s> StreamProperties<'s> {
    /// Describes the request of a stream. `details` are Envoy's response code details, which are empty before the response begins.
    pub fn new(envoy: EnvoyStream, details: &'s str, is_held: bool) -> StreamProperties<'s> {
        StreamProperties { envoy, details, is_held, address: OnceCell::new() }
    }

    fn text(&self, attribute: StreamAttribute) -> Option<String> {
        self.envoy.text(attribute).and_then(|text| String::from_utf8(text).ok())
    }

    /// Returns `true` if Envoy verified the client certificate. The ABI has no attribute for this, so the generated configuration
    /// contains an RBAC rule that records it. Clients cannot set the metadata of the rule.
    fn is_verified(&self) -> bool {
        let result = self.envoy.metadata("envoy.filters.http.rbac", "portcullis_shadow_engine_result");
        result.is_some_and(|result| result == b"allowed")
    }
}

impl RequestFacts for StreamProperties<'_> {
    fn peer(&self) -> &dyn Peer {
        self
    }

    fn is_http1(&self) -> bool {
        self.envoy.text(StreamAttribute::RequestProtocol).is_some_and(|protocol| protocol.starts_with(b"HTTP/1"))
    }

    /// Returns `None`: the number shows whether Envoy holds a body without reporting it, and it always reports bodies to a dynamic
    /// module.
    fn received_bytes(&self) -> Option<u64> {
        None
    }

    fn body(&self, max: usize) -> Vec<u8> {
        self.envoy.body(BodyKind::Request, self.is_held, max)
    }

    fn response_body(&self, max: usize) -> Vec<u8> {
        self.envoy.body(BodyKind::Response, true, max)
    }

    fn response_details(&self) -> String {
        self.details.to_string()
    }
}

impl Peer for StreamProperties<'_> {
    fn address(&self) -> Option<IpAddr> {
        *self.address.get_or_init(|| client_address::parse(&self.text(StreamAttribute::SourceAddress)?))
    }

    fn certificate(&self) -> Option<Certificate> {
        let digest = self.text(StreamAttribute::Sha256PeerCertificateDigest)?;
        if !self.is_verified() {
            return None;
        }
        Some(Certificate {
            sha256: hex_bytes(&digest)?,
            uri: self.text(StreamAttribute::UriSanPeerCertificate),
            dns: self.text(StreamAttribute::DnsSanPeerCertificate),
            subject: self.text(StreamAttribute::SubjectPeerCertificate),
        })
    }
}
