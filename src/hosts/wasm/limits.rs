//! Stores the buckets of local limits in Envoy's shared data, so that all workers of a proxy count together.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::host;
use crate::policy::limits::rate_limit::store::{BucketStore, Cell, CellId};

/// The cells of the buckets in Envoy's shared data. All workers use the same `hash_key`, so they assign a bucket to the same
/// cell.
pub struct SharedCells {
    hash_key: [u8; 16],
}

impl SharedCells {
    /// Reads the shared hash key. The first worker creates it.
    pub fn open() -> SharedCells {
        let word = || RandomState::new().build_hasher().finish().to_le_bytes();
        let mut hash_key = [0; 16];
        hash_key.iter_mut().zip(word().into_iter().chain(word())).for_each(|(place, byte)| *place = byte);
        host::share_if_absent(HASH_KEY, &hash_key);
        let shared = host::shared(HASH_KEY).0.and_then(|bytes| bytes.try_into().ok());
        SharedCells { hash_key: shared.unwrap_or(hash_key) }
    }
}

impl BucketStore for SharedCells {
    fn hash_key(&self) -> [u8; 16] {
        self.hash_key
    }

    fn load(&mut self, id: CellId) -> Cell {
        let (bytes, version) = host::shared(&name(id));
        Cell { bytes: bytes.unwrap_or_default(), version }
    }

    fn store(&mut self, id: CellId, bytes: &[u8], version: Option<u32>) -> bool {
        match version {
            Some(_) => host::share(&name(id), bytes, version),
            None => host::share_if_absent(&name(id), bytes),
        }
    }
}

/// Returns the key of a cell in the shared data. The key is short, so that Envoy can store it without a separate allocation.
fn name(id: CellId) -> [u8; 21] {
    let mut name = *b"portcullis/l/--------";
    let number = id.table.to_be_bytes().into_iter().chain(id.cell.to_be_bytes());
    name.iter_mut().skip(13).zip(number).for_each(|(place, byte)| *place = byte);
    name
}

const HASH_KEY: &str = "portcullis/limits/hash-key";
