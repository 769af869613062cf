//! External results that a decision can wait for.

use std::time::Duration;

/// A request that cannot be decided yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Await {
    /// The awaited result.
    pub on: Awaited,
    /// The end of the wait, since the Unix epoch. The request is decided again no later than this.
    pub until: Duration,
}

/// An external result that a decision needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// A polled document that is missing or may have a newer version.
    Document(PolledId),
    /// A hit from a rate limit service.
    Quota(AccountId),
}

/// The index of a polled document in the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PolledId(pub usize);

/// The account of one key with a rate limit service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AccountId {
    /// Its slot in the worker's table of accounts.
    pub slot: u32,
    /// Distinguishes the accounts that used this slot one after another.
    pub turn: u32,
}
