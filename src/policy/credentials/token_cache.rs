//! Remembers callers whose tokens were verified, so that a token seen before costs a look-up and no cryptography.
//!
//! It remembers who the caller is, nothing about what the caller may do: time, key set and route are checked on every use.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::mem;
use std::rc::Rc;

use super::caller::Caller;
use super::footprint::block;

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
    /// The memory that it takes.
    bytes: usize,
}

/// The last 16 bytes of a token: the end of a signature or MAC, which nobody can choose without the key. Only verified tokens
/// are ever inserted, so no client can aim for collisions; the whole token is compared before it counts.
pub(in crate::policy) type Tail = u128;

impl TokenCache {
    /// A cache of at most this many callers, whose tokens and claims take at most this many bytes as they are allocated.
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
        let bytes = room(token, &caller);
        self.keep(Known { token: token.into(), caller, bytes });
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
        let bytes = known.bytes;
        if bytes > self.most_bytes || self.most_entries == 0 {
            return;
        }
        if self.young.callers.len() >= self.most_entries || self.young.bytes + bytes > self.most_bytes {
            self.old = mem::take(&mut self.young);
        }
        self.young.bytes += bytes;
        if let Some(before) = self.young.callers.insert(tail(&known.token), known) {
            self.young.bytes -= before.bytes;
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
        self.bytes -= known.bytes;
        Some(known)
    }
}

