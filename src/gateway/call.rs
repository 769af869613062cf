//! Outgoing HTTP and gRPC calls to other services, such as the endpoint of a key set, and the results of these calls.
//!
//! The host starts a call, and passes the result back to the gateway with the id of the call.

use std::time::Duration;

use crate::policy::verdict::wait::{LeaseId, PolledId};

/// A call that the host must start.
#[derive(Clone, Debug)]
pub struct Call {
    /// The id of the call, which the host passes to [`Gateway::on_answer`](super::Gateway::on_answer) with the result.
    pub id: CallId,
    /// The Envoy cluster that receives the call.
    pub cluster: String,
    /// The time after which the host cancels the call.
    pub timeout: Duration,
    /// The request to send.
    pub request: CallRequest,
}

/// The purpose of a call, which is also its id. A worker runs at most one call with the same id at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallId {
    /// The call fetches this polled document.
    Document(PolledId),
    /// The call asks a rate limit service for hits in one bucket of a limit.
    Quota(LeaseId),
}

/// The request of a call, over HTTP or gRPC.
#[derive(Clone, Debug)]
pub enum CallRequest {
    /// An HTTP request without a body. The headers include `:method`, `:path` and `:authority`.
    Http(Vec<(&'static str, String)>),
    /// A gRPC request with one message.
    Grpc {
        /// The full name of the gRPC service, with its package.
        service: &'static str,
        /// The name of the gRPC method, without the service.
        method: &'static str,
        /// The encoded request message.
        message: Vec<u8>,
    },
}

/// The result of a call.
pub enum Answer<'a> {
    /// The host could not start the call. The cluster of the call is unknown or, for a gRPC call, has no healthy endpoint or too
    /// many calls.
    NotStarted,
    /// An HTTP response, or the failure of an HTTP call.
    Http(&'a dyn HttpResponse),
    /// A gRPC response message.
    Message(&'a dyn GrpcMessage),
    /// The gRPC call ended with this gRPC status and without a message.
    Status(u32),
}

/// An HTTP response, or the failure of an HTTP call, which has no headers and no body.
pub trait HttpResponse {
    /// Returns the first value of a header. A failed call has no header `:status`.
    fn header(&self, name: &str) -> Option<Vec<u8>>;

    /// Returns at most `max` bytes from the start of the body.
    fn body(&self, max: usize) -> Vec<u8>;
}

/// A gRPC message that the host has received.
pub trait GrpcMessage {
    /// Returns the message; `None` if it is longer than `max` bytes.
    fn bytes(&self, max: usize) -> Option<Vec<u8>>;
}
