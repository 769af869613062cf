//! The decision core.

pub mod algorithm;
