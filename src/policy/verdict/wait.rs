//! External results that a decision can wait for.

use std::time::Duration;

/// A request that cannot be decided yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Await {
    /// The result that the request waits for.
    pub on: Awaited,
    /// The end of the wait, since the Unix epoch. The request is decided again at this time at the latest.
    pub until: Duration,
}

/// An external result that a decision needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// A polled document that is missing, or a newer version of a polled document.
    Document(PolledId),
    /// The answer of a rate limit service.
    Quota(LeaseId),
}

/// The index of a polled document in the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PolledId(pub usize);

/// Identifies the lease of one descriptor at a rate limit service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseId {
    /// The index of the slot in the worker's table of leases.
    pub slot: u32,
    /// Distinguishes the leases that use this slot one after another.
    pub turn: u32,
}
