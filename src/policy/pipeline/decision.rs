//! The outcomes of a decision: forward, reply, judge the body first, or wait.

use super::forward::Forward;
use super::inspection::Inspection;
use crate::policy::verdict::reply::Reply;
use crate::policy::verdict::wait::Await;

/// The outcome of a decision.
#[derive(Debug)]
pub enum Decision {
    /// Let the request through, changed like this.
    Forward(Forward),
    /// Hold it back until its body has arrived, and hand that to [`crate::policy::Policy::inspect`].
    Inspect(Box<Inspection>),
    /// Answer it here: refusals, preflights and static routes alike.
    Reply(Reply),
    /// Decide again when this is known, or at this time.
    Await(Await),
}
