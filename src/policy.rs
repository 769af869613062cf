//! The decision core: a compiled policy, and one function that decides about one request. It reads no clock, file or network.

pub mod cors;
pub mod origin;
pub mod rejection;
