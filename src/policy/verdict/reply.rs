//! A reply that the gateway sends itself.

use std::sync::Arc;

/// A reply of the gateway, as plain data. The host sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status, from 200 to 599.
    pub status: u16,
    /// The headers. Names are in lower case, and values contain no control characters.
    pub headers: Vec<(Arc<str>, Arc<str>)>,
    /// The body. Envoy omits it in the reply to a HEAD request.
    pub body: Arc<[u8]>,
    /// The gRPC status code and message; `None` if the client does not use gRPC (envoy-facts §2.5).
    pub grpc: Option<(u8, &'static str)>,
    /// The response code details for Envoy, as one word.
    pub details: &'static str,
}
