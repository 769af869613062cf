//! The values that a host supplies with each event: the time, facts about the request, and access to shared state.

use std::time::Duration;

use crate::policy::credentials::signature::SignatureVerifier;
use crate::policy::limits::rate_limit::store::BucketStore;
use crate::policy::request::peer::Peer;
use crate::policy::world::TraceStep;

/// The values that a host supplies with each event.
pub struct Host<'h> {
    /// The time since the Unix epoch.
    pub now: Duration,
    /// Facts about the current request.
    pub stream: &'h dyn RequestFacts,
    /// The buckets of local limits, which all workers of the proxy share.
    pub limits: &'h mut dyn BucketStore,
    /// The function that verifies the signatures of tokens.
    pub verifier: &'h dyn SignatureVerifier,
    /// Creates an id for a request without an id. The id must have 1 to 128 characters of `A–Z a–z 0–9 - _ .`.
    pub fresh_id: &'h dyn Fn() -> String,
    /// Receives the result of each stage, which `portcullis explain` prints; `None` if no trace is needed, as in the filter.
    pub trace: Option<&'h mut Vec<TraceStep>>,
}

/// Facts about the current request that the proxy knows. The gateway reads a fact only when it needs it, because each read costs
/// a call of the proxy.
pub trait RequestFacts {
    /// Returns facts about the client's connection, such as its address and its certificate.
    fn peer(&self) -> &dyn Peer;

    /// Returns `true` if the request uses HTTP/1.
    fn is_http1(&self) -> bool;

    /// Returns the number of bytes that the proxy has received for the request, including its headers; `None` if it is unknown.
    fn received_bytes(&self) -> Option<u64>;

    /// Returns at most `max` bytes of the request's body. If the proxy holds the body, the bytes start at the beginning of the
    /// held body. If not, they start at the beginning of the part that the current event reports.
    fn body(&self, max: usize) -> Vec<u8>;

    /// Returns at most `max` bytes from the start of the held body of the response.
    fn response_body(&self, max: usize) -> Vec<u8>;

    /// Returns Envoy's response code details (envoy-facts §2.6). The string is empty before the response begins.
    fn response_details(&self) -> String;
}
