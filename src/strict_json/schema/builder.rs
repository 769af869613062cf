//! Compiles a schema and all schemas that it refers to. A work list replaces recursion, because chains of references can be long.

use std::collections::BTreeSet;

use serde_json::Value;

use super::dialect::Vocabularies;
use super::keyword::{Dynamic, Keyword};
use super::library::Library;
use super::location::SchemaLocation;
use super::places::Places;
use super::program::{Program, SchemaNode};
use super::{Schema, graph, keywords};
use crate::strict_json::pointer;
use crate::strict_json::schema_types::SchemaFault;

/// Compiles the schema in the document with this index, and all schemas that it refers to.
pub(super) fn compile(library: &mut Library, document: usize) -> Result<Schema, Vec<SchemaFault>> {
    let mut builder = Builder { places: Places::new(library), nodes: Vec::new() };
    let root = builder.places.node(document, String::new());
    // A dynamic reference can lead to schemas that are not compiled yet, and a schema that is compiled later can be another
    // target of the same reference. So both steps repeat until no new schema is found.
    while builder.nodes.len() < builder.places.len() {
        while let Some((document, pointer)) = builder.places.get(builder.nodes.len()) {
            let node = builder.build(document, pointer);
            builder.nodes.push(node);
        }
        builder.lead_dynamic_references();
    }
    let Builder { mut places, nodes } = builder;
    for (id, message) in graph::faults(&nodes) {
        if let Some((document, pointer)) = places.get(id) {
            places.fault(document, &pointer, message);
        }
    }
    let faults = places.into_faults();
    if !faults.is_empty() {
        return Err(faults);
    }
    let tracks = nodes.iter().any(|node| node.keywords.iter().any(Keyword::depends_on_others));
    Ok(Schema { program: Program { nodes, tracks }, root })
}

impl Library {
    /// Compiles the schema at this address.
    ///
    /// # Errors
    /// Returns all faults in the schema and in the schemas that it refers to.
    pub fn compile(&mut self, address: &str) -> Result<Schema, Vec<SchemaFault>> {
        let Some(document) = self.addresses.iter().position(|known| known == address) else {
            let message = "no schema with this address was added".to_string();
            return Err(vec![SchemaFault { address: address.to_string(), pointer: String::new(), message }]);
        };
        compile(self, document)
    }
}

struct Builder<'l> {
    places: Places<'l>,
    nodes: Vec<SchemaNode>,
}

impl Builder<'_> {
    fn lead_dynamic_references(&mut self) {
        let resources: BTreeSet<usize> = self.nodes.iter().map(|node| node.resource).collect();
        let mut nodes = std::mem::take(&mut self.nodes);
        for keyword in nodes.iter_mut().flat_map(|node| &mut node.keywords) {
            let Keyword::Dynamic(Dynamic { name: Some(name), named, .. }) = keyword else { continue };
            for resource in &resources {
                if let Some((document, pointer)) = self.places.library.dynamic_target(*resource, name) {
                    named.insert(*resource, self.places.node(document, pointer));
                }
            }
        }
        self.nodes = nodes;
    }

    fn build(&mut self, document: usize, pointer: String) -> SchemaNode {
        let resource = self.places.library.resource_of(document, &pointer);
        let whole = self.places.library.document(document);
        let mut node = SchemaNode { resource, keywords: Vec::new(), is_cheap: true };
        match whole.as_ref().and_then(|whole| pointer::find(whole, &pointer)) {
            Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => node.keywords.push(Keyword::Nothing),
            Some(Value::Object(members)) => {
                let vocabularies = self.places.library.vocabularies(resource).unwrap_or_else(|message| {
                    self.places.fault(document, &format!("{pointer}/$schema"), message);
                    Vocabularies::standard()
                });
                node.keywords = keywords::read(
                    &mut SchemaLocation { places: &mut self.places, document, pointer, resource, vocabularies },
                    members,
                );
            }
            _ => self.places.fault(document, &pointer, "a schema must be an object, true or false".to_string()),
        }
        node.keywords.sort_by_key(Keyword::rank);
        node.is_cheap = node.keywords.iter().all(Keyword::is_assertion);
        node
    }
}
