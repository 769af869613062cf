//! A reply of the gateway itself.

use std::rc::Rc;

/// A reply of the gateway itself, as plain data that a host sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status, 200 to 599.
    pub status: u16,
    /// The headers. Names are lower case; values contain no control characters.
    pub headers: Vec<(Rc<str>, Rc<str>)>,
    /// The body; the proxy omits it for a HEAD request.
    pub body: Rc<[u8]>,
    /// The gRPC status code and message for a gRPC client (envoy-facts §2.5).
    pub grpc: Option<(u8, &'static str)>,
    /// Envoy's response code details: one word.
    pub details: &'static str,
}
