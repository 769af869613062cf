//! A compiled schema: a table of nodes that refer to each other by id.

use super::id::SchemaNodeId;
use super::keyword::Keyword;

/// The nodes of a schema and of all schemas that it refers to.
#[derive(Debug)]
pub(super) struct Program {
    pub nodes: Vec<SchemaNode>,
    /// Whether a node contains `unevaluatedProperties` or `unevaluatedItems`. Only then does validation track the evaluated
    /// members and items.
    pub tracks: bool,
}

/// A compiled schema or subschema.
#[derive(Debug, Default)]
pub(super) struct SchemaNode {
    /// The index of the schema resource that contains the schema.
    pub resource: usize,
    /// The keywords of the schema, in the order of application.
    pub keywords: Vec<Keyword>,
    /// Whether the schema is cheap to apply, because none of its keywords applies another schema.
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
