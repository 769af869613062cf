//! Outgoing calls, as plain data: HTTP and gRPC, each with an id under which its answer comes back.

use std::time::Duration;

use crate::policy::verdict::wait::{AccountId, PolledId};

/// A call to start.
#[derive(Clone, Debug)]
pub struct Call {
    /// The id under which its answer is expected.
    pub id: CallId,
    /// The Envoy cluster.
    pub cluster: String,
    /// The call ends after this time.
    pub timeout: Duration,
    /// The request.
    pub request: CallRequest,
}

/// The purpose of a call. At most one call of each is under way in a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallId {
    /// Fetches a polled document.
    Document(PolledId),
    /// Asks a rate limit service about one account.
    Quota(AccountId),
}

/// The request of a call.
#[derive(Clone, Debug)]
pub enum CallRequest {
    /// An HTTP request without a body; `:method`, `:path` and `:authority` are among the headers.
    Http(Vec<(&'static str, String)>),
    /// A gRPC request with one message.
    Grpc {
        /// Full name of the service.
        service: &'static str,
        /// The method.
        method: &'static str,
        /// The message.
        message: Vec<u8>,
    },
}

/// The end of a call.
pub enum Answer<'a> {
    /// The host could not start it: no such cluster, nobody in it, or too many calls.
    NotStarted,
    /// An HTTP response, or the failure to get one.
    Http(&'a dyn HttpResponse),
    /// A gRPC response message.
    Message(&'a dyn GrpcMessage),
    /// The gRPC call ended with this status and without a message.
    Status(u32),
}

/// An HTTP response as far as it is read.
pub trait HttpResponse {
    /// A header's first value. The host reports a call that failed as one without `:status`.
    fn header(&self, name: &str) -> Option<Vec<u8>>;

    /// The first bytes of the body.
    fn body(&self, max: usize) -> Vec<u8>;
}

/// A gRPC message.
pub trait GrpcMessage {
    /// The message; `None` if it is longer than `max` bytes.
    fn bytes(&self, max: usize) -> Option<Vec<u8>>;
}
