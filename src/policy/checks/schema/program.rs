//! A compiled schema: a table of nodes that refer to each other by number.

use super::id::NodeId;
use super::keyword::Keyword;

/// All nodes that a schema reaches.
#[derive(Debug)]
pub(super) struct Program {
    pub nodes: Vec<Node>,
    /// Whether any of them asks what others have looked at.
    pub tracks: bool,
}

/// One schema.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// The resource that it belongs to.
    pub resource: usize,
    /// What it asks, in the order of application.
    pub keywords: Vec<Keyword>,
    /// It looks at the value itself only.
    pub is_cheap: bool,
}

impl Node {
    /// Whether it is `false`.
    pub fn takes_nothing(&self) -> bool {
        matches!(self.keywords.as_slice(), [Keyword::Nothing])
    }
}

impl Program {
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id)
    }
}
