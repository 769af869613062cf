//! The state that all threads of the process share: polled documents, and the buckets of local limits.
//!
//! The state outlives the configurations, so that an update of the configuration keeps documents and buckets.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::gateway::shared::SharedData;
use crate::policy::limits::rate_limit::store::{BucketStore, Cell, CellId};

/// The state of each scope.
static SCOPES: Mutex<Vec<(String, Arc<ProcessState>)>> = Mutex::new(Vec::new());

/// The state of one scope: the configurations with the same `filter_name`.
#[derive(Debug)]
pub struct ProcessState {
    documents: Mutex<Versions<String>>,
    /// The number of changes of `documents`.
    changes: AtomicU64,
    /// The buckets. They are spread over several locks, so that workers seldom wait for each other.
    cells: [Mutex<Versions<CellId>>; SHARDS],
    hash_key: [u8; 16],
}

/// Values with their versions.
type Versions<K> = HashMap<K, (Vec<u8>, u32)>;

/// The buckets of one scope.
#[derive(Clone, Debug)]
pub struct SharedCells(Arc<ProcessState>);

impl ProcessState {
    /// Returns the state of a scope, which is created at the first call.
    pub fn of(scope: &str) -> Arc<ProcessState> {
        let mut scopes = lock(&SCOPES);
        if let Some((_, known)) = scopes.iter().find(|(name, _)| name == scope) {
            return known.clone();
        }
        let state = Arc::new(ProcessState::new());
        scopes.push((scope.to_string(), state.clone()));
        state
    }

    fn new() -> ProcessState {
        let word = || RandomState::new().build_hasher().finish().to_le_bytes();
        let mut hash_key = [0; 16];
        hash_key.iter_mut().zip(word().into_iter().chain(word())).for_each(|(place, byte)| *place = byte);
        let cells = std::array::from_fn(|_| Mutex::default());
        ProcessState { documents: Mutex::default(), changes: AtomicU64::new(0), cells, hash_key }
    }

    /// Returns a number that changes whenever a document changes.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }
}

impl SharedData for ProcessState {
    fn get(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        lock(&self.documents).get(key).cloned()
    }

    fn set(&self, key: &str, value: &[u8]) {
        put(&mut lock(&self.documents), key.to_string(), value);
        self.changes.fetch_add(1, Ordering::Release);
    }

    fn compare_and_set(&self, key: &str, value: &[u8], version: u32) -> bool {
        let mut documents = lock(&self.documents);
        if documents.get(key).is_some_and(|(_, current)| *current != version) {
            return false;
        }
        put(&mut documents, key.to_string(), value);
        self.changes.fetch_add(1, Ordering::Release);
        true
    }
}

impl SharedCells {
    /// Returns the buckets of a scope.
    pub fn of(state: &Arc<ProcessState>) -> SharedCells {
        SharedCells(state.clone())
    }

    fn shard(&self, id: CellId) -> MutexGuard<'_, Versions<CellId>> {
        let [first, ..] = &self.0.cells;
        let number = usize::try_from(id.table ^ id.cell).unwrap_or(0) % SHARDS;
        lock(self.0.cells.get(number).unwrap_or(first))
    }
}

impl BucketStore for SharedCells {
    fn hash_key(&self) -> [u8; 16] {
        self.0.hash_key
    }

    fn load(&mut self, id: CellId) -> Cell {
        let cells = self.shard(id);
        cells
            .get(&id)
            .map(|(bytes, version)| Cell { bytes: bytes.clone(), version: Some(*version) })
            .unwrap_or_default()
    }

    fn store(&mut self, id: CellId, bytes: &[u8], version: Option<u32>) -> bool {
        let mut cells = self.shard(id);
        if cells.get(&id).map(|(_, current)| *current) != version {
            return false;
        }
        put(&mut cells, id, bytes);
        true
    }
}

/// Stores a value with a new version, which is never 0.
fn put<K: Eq + Hash>(values: &mut Versions<K>, key: K, value: &[u8]) {
    let entry = values.entry(key).or_default();
    *entry = (value.to_vec(), entry.1.wrapping_add(1).max(1));
}

/// Locks a mutex. After a panic in another thread, the values are still whole, because every change is a single assignment.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const SHARDS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_with_an_old_version_is_refused() {
        let state = ProcessState::of("a scope of its own");
        assert!(state.compare_and_set("a", b"1", 7), "a key that does not exist accepts every version");
        let (value, version) = state.get("a").unwrap();
        assert_eq!(value, b"1");
        let changes = state.changes();
        assert!(!state.compare_and_set("a", b"2", version + 1));
        assert_eq!(state.changes(), changes);
        assert!(state.compare_and_set("a", b"2", version));
        assert_ne!(state.changes(), changes);
        state.set("a", b"3");
        assert_eq!(ProcessState::of("a scope of its own").get("a").unwrap().0, b"3");
        assert!(ProcessState::of("another scope").get("a").is_none());
    }

    #[test]
    fn of_two_threads_that_store_a_bucket_one_must_try_again() {
        let state = ProcessState::of("buckets");
        let id = CellId { table: 3, cell: 70 };
        let add = |state: &Arc<ProcessState>| {
            let mut cells = SharedCells::of(state);
            for _ in 0..1_000 {
                loop {
                    let cell = cells.load(id);
                    let count = cell.bytes.try_into().map_or(0, u64::from_le_bytes);
                    if cells.store(id, &(count + 1).to_le_bytes(), cell.version) {
                        break;
                    }
                }
            }
        };
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(|| add(&state)))));
        assert_eq!(SharedCells::of(&state).load(id).bytes, 4_000_u64.to_le_bytes());
    }
}
