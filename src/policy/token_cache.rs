//! Remembers callers whose tokens were verified, so that a token seen before costs a look-up and no cryptography.
//!
//! It remembers who the caller is, nothing about what the caller may do: time, key set and route are checked on every use.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::mem;
use std::rc::Rc;

use super::authenticate::Caller;

/// Verified callers by token, bounded in entries and bytes.
///
/// Two generations: new and used entries live in the young one; when it is full the old one is dropped and the young one
/// takes its place. What was used since then survives, without the bookkeeping of a list in order of use.
#[derive(Debug)]
pub struct TokenCache {
    young: Generation,
    old: Generation,
    most_entries: usize,
    most_bytes: usize,
}

#[derive(Debug, Default)]
struct Generation {
    callers: HashMap<Box<[u8]>, Rc<Caller>, BuildHasherDefault<TailHasher>>,
    bytes: usize,
}

impl TokenCache {
    /// A cache that holds at most this many callers and about this many bytes of tokens and claims.
    pub fn new(most_entries: usize, most_bytes: usize) -> TokenCache {
        let (young, old) = (Generation::default(), Generation::default());
        TokenCache { young, old, most_entries: most_entries / 2, most_bytes: most_bytes / 2 }
    }

    /// The caller whose verified token is exactly this one.
    pub fn get(&mut self, token: &[u8]) -> Option<Rc<Caller>> {
        if let Some(caller) = self.young.callers.get(token) {
            return Some(caller.clone());
        }
        let (token, caller) = self.old.take(token)?;
        self.keep(token, caller.clone());
        Some(caller)
    }

    /// Remembers a verified caller.
    pub fn insert(&mut self, token: &[u8], caller: Rc<Caller>) {
        self.keep(token.into(), caller);
    }

    /// Forgets a token that no longer holds.
    pub fn remove(&mut self, token: &[u8]) {
        self.young.take(token);
        self.old.take(token);
    }

    /// How many callers are remembered.
    pub fn len(&self) -> usize {
        self.young.callers.len() + self.old.callers.len()
    }

    /// True when nobody is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn keep(&mut self, token: Box<[u8]>, caller: Rc<Caller>) {
        let bytes = room(&token);
        if bytes > self.most_bytes || self.most_entries == 0 {
            return;
        }
        if self.young.callers.len() >= self.most_entries || self.young.bytes + bytes > self.most_bytes {
            self.old = mem::take(&mut self.young);
        }
        if self.young.callers.insert(token, caller).is_none() {
            self.young.bytes += bytes;
        }
    }
}

impl Generation {
    /// Takes an entry out with the room it took: a token that comes and goes must not push out the others.
    fn take(&mut self, token: &[u8]) -> Option<(Box<[u8]>, Rc<Caller>)> {
        let entry = self.callers.remove_entry(token)?;
        self.bytes -= room(&entry.0);
        Some(entry)
    }
}

/// A caller's claims take about as much again as the token that carried them, and some fixed room.
fn room(token: &[u8]) -> usize {
    token.len() * 3 + 256
}

/// Hashes a token by its last 16 bytes: the end of a signature or MAC, which nobody can choose without the key. Only
/// verified tokens are ever inserted, so no client can aim for collisions; equality compares the whole token.
#[derive(Debug, Default)]
struct TailHasher(u64);

impl Hasher for TailHasher {
    fn write(&mut self, bytes: &[u8]) {
        for tail in bytes.rchunks(8).take(2) {
            let word = tail.iter().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
            self.0 = (self.0.rotate_left(26) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}
