//! The map through which the workers of a proxy share polled documents.

use std::cell::RefCell;
use std::collections::HashMap;

/// A map that all workers of a proxy share. Every value has a version.
pub trait SharedData {
    /// Returns a value and its version; `None` if the key does not exist.
    fn get(&self, key: &str) -> Option<(Vec<u8>, u32)>;

    /// Stores a value without a check of its current version.
    fn set(&self, key: &str, value: &[u8]);

    /// Stores a value if the current value still has this version. If it has another version, stores nothing and returns `false`.
    fn compare_and_set(&self, key: &str, value: &[u8], version: u32) -> bool;
}

/// A map in the memory of this process, for tools and tests.
#[derive(Debug, Default)]
pub struct LocalData(RefCell<HashMap<String, (Vec<u8>, u32)>>);

impl SharedData for LocalData {
    fn get(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.0.borrow().get(key).cloned()
    }

    fn set(&self, key: &str, value: &[u8]) {
        let mut values = self.0.borrow_mut();
        let version = values.get(key).map_or(1, |(_, version)| version + 1);
        values.insert(key.to_string(), (value.to_vec(), version));
    }

    fn compare_and_set(&self, key: &str, value: &[u8], version: u32) -> bool {
        let is_same = self.0.borrow().get(key).is_some_and(|(_, known)| *known == version);
        if is_same {
            self.set(key, value);
        }
        is_same
    }
}
