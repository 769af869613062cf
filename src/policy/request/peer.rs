//! Who is at the other end of the connection: its address and the client certificate it showed, as the proxy vouches for them.

use std::net::IpAddr;

/// What the proxy knows of the connection that a request came over. Asked only when a rule needs it: each answer may be a host call.
pub trait Peer {
    /// The client's address, by the proxy's own settings about trusted hops (envoy-facts §2.13); none when it has none.
    fn address(&self) -> Option<IpAddr>;

    /// The certificate of the client, when the proxy asked for one and its chain was verified.
    fn certificate(&self) -> Option<Certificate>;
}

/// What is known of a verified client certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 of its DER form (RFC 8705 §3.1).
    pub sha256: [u8; 32],
    /// Its first URI among the subject alternative names, as a SPIFFE id is.
    pub uri: Option<String>,
    /// Its first DNS name among them.
    pub dns: Option<String>,
    /// Its subject (RFC 4514).
    pub subject: Option<String>,
}

/// A peer that is known beforehand, for the tools and the tests.
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
