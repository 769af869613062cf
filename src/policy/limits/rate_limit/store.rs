//! Stores buckets in cells that all workers share and update by compare-and-set.

use std::collections::HashMap;

/// Identifies a cell of one limit, or of one plan of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CellId {
    /// The number of the table, as in [`super::Meter::table`].
    pub table: u32,
    /// The index of the cell in the table.
    pub cell: u32,
}

/// The contents of a cell, and the version of these contents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// The bytes of the cell; empty if nothing is stored.
    pub bytes: Vec<u8>,
    /// The version of the contents; `None` if the cell does not exist yet.
    pub version: Option<u32>,
}

/// Storage for buckets. In the filter, all workers of a proxy share it; tools and tests have separate stores.
pub trait BucketStore {
    /// Returns the key of the hash that assigns callers to cells. All users of the store share the key. Clients do not know the
    /// key, so they cannot choose values that collide in one cell.
    fn hash_key(&self) -> [u8; 16];

    /// Loads a cell. A cell that does not exist is empty and has no version.
    fn load(&mut self, id: CellId) -> Cell;

    /// Replaces the contents of a cell. Returns `false` and changes nothing if the cell no longer has this version.
    fn store(&mut self, id: CellId, bytes: &[u8], version: Option<u32>) -> bool;
}

/// Buckets in process memory, for the command line, the tests and the benchmark.
#[derive(Debug, Default)]
pub struct LocalStore {
    cells: HashMap<CellId, (Vec<u8>, u32)>,
}

impl LocalStore {
    /// Returns the number of cells in use.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Returns `true` if the store contains no cell.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }
}

impl BucketStore for LocalStore {
    fn hash_key(&self) -> [u8; 16] {
        // A fixed key is safe here: no attacker targets the memory of a test process.
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
