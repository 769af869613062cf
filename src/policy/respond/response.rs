//! The head of a response, and the decision about it.

use super::held::HeldResponse;
use crate::policy::verdict::edit::HeaderEdit;
use crate::policy::verdict::reply::Reply;

/// The parts of a response that determine how it is handled.
pub struct ResponseHead<'h> {
    /// The HTTP status of the response.
    pub status: u16,
    /// Returns the value of a response header.
    pub header: &'h dyn Fn(&str) -> Option<Vec<u8>>,
    /// Whether the response has no body.
    pub ended: bool,
    /// Whether the request was forwarded. If it was not, only Envoy itself can have sent the response.
    pub is_forwarded: bool,
    /// Returns Envoy's response code details (envoy-facts §2.6). They are read only for failures.
    pub details: &'h dyn Fn() -> String,
}

/// The decision about a response.
#[derive(Debug)]
pub enum Response {
    /// Send the response to the client with these changes to its headers.
    Pass(Vec<HeaderEdit>),
    /// Hold the response, with these changes to its headers, until its body is complete.
    Hold(Vec<HeaderEdit>, HeldResponse),
    /// Replace the response with this reply.
    Replace(Reply),
}
