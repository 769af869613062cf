//! A compiled schema: a table of nodes that refer to each other by id.

use super::id::SchemaNodeId;
use super::keyword::Keyword;

/// All nodes that a schema reaches.
#[derive(Debug)]
pub(super) struct Program {
    pub nodes: Vec<SchemaNode>,
    /// A node depends on what others have evaluated.
    pub tracks: bool,
}

/// A compiled schema or subschema.
#[derive(Debug, Default)]
pub(super) struct SchemaNode {
    /// The resource that contains it.
    pub resource: usize,
    /// Its keywords, in the order of application.
    pub keywords: Vec<Keyword>,
    /// It checks only the value itself.
    pub is_cheap: bool,
}

impl SchemaNode {
    /// Returns `true` if the schema is `false`.
    pub fn takes_nothing(&self) -> bool {
        matches!(self.keywords.as_slice(), [Keyword::Nothing])
    }
}

impl Program {
    pub fn node(&self, id: SchemaNodeId) -> Option<&SchemaNode> {
        self.nodes.get(id)
    }
}
