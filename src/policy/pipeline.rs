//! The types that pass between pipeline stages, from the matched route to the decision.

pub mod decision;
pub mod forward;
pub mod inspection;
pub mod progress;
pub mod rule;
