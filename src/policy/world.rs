//! Everything the core may not reach for itself, handed in by whoever asks for a decision.

use std::time::Duration;

use super::credentials::signature::SignatureVerifier;
use super::credentials::token_cache::TokenCache;
use super::limits::rate_limit::store::BucketStore;
use super::limits::rate_limit_client::Quotas;
use super::polled::Polled;
use super::request::peer::Peer;

/// The world of one decision. The filter builds it from Envoy's host calls, the tools and tests from plain memory.
pub struct World<'w> {
    /// The time since the Unix epoch.
    pub now: Duration,
    /// Key sets and whatever else is polled.
    pub polled: &'w mut Polled,
    /// Callers verified before.
    pub tokens: &'w mut TokenCache,
    /// What was counted.
    pub limits: &'w mut dyn BucketStore,
    /// What a rate limit service granted and refused.
    pub quotas: &'w mut Quotas,
    /// Who checks signatures.
    pub verifier: &'w dyn SignatureVerifier,
    /// Who sent the request.
    pub peer: &'w dyn Peer,
    /// Makes an id for a request that brought none: 1 to 128 characters of `A–Z a–z 0–9 - _ .`.
    pub fresh_id: &'w dyn Fn() -> String,
    /// Where to note what each stage found; `None` where nobody reads it.
    pub trace: Option<&'w mut Vec<Step>>,
}

/// What one stage of the pipeline found, for `portcullis explain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The stage, as in the pipeline's description.
    pub stage: &'static str,
    /// What it found, in a sentence for an operator.
    pub finding: String,
}

impl World<'_> {
    /// Notes a finding, if anybody reads it.
    pub fn note(&mut self, stage: &'static str, finding: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(Step { stage, finding: finding() });
        }
    }
}
