//! An answer that the gateway makes itself.

use std::rc::Rc;

/// An answer that the gateway makes itself, as plain data that a host sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status, 200 to 599.
    pub status: u16,
    /// Headers, names in lower case; values hold no control characters.
    pub headers: Vec<(Rc<str>, Rc<str>)>,
    /// The body; the proxy leaves it out for a HEAD request.
    pub body: Rc<[u8]>,
    /// gRPC status code and message for a client that speaks gRPC (envoy-facts §2.5).
    pub grpc: Option<(u8, &'static str)>,
    /// What Envoy shows as the response code details: one word.
    pub details: &'static str,
}
