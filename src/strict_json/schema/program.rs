//! A compiled schema: a table of nodes that refer to each other by id.

use super::id::SchemaNodeId;
use super::keyword::Keyword;

/// All nodes that a schema reaches.
#[derive(Debug)]
pub(super) struct Program {
    pub nodes: Vec<SchemaNode>,
    /// Whether a keyword depends on the members or items that other keywords have evaluated.
    pub tracks: bool,
}

/// A compiled schema or subschema.
#[derive(Debug, Default)]
pub(super) struct SchemaNode {
    /// The resource that contains the schema.
    pub resource: usize,
    /// The keywords of the schema, in the order of application.
    pub keywords: Vec<Keyword>,
    /// Whether the schema checks only the value itself, and not its parts.
    pub is_cheap: bool,
}

impl SchemaNode {
    /// Returns `true` if the schema is `false`, which no value matches.
    pub fn takes_nothing(&self) -> bool {
        matches!(self.keywords.as_slice(), [Keyword::Nothing])
    }
}

impl Program {
    pub fn node(&self, id: SchemaNodeId) -> Option<&SchemaNode> {
        self.nodes.get(id)
    }
}
