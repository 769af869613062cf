//! The values that pass between the stages, from the matched route to the decision.

pub mod decision;
pub mod forward;
pub mod inspection;
pub mod progress;
pub mod rule;
