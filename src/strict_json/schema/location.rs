//! The schema whose keywords are being compiled, with its location.

use super::dialect::Vocabularies;
use super::id::SchemaNodeId;
use super::places::Places;
use crate::strict_json::pointer;

/// A schema whose keywords are being compiled: its location, its schema resource, and the vocabularies that apply to it.
pub(super) struct SchemaLocation<'b, 'l> {
    pub places: &'b mut Places<'l>,
    pub document: usize,
    pub pointer: String,
    pub resource: usize,
    pub vocabularies: Vocabularies,
}

impl SchemaLocation<'_, '_> {
    /// Reports a fault in a keyword of this schema.
    pub fn fault(&mut self, keyword: &str, message: impl Into<String>) {
        let pointer = pointer::join(&self.pointer, keyword);
        self.places.fault(self.document, &pointer, message.into());
    }

    /// Returns the id of the subschema at this path, relative to this schema.
    pub fn inner(&mut self, way: &[&str]) -> SchemaNodeId {
        let pointer = way.iter().fold(self.pointer.clone(), |pointer, segment| pointer::join(&pointer, segment));
        self.places.node(self.document, pointer)
    }
}
