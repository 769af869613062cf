//! Something outside the gateway that a decision waits for.

use std::time::Duration;

/// A request that cannot be decided yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Await {
    /// What is missing.
    pub on: Awaited,
    /// When waiting ends, since the Unix epoch: decide again then at the latest.
    pub until: Duration,
}

/// Something outside that a decision needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// A polled document that is missing or may have a newer version.
    Document(PolledId),
    /// A hit that a rate limit service may grant.
    Quota(AccountId),
}

/// One polled document of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PolledId(pub usize);

/// One key's account with a rate limit service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AccountId {
    /// Its place in the worker's table of accounts.
    pub slot: u32,
    /// Which of the accounts that had this place one after another.
    pub turn: u32,
}
