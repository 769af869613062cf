//! A compiled schema as a table of nodes that refer to each other by number, and how it is made without recursion.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::dialect::Vocabularies;
use super::keyword::{Dynamic, Keyword};
use super::library::{Fault, Library};
use super::{Schema, graph, keywords};
use crate::config::pointer;

/// The number of a node.
pub(super) type NodeId = usize;

/// All nodes that a schema reaches.
#[derive(Debug)]
pub(super) struct Program {
    nodes: Vec<Node>,
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

/// Compiles what a schema reaches, one place after the other.
pub(super) struct Builder<'l> {
    pub library: &'l mut Library,
    nodes: Vec<Node>,
    known: BTreeMap<(usize, String), NodeId>,
    /// Where each node stands.
    places: Vec<(usize, String)>,
    faults: Vec<Fault>,
}

/// The place whose keywords are being read.
pub(super) struct Here<'b, 'l> {
    pub builder: &'b mut Builder<'l>,
    pub document: usize,
    pub pointer: String,
    pub resource: usize,
    pub vocabularies: Vocabularies,
}

impl<'l> Builder<'l> {
    pub fn new(library: &'l mut Library) -> Builder<'l> {
        Builder { library, nodes: Vec::new(), known: BTreeMap::new(), places: Vec::new(), faults: Vec::new() }
    }

    /// Compiles the schema that a document is.
    pub fn run(mut self, document: usize) -> Result<Schema, Vec<Fault>> {
        let root = self.node(document, String::new());
        // Dynamic references may lead into every resource that is reached, and so reach further ones.
        while self.nodes.len() < self.places.len() {
            while let Some((document, pointer)) = self.places.get(self.nodes.len()).cloned() {
                let node = self.build(document, pointer);
                self.nodes.push(node);
            }
            self.lead_dynamic_references();
        }
        for (id, message) in graph::faults(&self.nodes) {
            if let Some((document, pointer)) = self.places.get(id).cloned() {
                self.fault(document, &pointer, message);
            }
        }
        let mut documents: Vec<usize> = self.places.iter().map(|(document, _)| *document).collect();
        documents.dedup();
        self.faults.extend(self.library.faults_of(&documents));
        self.faults.sort();
        self.faults.dedup();
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        let tracks = self.nodes.iter().any(|node| node.keywords.iter().any(Keyword::depends_on_others));
        Ok(Schema { program: Program { nodes: self.nodes, tracks }, root })
    }

    /// The number of the node for a place; it is compiled when its turn comes.
    pub fn node(&mut self, document: usize, pointer: String) -> NodeId {
        let place = (document, pointer);
        let next = self.places.len();
        let id = *self.known.entry(place.clone()).or_insert(next);
        if id == next {
            self.places.push(place);
        }
        id
    }

    fn lead_dynamic_references(&mut self) {
        let resources: BTreeSet<usize> = self.nodes.iter().map(|node| node.resource).collect();
        let mut nodes = std::mem::take(&mut self.nodes);
        for keyword in nodes.iter_mut().flat_map(|node| &mut node.keywords) {
            let Keyword::Dynamic(Dynamic { name: Some(name), named, .. }) = keyword else { continue };
            for resource in &resources {
                if let Some((document, pointer)) = self.library.dynamic_target(*resource, name) {
                    named.insert(*resource, self.node(document, pointer));
                }
            }
        }
        self.nodes = nodes;
    }

    fn build(&mut self, document: usize, pointer: String) -> Node {
        let resource = self.library.resource_of(document, &pointer);
        let whole = self.library.document(document);
        let mut node = Node { resource, keywords: Vec::new(), is_cheap: true };
        match whole.as_ref().and_then(|whole| pointer::find(whole, &pointer)) {
            Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => node.keywords.push(Keyword::Nothing),
            Some(Value::Object(members)) => {
                let vocabularies = self.library.vocabularies(resource).unwrap_or_else(|message| {
                    self.fault(document, &format!("{pointer}/$schema"), message);
                    Vocabularies::standard()
                });
                node.keywords =
                    keywords::read(&mut Here { builder: self, document, pointer, resource, vocabularies }, members);
            }
            _ => self.fault(document, &pointer, "a schema is an object, true or false".to_string()),
        }
        node.keywords.sort_by_key(Keyword::rank);
        node.is_cheap = node.keywords.iter().all(Keyword::is_assertion);
        node
    }

    fn fault(&mut self, document: usize, pointer: &str, message: String) {
        self.faults.push(self.library.fault(document, pointer, message));
    }
}

impl Here<'_, '_> {
    /// Notes what is wrong with a keyword.
    pub fn fault(&mut self, keyword: &str, message: impl Into<String>) {
        let pointer = pointer::join(&self.pointer, keyword);
        self.builder.fault(self.document, &pointer, message.into());
    }

    /// The node for a schema inside this one.
    pub fn inner(&mut self, way: &[&str]) -> NodeId {
        let pointer = way.iter().fold(self.pointer.clone(), |pointer, segment| pointer::join(&pointer, segment));
        self.builder.node(self.document, pointer)
    }
}
