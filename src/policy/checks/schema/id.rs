//! How the nodes of a compiled schema refer to each other.

/// The number of a node in its program.
pub(super) type NodeId = usize;
