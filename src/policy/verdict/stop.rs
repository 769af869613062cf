//! The two ways in which a stage stops a request.

use super::rejection::Rejection;
use super::wait::Await;

/// Why a stage stops a request.
#[derive(Debug)]
pub enum Stop {
    /// The request is refused.
    Refuse(Rejection),
    /// The stage needs something from outside first.
    Wait(Await),
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Stop {
        Stop::Refuse(rejection)
    }
}