/// See [`Tail`].
pub(in crate::policy) fn tail(token: &[u8]) -> Tail {
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

/// The memory that a token and its caller take. A table has up to 16 slots for 7 entries: it doubles when it is 7/8 full.
fn room(token: &[u8], caller: &Caller) -> usize {
    block(token.len()) + caller.allocated() + 3 * size_of::<(Tail, Known)>()
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::policy::credentials::caller::Proof;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_caller_is_found_by_its_whole_token_alone() {
        let mut cache = TokenCache::new(10, 1 << 20);
        let [ours, theirs] = [token(1), [b"x", token(1).as_slice()].concat()];
        cache.insert(&ours, named("us"));
        assert_eq!(tail(&ours), tail(&theirs));
        assert_eq!(found(&mut cache, &ours), Some("us".to_owned()));
        assert_eq!(found(&mut cache, &theirs), None);
        cache.remove(&theirs);
        assert_eq!(found(&mut cache, &ours), Some("us".to_owned()), "removed by a token that only ends alike");
        cache.insert(&theirs, named("them"));
        assert_eq!(found(&mut cache, &theirs), Some("them".to_owned()));
        assert_eq!(found(&mut cache, &ours), None);
        cache.remove(&theirs);
        assert!(cache.is_empty() && cache.young.bytes == 0);
    }

    #[test]
    fn a_short_token_is_none_of_those_it_begins_or_ends() {
        let mut cache = TokenCache::new(10, 1 << 20);
        cache.insert(b"bc", named("us"));
        for other in [b"".as_slice(), b"b", b"c", b"abc", b"bcd", b"\0bc", b"bc\0"] {
            assert_eq!(found(&mut cache, other), None, "{other:?}");
        }
        assert_eq!(found(&mut cache, b"bc"), Some("us".to_owned()));
    }

    #[test]
    fn one_more_than_fits_puts_the_oldest_out() {
        let mut cache = TokenCache::new(10, 1 << 20);
        for n in 0..10 {
            cache.insert(&token(n), named("us"));
        }
        assert_eq!(cache.len(), 10);
        cache.insert(&token(10), named("us"));
        assert_eq!(cache.len(), 6, "the older half is gone at once");
        let kept: Vec<_> = (0..11).filter(|n| known(&cache, *n)).collect();
        assert_eq!(kept, (5..11).collect::<Vec<_>>());
        for n in 0..1_000 {
            cache.insert(&token(n), named("us"));
            assert!(cache.len() <= 10, "{} after {n}", cache.len());
        }
    }

    #[test]
    fn what_was_just_used_survives_a_flood() {
        let mut cache = TokenCache::new(10, 1 << 20);
        cache.insert(&token(0), named("regular"));
        for n in 1..1_000 {
            cache.insert(&token(n), named("passer-by"));
            assert_eq!(found(&mut cache, &token(0)), Some("regular".to_owned()), "gone after {n}");
        }
        for n in 1_000..1_010 {
            cache.insert(&token(n), named("passer-by"));
        }
        assert_eq!(found(&mut cache, &token(0)), None, "unused while as many came as there is room for");
    }

    #[test]
    fn tokens_never_take_more_bytes_than_there_are() {
        let most = 10 * one();
        let mut cache = TokenCache::new(1_000, most);
        for n in 0..1_000 {
            cache.insert(&[vec![b'x'; n % 300], token(n)].concat(), named("us"));
            cache.get(&token(n.saturating_sub(7)));
            let taken = [&cache.young, &cache.old].map(|generation| {
                let counted: usize = generation.callers.values().map(|known| room(&known.token, &known.caller)).sum();
                assert_eq!(generation.bytes, counted, "after {n}");
                counted
            });
            assert!(taken.iter().all(|taken| *taken <= most / 2), "{taken:?} after {n}");
        }
        assert!(cache.len() > 4);
    }

    #[test]
    fn what_can_never_fit_is_not_kept_and_pushes_nobody_out() {
        let mut cache = TokenCache::new(10, 10 * one());
        cache.insert(&token(0), named("us"));
        cache.insert(&[b'x'; 10_000], named("huge"));
        assert_eq!((cache.len(), found(&mut cache, &[b'x'; 10_000])), (1, None));
        assert_eq!(found(&mut cache, &token(0)), Some("us".to_owned()));
        for (entries, bytes) in [(0, 1 << 20), (1, 1 << 20), (10, 0)] {
            let mut none = TokenCache::new(entries, bytes);
            none.insert(&token(0), named("us"));
            assert!(none.is_empty(), "{entries} entries of {bytes} bytes");
        }
    }

    #[test]
    fn a_token_that_comes_and_goes_gives_its_room_back() {
        let mut cache = TokenCache::new(10, 10 * one());
        cache.insert(&token(0), named("regular"));
        for _ in 0..1_000 {
            cache.insert(&token(1), named("removed"));
            cache.remove(&token(1));
            assert_eq!(found(&mut cache, &token(1)), None);
        }
        for _ in 0..1_000 {
            cache.insert(&token(2), named("again"));
        }
        assert_eq!(cache.len(), 2);
        assert_eq!(cache.young.bytes, 2 * one());
        assert!(known(&cache, 0), "pushed out by others that left or came again");
    }

    #[test]
    fn what_is_removed_or_replaced_never_comes_back_from_the_older_half() {
        let mut cache = TokenCache::new(4, 1 << 20);
        cache.insert(&token(0), named("before"));
        cache.insert(&token(1), named("us"));
        cache.insert(&token(2), named("us"));
        assert!(cache.old.callers.contains_key(&tail(&token(0))));
        cache.insert(&token(0), named("after"));
        assert_eq!(found(&mut cache, &token(0)), Some("after".to_owned()));
        cache.remove(&token(0));
        assert_eq!(found(&mut cache, &token(0)), None);
        cache.remove(&token(1));
        assert_eq!((cache.len(), known(&cache, 2)), (1, true));
    }

    #[test]
    fn claims_count_as_they_are_allocated() {
        const BOUND: usize = 1 << 20;
        let dense = |n: usize| {
            let text = format!("{{\"sub\":\"{n}\",\"x\":[{}]}}", vec![r#"{"":0}"#; 500].join(","));
            let claims: Value = serde_json::from_str(&text).unwrap();
            Rc::new(Caller { claims, ..Caller::proven(Proof::Certificate) })
        };
        // Each object has a node with room for eleven members.
        let least = 500 * 11 * (size_of::<String>() + size_of::<Value>());
        assert!(room(&token(0), &dense(0)) >= least);
        let mut cache = TokenCache::new(20_000, BOUND);
        for n in 0..100 {
            cache.insert(&token(n), dense(n));
            assert!(cache.len() * least <= BOUND, "{} callers of {least} bytes and more", cache.len());
        }
        assert!(!cache.is_empty());
    }

    /// What one of the tokens below takes.
    fn one() -> usize {
        room(&token(0), &named("us"))
    }

    fn token(n: usize) -> Vec<u8> {
        format!("eyJhbGciOiJFZERTQSJ9.{n:08}.{n:032}").into_bytes()
    }

    fn named(subject: &str) -> Rc<Caller> {
        Rc::new(Caller { subject: Some(subject.into()), ..Caller::proven(Proof::Certificate) })
    }

    fn found(cache: &mut TokenCache, token: &[u8]) -> Option<String> {
        cache.get(token).and_then(|caller| caller.subject.as_deref().map(str::to_owned))
    }

    /// Whether it is there, without using it.
    fn known(cache: &TokenCache, n: usize) -> bool {
        [&cache.young, &cache.old].iter().any(|generation| generation.callers.contains_key(&tail(&token(n))))
    }
}
