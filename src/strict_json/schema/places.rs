//! Assigns a node id to each location of a schema that the compiler reaches, and collects the faults.

use std::collections::BTreeMap;

use super::id::SchemaNodeId;
use super::library::Library;
use crate::strict_json::schema_types::SchemaFault;

/// The locations of subschemas that the compiler has reached so far, and the faults in them.
pub(super) struct Places<'l> {
    pub library: &'l mut Library,
    known: BTreeMap<(usize, String), SchemaNodeId>,
    /// The location of each node: the index of the document, and the pointer in the document.
    reached: Vec<(usize, String)>,
    faults: Vec<SchemaFault>,
}

impl<'l> Places<'l> {
    pub fn new(library: &'l mut Library) -> Places<'l> {
        Places { library, known: BTreeMap::new(), reached: Vec::new(), faults: Vec::new() }
    }

    /// Returns the node id of a location. A new location gets the next id. The compiler processes all ids in order, so it will
    /// compile the schema at this location later.
    pub fn node(&mut self, document: usize, pointer: String) -> SchemaNodeId {
        let place = (document, pointer);
        let next = self.reached.len();
        let id = *self.known.entry(place.clone()).or_insert(next);
        if id == next {
            self.reached.push(place);
        }
        id
    }

    /// Returns the location of a node: the index of the document, and the pointer in the document.
    pub fn get(&self, id: SchemaNodeId) -> Option<(usize, String)> {
        self.reached.get(id).cloned()
    }

    /// Returns the number of locations that were reached so far.
    pub fn len(&self) -> usize {
        self.reached.len()
    }

    /// Adds a fault at a location.
    pub fn fault(&mut self, document: usize, pointer: &str, message: String) {
        self.faults.push(self.library.fault(document, pointer, message));
    }

    /// Returns all faults, sorted and without duplicates. They include the faults that [`Library::add`] found in the reached
    /// documents.
    pub fn into_faults(mut self) -> Vec<SchemaFault> {
        let mut documents: Vec<usize> = self.reached.iter().map(|(document, _)| *document).collect();
        documents.dedup();
        self.faults.extend(self.library.faults_of(&documents));
        self.faults.sort();
        self.faults.dedup();
        self.faults
    }
}
