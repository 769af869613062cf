//! The outcome of a decision: forward the request, reply to it, inspect its body first, or wait.

use super::forward::Forward;
use super::inspection::Inspection;
use crate::policy::verdict::reply::Reply;
use crate::policy::verdict::wait::Await;

/// The outcome of [`crate::policy::Policy::decide`]. The caller applies it to the request.
#[derive(Debug)]
pub enum Decision {
    /// Forward the request with these changes.
    Forward(Forward),
    /// Hold the request until its body has arrived, then call [`crate::policy::Policy::inspect`].
    Inspect(Box<Inspection>),
    /// Reply to the request. Refusals, preflights and static routes lead to a reply.
    Reply(Reply),
    /// Wait, and decide the request again when the awaited result is available or the wait ends.
    Await(Await),
}
