//! The two ways in which a stage can stop a request.

use super::rejection::Rejection;
use super::wait::Await;

/// The reason why a stage stops a request.
#[derive(Debug)]
pub enum Stop {
    /// The request is refused.
    Refuse(Rejection),
    /// The request must wait for an external result.
    Wait(Await),
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Stop {
        Stop::Refuse(rejection)
    }
}
