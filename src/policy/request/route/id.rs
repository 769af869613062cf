//! The ids of nodes and routes in the route table.

/// The number of a node in the trie.
pub(super) type TrieNodeId = u32;

/// The number of a route in the table.
pub(super) type RouteId = u32;
