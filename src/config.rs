//! The document an operator writes, read field by field; every problem is found at once, each with its place.

pub mod document;
pub mod node;
pub mod problem;
