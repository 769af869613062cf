//! Remembers callers whose tokens were verified, so that a token seen before costs a look-up and no cryptography.
//!
//! It remembers who the caller is, nothing about what the caller may do: time, key set and route are checked on every use.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::mem;
use std::rc::Rc;

use super::caller::Caller;

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
    callers: HashMap<Tail, Known, BuildHasherDefault<TailHasher>>,
    bytes: usize,
}

/// A verified token and whose it is.
#[derive(Debug)]
struct Known {
    token: Box<[u8]>,
    caller: Rc<Caller>,
}

/// The last 16 bytes of a token: the end of a signature or MAC, which nobody can choose without the key. Only verified tokens
/// are ever inserted, so no client can aim for collisions; the whole token is compared before it counts.
pub(super) type Tail = u128;

impl TokenCache {
    /// A cache that holds at most this many callers and about this many bytes of tokens and claims.
    pub fn new(most_entries: usize, most_bytes: usize) -> TokenCache {
        let (young, old) = (Generation::default(), Generation::default());
        TokenCache { young, old, most_entries: most_entries / 2, most_bytes: most_bytes / 2 }
    }

    /// The caller whose verified token is exactly this one.
    pub fn get(&mut self, token: &[u8]) -> Option<Rc<Caller>> {
        if let Some(known) = self.young.callers.get(&tail(token)) {
            return same(&known.token, token).then(|| known.caller.clone());
        }
        let known = self.old.take(token)?;
        let caller = known.caller.clone();
        self.keep(known);
        Some(caller)
    }

    /// Remembers a verified caller.
    pub fn insert(&mut self, token: &[u8], caller: Rc<Caller>) {
        self.keep(Known { token: token.into(), caller });
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

    fn keep(&mut self, known: Known) {
        let bytes = room(&known.token);
        if bytes > self.most_bytes || self.most_entries == 0 {
            return;
        }
        if self.young.callers.len() >= self.most_entries || self.young.bytes + bytes > self.most_bytes {
            self.old = mem::take(&mut self.young);
        }
        self.young.bytes += bytes;
        if let Some(before) = self.young.callers.insert(tail(&known.token), known) {
            self.young.bytes -= room(&before.token);
        }
    }
}

impl Generation {
    /// Takes an entry out with the room it took: a token that comes and goes must not push out the others.
    fn take(&mut self, token: &[u8]) -> Option<Known> {
        let tail = tail(token);
        if !same(&self.callers.get(&tail)?.token, token) {
            return None;
        }
        let known = self.callers.remove(&tail)?;
        self.bytes -= room(&known.token);
        Some(known)
    }
}

/// See [`Tail`].
pub(super) fn tail(token: &[u8]) -> Tail {
    match token.last_chunk::<16>() {
        Some(bytes) => Tail::from_le_bytes(*bytes),
        None => token.iter().fold(0, |word, byte| word << 8 | Tail::from(*byte)),
    }
}

/// Compares eight bytes at a time: as wasm, the slices' own comparison takes them one by one.
fn same(a: &[u8], b: &[u8]) -> bool {
    let ((a_words, a_rest), (b_words, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let words = |chunks| <[[u8; 8]]>::iter(chunks).map(|chunk| u64::from_le_bytes(*chunk));
    a.len() == b.len() && words(a_words).eq(words(b_words)) && a_rest == b_rest
}

/// A caller's claims take about as much again as the token that carried them, and some fixed room.
fn room(token: &[u8]) -> usize {
    token.len() * 3 + 256
}

/// Folds the tail, which is as good as random already.
#[derive(Debug, Default)]
struct TailHasher(u64);

impl Hasher for TailHasher {
    fn write_u128(&mut self, tail: u128) {
        #[expect(clippy::cast_possible_truncation, reason = "the two halves are taken apart")]
        let (low, high) = (tail as u64, (tail >> 64) as u64);
        self.0 = (low.rotate_left(26) ^ high).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}
