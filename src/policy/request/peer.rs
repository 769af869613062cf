//! The peer of a connection: its address and client certificate, as verified by the proxy.

use std::net::IpAddr;

/// The data that Envoy has about the connection of a request. Each value is read only when a rule needs it, because reading it
/// may cost a host call.
pub trait Peer {
    /// Returns the client's address according to Envoy's settings for trusted hops (envoy-facts §2.13); `None` if the address is
    /// unknown.
    fn address(&self) -> Option<IpAddr>;

    /// Returns the client's certificate if Envoy requested a certificate and verified its chain.
    fn certificate(&self) -> Option<Certificate>;
}

/// The fields of a verified client certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// The SHA-256 digest of the certificate in DER form (RFC 8705 §3.1).
    pub sha256: [u8; 32],
    /// The first URI subject alternative name, such as a SPIFFE id.
    pub uri: Option<String>,
    /// The first DNS subject alternative name.
    pub dns: Option<String>,
    /// The subject of the certificate, as a distinguished name in text form (RFC 4514).
    pub subject: Option<String>,
}

/// A peer with fixed values, for tools and tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownPeer {
    /// The value that [`Peer::address`] returns.
    pub address: Option<IpAddr>,
    /// The value that [`Peer::certificate`] returns.
    pub certificate: Option<Certificate>,
}

impl Peer for KnownPeer {
    fn address(&self) -> Option<IpAddr> {
        self.address
    }

    fn certificate(&self) -> Option<Certificate> {
        self.certificate.clone()
    }
}
