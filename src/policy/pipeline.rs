//! The types that the pipeline stages pass to each other, from the matched route to the decision.

pub mod decision;
pub mod forward;
pub mod inspection;
pub mod progress;
pub mod rule;
