//! Outgoing HTTP and gRPC calls as plain data.
//!
//! Each call has an id that identifies its answer.

use std::time::Duration;

use crate::policy::verdict::wait::{LeaseId, PolledId};

/// A call to start.
#[derive(Clone, Debug)]
pub struct Call {
    /// The id of the call; its answer carries the same id.
    pub id: CallId,
    /// The Envoy cluster.
    pub cluster: String,
    /// The call times out after this duration.
    pub timeout: Duration,
    /// The request to send.
    pub request: CallRequest,
}

/// The purpose of a call. A worker runs at most one call per id at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallId {
    /// Fetches a polled document.
    Document(PolledId),
    /// Queries a rate limit service about one key of a limit.
    Quota(LeaseId),
}

/// The request of a call, over HTTP or gRPC.
#[derive(Clone, Debug)]
pub enum CallRequest {
    /// An HTTP request without a body. The headers include `:method`, `:path` and `:authority`.
    Http(Vec<(&'static str, String)>),
    /// A gRPC request with one message.
    Grpc {
        /// The full name of the service.
        service: &'static str,
        /// The name of the method.
        method: &'static str,
        /// The encoded request message.
        message: Vec<u8>,
    },
}

/// The result of a call.
pub enum Answer<'a> {
    /// The host could not start the call: unknown cluster, no healthy endpoint, or too many calls.
    NotStarted,
    /// An HTTP response or failure.
    Http(&'a dyn HttpResponse),
    /// A gRPC response message.
    Message(&'a dyn GrpcMessage),
    /// The gRPC call ended with this status and no message.
    Status(u32),
}

/// An HTTP response that the host has received.
pub trait HttpResponse {
    /// Returns the first value of a header. A failed call has no `:status`.
    fn header(&self, name: &str) -> Option<Vec<u8>>;

    /// Returns at most `max` bytes from the start of the body.
    fn body(&self, max: usize) -> Vec<u8>;
}

/// A gRPC message that the host has received.
pub trait GrpcMessage {
    /// Returns the message; `None` if it is longer than `max` bytes.
    fn bytes(&self, max: usize) -> Option<Vec<u8>>;
}
