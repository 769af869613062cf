//! The decision core: a compiled policy, and one function that decides about one request. It reads no clock, file or network.

pub mod algorithm;
pub mod guard;
pub mod jwks;
pub mod route;
pub mod signature;
