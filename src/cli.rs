//! The command line.

mod scalar;
pub mod yaml;
