//! The locations that a schema reaches, each with its node id, and the faults found there.

use std::collections::BTreeMap;

use super::id::SchemaNodeId;
use super::library::Library;
use crate::strict_json::schema_types::SchemaFault;

/// The locations that a schema reaches, and the faults found there.
pub(super) struct Places<'l> {
    pub library: &'l mut Library,
    known: BTreeMap<(usize, String), SchemaNodeId>,
    /// The document and pointer of each node.
    reached: Vec<(usize, String)>,
    faults: Vec<SchemaFault>,
}

impl<'l> Places<'l> {
    pub fn new(library: &'l mut Library) -> Places<'l> {
        Places { library, known: BTreeMap::new(), reached: Vec::new(), faults: Vec::new() }
    }

    /// Returns the node id of a location. A new location is queued for compilation.
    pub fn node(&mut self, document: usize, pointer: String) -> SchemaNodeId {
        let place = (document, pointer);
        let next = self.reached.len();
        let id = *self.known.entry(place.clone()).or_insert(next);
        if id == next {
            self.reached.push(place);
        }
        id
    }

    /// Returns the document and pointer of a node.
    pub fn get(&self, id: SchemaNodeId) -> Option<(usize, String)> {
        self.reached.get(id).cloned()
    }

    /// Returns the number of locations.
    pub fn len(&self) -> usize {
        self.reached.len()
    }

    /// Adds a fault to the faults found so far.
    pub fn fault(&mut self, document: usize, pointer: &str, message: String) {
        self.faults.push(self.library.fault(document, pointer, message));
    }

    /// Returns all faults, including the faults of the reached documents, sorted and without duplicates.
    pub fn into_faults(mut self) -> Vec<SchemaFault> {
        let mut documents: Vec<usize> = self.reached.iter().map(|(document, _)| *document).collect();
        documents.dedup();
        self.faults.extend(self.library.faults_of(&documents));
        self.faults.sort();
        self.faults.dedup();
        self.faults
    }
}
