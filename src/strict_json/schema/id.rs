//! The type of the ids by which the nodes of a compiled schema refer to each other.

/// The index of a node in `Program::nodes`.
pub(super) type SchemaNodeId = usize;
