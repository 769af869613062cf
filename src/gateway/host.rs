//! The values that a host supplies with each event: the time, the stream, and the parts of the world that workers share.

use std::time::Duration;

use crate::policy::credentials::signature::SignatureVerifier;
use crate::policy::limits::rate_limit::store::BucketStore;
use crate::policy::request::peer::Peer;
use crate::policy::world::Step;

/// The values that a host supplies with each event.
pub struct Host<'h> {
    /// The time since the Unix epoch.
    pub now: Duration,
    /// The request at hand.
    pub stream: &'h dyn Stream,
    /// The counts of local limits.
    pub limits: &'h mut dyn BucketStore,
    /// Verifies signatures.
    pub verifier: &'h dyn SignatureVerifier,
    /// Makes an id for a request that brought none: 1 to 128 characters of `A–Z a–z 0–9 - _ .`.
    pub fresh_id: &'h dyn Fn() -> String,
    /// Receives the findings of each stage; `None` if nobody reads them.
    pub trace: Option<&'h mut Vec<Step>>,
}

/// The request at hand, as the proxy describes it. Each value is read only when it is needed.
pub trait Stream {
    /// The client's connection.
    fn peer(&self) -> &dyn Peer;

    /// The request came over HTTP/1.
    fn is_http1(&self) -> bool;

    /// Bytes of the request received so far, headers included; `None` if the proxy does not say.
    fn received_bytes(&self) -> Option<u64>;

    /// The first bytes of the part of the body that the current event is about.
    fn body(&self, max: usize) -> Vec<u8>;

    /// Envoy's response code details (envoy-facts §2.6); empty while there is no response.
    fn response_details(&self) -> String;
}
