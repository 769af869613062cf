//! The inputs of a decision that the caller passes in, because the core does not read them itself.

use std::time::Duration;

use super::credentials::signature::SignatureVerifier;
use super::credentials::token_cache::TokenCache;
use super::limits::rate_limit::store::BucketStore;
use super::limits::rate_limit_client::Quotas;
use super::polled::Polled;
use super::request::peer::Peer;

/// The inputs of one decision. The filter reads them from Envoy; tools and tests create them in memory.
pub struct World<'w> {
    /// The current time, since the Unix epoch.
    pub now: Duration,
    /// Key sets, revocation lists and client documents.
    pub polled: &'w mut Polled,
    /// The cache of verified tokens and their callers.
    pub tokens: &'w mut TokenCache,
    /// The storage of the buckets of local limits.
    pub limits: &'w mut dyn BucketStore,
    /// The leases from rate limit services: hits that a service has granted to this worker in advance, so that requests need no
    /// call.
    pub quotas: &'w mut Quotas,
    /// Verifies the signatures of tokens.
    pub verifier: &'w dyn SignatureVerifier,
    /// The peer of the connection: its address and its client certificate.
    pub peer: &'w dyn Peer,
    /// Creates an id for a request without a well-formed id. The id has 1 to 128 characters of `A–Z a–z 0–9 - _ .`.
    pub fresh_id: &'w dyn Fn() -> String,
    /// Collects the findings of each stage; `None` if tracing is off.
    pub trace: Option<&'w mut Vec<TraceStep>>,
}

/// A finding of one pipeline stage, for `portcullis explain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceStep {
    /// The name of the stage, such as `route` or `authorize`.
    pub stage: &'static str,
    /// The finding, as a sentence for an operator.
    pub finding: String,
}

impl World<'_> {
    /// Records a finding, if tracing is on.
    pub fn note(&mut self, stage: &'static str, finding: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(TraceStep { stage, finding: finding() });
        }
    }
}
