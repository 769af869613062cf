//! The values that a host supplies with each event: the time, the request, and the state that workers share.

use std::time::Duration;

use crate::policy::credentials::signature::SignatureVerifier;
use crate::policy::limits::rate_limit::store::BucketStore;
use crate::policy::request::peer::Peer;
use crate::policy::world::TraceStep;

/// The values that a host supplies with each event.
pub struct Host<'h> {
    /// The time since the Unix epoch.
    pub now: Duration,
    /// The current request.
    pub stream: &'h dyn RequestFacts,
    /// The buckets of local limits.
    pub limits: &'h mut dyn BucketStore,
    /// Verifies signatures.
    pub verifier: &'h dyn SignatureVerifier,
    /// Creates an id for a request that has no id: 1 to 128 characters of `A–Z a–z 0–9 - _ .`.
    pub fresh_id: &'h dyn Fn() -> String,
    /// Receives the findings of each stage; `None` if tracing is off.
    pub trace: Option<&'h mut Vec<TraceStep>>,
}

/// The current request as the proxy describes it. Each value is read only when needed.
pub trait RequestFacts {
    /// Returns the client's connection.
    fn peer(&self) -> &dyn Peer;

    /// Returns `true` if the request uses HTTP/1.
    fn is_http1(&self) -> bool;

    /// Returns the number of bytes received for the request so far, including headers; `None` if it is unknown.
    fn received_bytes(&self) -> Option<u64>;

    /// Returns the first bytes of the part of the body that the current event reports.
    fn body(&self, max: usize) -> Vec<u8>;

    /// Returns the first bytes of the held body of the response.
    fn response_body(&self, max: usize) -> Vec<u8>;

    /// Returns Envoy's response code details (envoy-facts §2.6); empty before the response.
    fn response_details(&self) -> String;
}
