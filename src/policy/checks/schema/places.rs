//! The places that a schema reaches, each with the number of its node, and the faults found on the way.

use std::collections::BTreeMap;

use super::id::NodeId;
use super::library::{Fault, Library};

/// The places that a schema reaches, and the faults found there.
pub(super) struct Places<'l> {
    pub library: &'l mut Library,
    known: BTreeMap<(usize, String), NodeId>,
    /// Document and pointer of each node.
    reached: Vec<(usize, String)>,
    faults: Vec<Fault>,
}

impl<'l> Places<'l> {
    pub fn new(library: &'l mut Library) -> Places<'l> {
        Places { library, known: BTreeMap::new(), reached: Vec::new(), faults: Vec::new() }
    }

    /// The number of the node for a place; it is compiled when its turn comes.
    pub fn node(&mut self, document: usize, pointer: String) -> NodeId {
        let place = (document, pointer);
        let next = self.reached.len();
        let id = *self.known.entry(place.clone()).or_insert(next);
        if id == next {
            self.reached.push(place);
        }
        id
    }

    /// Document and pointer of a node.
    pub fn get(&self, id: NodeId) -> Option<(usize, String)> {
        self.reached.get(id).cloned()
    }

    /// How many places are reached.
    pub fn len(&self) -> usize {
        self.reached.len()
    }

    /// Notes a fault.
    pub fn fault(&mut self, document: usize, pointer: &str, message: String) {
        self.faults.push(self.library.fault(document, pointer, message));
    }

    /// Every fault, those of the documents included, in order and once each.
    pub fn into_faults(mut self) -> Vec<Fault> {
        let mut documents: Vec<usize> = self.reached.iter().map(|(document, _)| *document).collect();
        documents.dedup();
        self.faults.extend(self.library.faults_of(&documents));
        self.faults.sort();
        self.faults.dedup();
        self.faults
    }
}
