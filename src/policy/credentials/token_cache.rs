//! Caches callers with verified tokens, so that a repeated token costs a lookup instead of a signature verification.
//!
//! The cache stores verified callers, but no authorization decisions. The time, the key set and the requirements of the route are
//! checked for every request.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::mem;
use std::sync::Arc;

use super::caller::Caller;
use super::footprint::block;

/// A cache of verified callers by token, with a maximum number of entries and bytes.
///
/// The cache has two generations. New and recently used entries are in the young generation. When the young generation is full,
/// it replaces the old generation. Recently used entries therefore stay in the cache, and the cache needs no list ordered by use.
#[derive(Debug)]
pub struct TokenCache {
    young: Generation,
    old: Generation,
    most_entries: usize,
    most_bytes: usize,
}

#[derive(Debug, Default)]
struct Generation {
    callers: HashMap<TokenTail, CachedToken, BuildHasherDefault<TailHasher>>,
    bytes: usize,
}

/// A verified token and its caller.
#[derive(Debug)]
struct CachedToken {
    token: Box<[u8]>,
    caller: Arc<Caller>,
    /// The number of bytes that the entry uses.
    bytes: usize,
}

/// The last 16 bytes of a token: the end of a signature or MAC, which nobody can choose without the key. Only verified tokens
/// are inserted, so clients cannot create collisions on purpose. Lookups compare the whole token.
pub(in crate::policy) type TokenTail = u128;

impl TokenCache {
    /// Creates a cache with a maximum number of entries and of allocated bytes.
    pub fn new(most_entries: usize, most_bytes: usize) -> TokenCache {
        let (young, old) = (Generation::default(), Generation::default());
        TokenCache { young, old, most_entries: most_entries / 2, most_bytes: most_bytes / 2 }
    }

    /// Returns the caller that was verified with exactly this token.
    pub fn get(&mut self, token: &[u8]) -> Option<Arc<Caller>> {
        if let Some(known) = self.young.callers.get(&tail(token)) {
            return same(&known.token, token).then(|| known.caller.clone());
        }
        let known = self.old.take(token)?;
        let caller = known.caller.clone();
        self.keep(known);
        Some(caller)
    }

    /// Inserts a verified caller. A caller that is larger than the cache allows is not inserted.
    pub fn insert(&mut self, token: &[u8], caller: Arc<Caller>) {
        let bytes = entry_bytes(token, &caller);
        self.keep(CachedToken { token: token.into(), caller, bytes });
    }

    /// Removes a token that is no longer valid.
    pub fn remove(&mut self, token: &[u8]) {
        self.young.take(token);
        self.old.take(token);
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.young.callers.len() + self.old.callers.len()
    }

    /// Returns `true` if the cache is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn keep(&mut self, known: CachedToken) {
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
    /// Removes an entry and subtracts its size from the byte count. If the size were not subtracted, a token that is removed and
    /// inserted again and again would fill the count and evict other tokens.
    fn take(&mut self, token: &[u8]) -> Option<CachedToken> {
        let tail = tail(token);
        if !same(&self.callers.get(&tail)?.token, token) {
            return None;
        }
        let known = self.callers.remove(&tail)?;
        self.bytes -= known.bytes;
        Some(known)
    }
}

/// Returns the [`TokenTail`] of a token.
pub(in crate::policy) fn tail(token: &[u8]) -> TokenTail {
    match token.last_chunk::<16>() {
        Some(bytes) => TokenTail::from_le_bytes(*bytes),
        None => token.iter().fold(0, |word, byte| word << 8 | TokenTail::from(*byte)),
    }
}

