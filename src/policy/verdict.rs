//! The types of decisions: header edits, replies, waits, refusals, the response plan and the audit record.

pub mod audit;
pub mod budget;
pub mod edit;
pub mod plan;
pub mod rejection;
pub mod reply;
pub mod stop;
pub mod wait;
