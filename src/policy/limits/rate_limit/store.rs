//! Where counts are kept: cells that several workers share, each changed only by whoever saw what it holds.

use std::collections::HashMap;

/// The cells of one limit, or of one of its plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CellId {
    /// The table.
    pub table: u32,
    /// The cell in it.
    pub cell: u32,
}

/// What a cell held, and the version of it that a change refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Its bytes; empty where nothing was ever kept.
    pub bytes: Vec<u8>,
    /// Which state of the cell this is; none where there is no cell yet.
    pub version: Option<u32>,
}

/// Memory for counts. The filter's is shared by all workers of a proxy, that of tools and tests is their own.
pub trait BucketStore {
    /// The key of the hash that spreads callers over cells: the same for all who share the cells, and secret, so that nobody
    /// can choose callers that meet in one cell.
    fn hash_key(&self) -> [u8; 16];

    /// What a cell holds.
    fn load(&mut self, id: CellId) -> Cell;

    /// Replaces what a cell holds. False, and nothing done, when somebody changed it since this version was loaded.
    fn store(&mut self, id: CellId, bytes: &[u8], version: Option<u32>) -> bool;
}

/// Counts in plain memory, for the command line, the tests and the benchmark.
#[derive(Debug, Default)]
pub struct LocalStore {
    cells: HashMap<CellId, (Vec<u8>, u32)>,
}

impl LocalStore {
    /// How many cells hold something.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// True when nothing was ever counted.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }
}

impl BucketStore for LocalStore {
    fn hash_key(&self) -> [u8; 16] {
        // Nobody aims at the memory of one process's own test.
        *b"portcullis-local"
    }

    fn load(&mut self, id: CellId) -> Cell {
        let known = self.cells.get(&id);
        known.map(|(bytes, version)| Cell { bytes: bytes.clone(), version: Some(*version) }).unwrap_or_default()
    }

    fn store(&mut self, id: CellId, bytes: &[u8], version: Option<u32>) -> bool {
        let next = match (self.cells.get(&id), version) {
            (None, None) => 1,
            (Some((_, now)), Some(seen)) if *now == seen => seen.wrapping_add(1),
            _ => return false,
        };
        self.cells.insert(id, (bytes.to_vec(), next));
        true
    }
}