/// Compares two tokens, eight bytes at a time. In Wasm, a comparison of slices works byte by byte.
fn same(a: &[u8], b: &[u8]) -> bool {
    let ((a_words, a_rest), (b_words, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let words = |chunks| <[[u8; 8]]>::iter(chunks).map(|chunk| u64::from_le_bytes(*chunk));
    a.len() == b.len() && words(a_words).eq(words(b_words)) && a_rest == b_rest
}

/// Returns the bytes that a token and its caller use. Counts three slots of the hash table, because the table doubles when it is
/// 7/8 full, so that more than half of its slots can be empty.
fn entry_bytes(token: &[u8], caller: &Caller) -> usize {
    block(token.len()) + caller.allocated() + 3 * size_of::<(TokenTail, CachedToken)>()
}

/// A hasher that only mixes the two halves of a token's tail, because the tail is already random.
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
    fn a_caller_is_found_only_by_its_whole_token() {
        let mut cache = TokenCache::new(10, 1 << 20);
        let [ours, theirs] = [token(1), [b"x", token(1).as_slice()].concat()];
        cache.insert(&ours, named("us"));
        assert_eq!(tail(&ours), tail(&theirs));
        assert_eq!(found(&mut cache, &ours), Some("us".to_owned()));
        assert_eq!(found(&mut cache, &theirs), None);
        cache.remove(&theirs);
        assert_eq!(found(&mut cache, &ours), Some("us".to_owned()), "removed by a token with the same tail");
        cache.insert(&theirs, named("them"));
        assert_eq!(found(&mut cache, &theirs), Some("them".to_owned()));
        assert_eq!(found(&mut cache, &ours), None);
        cache.remove(&theirs);
        assert!(cache.is_empty() && cache.young.bytes == 0);
    }

    #[test]
    fn a_prefix_or_suffix_of_a_token_is_not_found() {
        let mut cache = TokenCache::new(10, 1 << 20);
        cache.insert(b"bc", named("us"));
        for other in [b"".as_slice(), b"b", b"c", b"abc", b"bcd", b"\0bc", b"bc\0"] {
            assert_eq!(found(&mut cache, other), None, "{other:?}");
        }
        assert_eq!(found(&mut cache, b"bc"), Some("us".to_owned()));
    }

    #[test]
    fn an_entry_beyond_the_bound_evicts_the_oldest() {
        let mut cache = TokenCache::new(10, 1 << 20);
        for n in 0..10 {
            cache.insert(&token(n), named("us"));
        }
        assert_eq!(cache.len(), 10);
        cache.insert(&token(10), named("us"));
        assert_eq!(cache.len(), 6, "the old generation is dropped at once");
        let kept: Vec<_> = (0..11).filter(|n| known(&cache, *n)).collect();
        assert_eq!(kept, (5..11).collect::<Vec<_>>());
        for n in 0..1_000 {
            cache.insert(&token(n), named("us"));
            assert!(cache.len() <= 10, "{} after {n}", cache.len());
        }
    }

    #[test]
    fn recently_used_entries_survive_a_flood() {
        let mut cache = TokenCache::new(10, 1 << 20);
        cache.insert(&token(0), named("regular"));
        for n in 1..1_000 {
            cache.insert(&token(n), named("passer-by"));
            assert_eq!(found(&mut cache, &token(0)), Some("regular".to_owned()), "evicted after {n}");
        }
        for n in 1_000..1_010 {
            cache.insert(&token(n), named("passer-by"));
        }
        assert_eq!(found(&mut cache, &token(0)), None, "an unused entry is evicted");
    }

    #[test]
    fn tokens_stay_within_the_byte_bound() {
        let most = 10 * one();
        let mut cache = TokenCache::new(1_000, most);
        for n in 0..1_000 {
            cache.insert(&[vec![b'x'; n % 300], token(n)].concat(), named("us"));
            cache.get(&token(n.saturating_sub(7)));
            let taken = [&cache.young, &cache.old].map(|generation| {
                let counted: usize =
                    generation.callers.values().map(|known| entry_bytes(&known.token, &known.caller)).sum();
                assert_eq!(generation.bytes, counted, "after {n}");
                counted
            });
            assert!(taken.iter().all(|taken| *taken <= most / 2), "{taken:?} after {n}");
        }
        assert!(cache.len() > 4);
    }

    #[test]
    fn an_oversized_entry_is_not_cached_and_evicts_no_other() {
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
    fn a_removed_token_frees_its_bytes() {
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
        assert!(known(&cache, 0), "evicted although others only left or returned");
    }

    #[test]
    fn removed_and_replaced_entries_do_not_return_from_the_old_generation() {
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
    fn claims_count_with_their_allocated_size() {
        const BOUND: usize = 1 << 20;
        let dense = |n: usize| {
            let text = format!("{{\"sub\":\"{n}\",\"x\":[{}]}}", vec![r#"{"":0}"#; 500].join(","));
            let claims: Value = serde_json::from_str(&text).unwrap();
            Arc::new(Caller { claims, ..Caller::proven(Proof::Certificate) })
        };
        // Each JSON object allocates a node for eleven members.
        let least = 500 * 11 * (size_of::<String>() + size_of::<Value>());
        assert!(entry_bytes(&token(0), &dense(0)) >= least);
        let mut cache = TokenCache::new(20_000, BOUND);
        for n in 0..100 {
            cache.insert(&token(n), dense(n));
            assert!(cache.len() * least <= BOUND, "{} callers of {least} bytes and more", cache.len());
        }
        assert!(!cache.is_empty());
    }

    /// Returns the size of a cache entry for one of the tokens of `token`.
    fn one() -> usize {
        entry_bytes(&token(0), &named("us"))
    }

    fn token(n: usize) -> Vec<u8> {
        format!("eyJhbGciOiJFZERTQSJ9.{n:08}.{n:032}").into_bytes()
    }

    fn named(subject: &str) -> Arc<Caller> {
        Arc::new(Caller { subject: Some(subject.into()), ..Caller::proven(Proof::Certificate) })
    }

    fn found(cache: &mut TokenCache, token: &[u8]) -> Option<String> {
        cache.get(token).and_then(|caller| caller.subject.as_deref().map(str::to_owned))
    }

    /// Returns `true` if the token is cached, without marking it as used.
    fn known(cache: &TokenCache, n: usize) -> bool {
        [&cache.young, &cache.old].iter().any(|generation| generation.callers.contains_key(&tail(&token(n))))
    }
}
