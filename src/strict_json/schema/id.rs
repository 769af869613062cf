//! The ids of nodes in a compiled schema.

/// The index of a node in the table of its program.
pub(super) type SchemaNodeId = usize;
