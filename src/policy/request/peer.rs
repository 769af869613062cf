//! The peer of a connection: its address and client certificate, as verified by the proxy.

use std::net::IpAddr;

/// The proxy's data about the connection of a request. It is read only when a rule needs it, because each value may be a host
/// call.
pub trait Peer {
    /// Returns the client's address, based on the proxy's settings for trusted hops (envoy-facts §2.13); `None` if it has none.
    fn address(&self) -> Option<IpAddr>;

    /// Returns the client's certificate, if the proxy requested one and verified its chain.
    fn certificate(&self) -> Option<Certificate>;
}

/// The fields of a verified client certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 of its DER form (RFC 8705 §3.1).
    pub sha256: [u8; 32],
    /// Its first URI subject alternative name, such as a SPIFFE id.
    pub uri: Option<String>,
    /// Its first DNS subject alternative name.
    pub dns: Option<String>,
    /// Its subject (RFC 4514).
    pub subject: Option<String>,
}

/// A peer with fixed values, for tools and tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownPeer {
    /// See [`Peer::address`].
    pub address: Option<IpAddr>,
    /// See [`Peer::certificate`].
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
