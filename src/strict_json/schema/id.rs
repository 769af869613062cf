//! The ids of nodes in a compiled schema.

/// The number of a node in its program.
pub(super) type SchemaNodeId = usize;
