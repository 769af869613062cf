//! The literal children of all trie nodes in one hash table.
//!
//! A lookup costs the same for a node with one child and for a node with ten thousand children.
//!
//! The keys come only from the operator, and requests only look them up. So clients cannot create collisions, and a cheap hash
//! function is sufficient.

use super::id::TrieNodeId;
use crate::policy::request::guard::percent;

/// A path segment to look up in the table of literals. The lookup compares decoded text.
pub(super) struct PathSegment<'a> {
    pub(super) text: &'a str,
    hash: u64,
    escaped: bool,
}

impl<'a> PathSegment<'a> {
    /// Splits off the first segment. Returns the segment and the rest after its slash.
    pub(super) fn split(rest: &'a str) -> (Self, Option<&'a str>) {
        let (mut len, mut escaped) = (0, false);
        for byte in rest.bytes() {
            if byte == b'/' {
                break;
            }
            escaped |= byte == b'%';
            len += 1;
        }
        let (text, more) = rest.split_at_checked(len).unwrap_or((rest, ""));
        let hash = if escaped { hash_bytes(percent::bytes(text)) } else { hash_words(text) };
        (Self { text, hash, escaped }, more.strip_prefix('/'))
    }

    /// Creates a segment from decoded text.
    pub(super) fn plain(text: &'a str) -> Self {
        Self { text, hash: hash_words(text), escaped: false }
    }

    fn is(&self, literal: &str) -> bool {
        if self.escaped { percent::bytes(self.text).eq(literal.bytes()) } else { self.text == literal }
    }
}

/// The literal children of all nodes, in an open-addressing table. The number of slots is a power of two, and at most half of
/// the slots are used.
#[derive(Clone, Debug, Default)]
pub(super) struct Literals {
    /// Each slot contains the index of an edge plus one. Zero means that the slot is free.
    slots: Vec<u32>,
    edges: Vec<LiteralEdge>,
}

#[derive(Clone, Debug)]
struct LiteralEdge {
    hash: u64,
    parent: TrieNodeId,
    child: TrieNodeId,
    text: Box<str>,
}

impl Literals {
    pub(super) fn get(&self, parent: TrieNodeId, piece: &PathSegment<'_>) -> Option<TrieNodeId> {
        let mut at = slot(parent, piece.hash);
        loop {
            // The loop ends at the first free slot, because at least half of the slots are free.
            let place = self.slots.get(at & self.slots.len().checked_sub(1)?)?.checked_sub(1)?;
            let edge = self.edges.get(place as usize)?;
            if edge.hash == piece.hash && edge.parent == parent && piece.is(&edge.text) {
                return Some(edge.child);
            }
            at = at.wrapping_add(1);
        }
    }

    pub(super) fn add(&mut self, parent: TrieNodeId, piece: &PathSegment<'_>, child: TrieNodeId) {
        self.edges.push(LiteralEdge { hash: piece.hash, parent, child, text: piece.text.into() });
        if self.edges.len() * 2 > self.slots.len() {
            self.slots = vec![0; (self.edges.len() * 4).next_power_of_two()];
            (0..self.edges.len()).for_each(|edge| self.place(edge));
        } else {
            self.place(self.edges.len() - 1);
        }
    }

    /// Returns an iterator over the parent, text and child of every edge, in insertion order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TrieNodeId, &str, TrieNodeId)> {
        self.edges.iter().map(|edge| (edge.parent, &*edge.text, edge.child))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.edges.is_empty()
    }

    fn place(&mut self, edge: usize) {
        let Some(LiteralEdge { hash, parent, .. }) = self.edges.get(edge) else { return };
        let (start, mask) = (slot(*parent, *hash), self.slots.len() - 1);
        let free = (0..=mask).map(|step| start.wrapping_add(step) & mask).find(|at| self.slots.get(*at) == Some(&0));
        if let Some(slot) = free.and_then(|at| self.slots.get_mut(at)) {
            *slot = edge as u32 + 1;
        }
    }
}

/// Mixes the parent into the hash, so that equal texts below different nodes usually get different slots. Returns the upper half
/// of the product, because its bits are mixed better.
fn slot(parent: TrieNodeId, hash: u64) -> usize {
    ((hash ^ u64::from(parent)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
}

/// Hashes eight bytes with each multiplication. The last multiplication includes the remaining bytes and the length.
fn hash_words(text: &str) -> u64 {
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let state = words.iter().fold(0, |state, word| mix(state, u64::from_le_bytes(*word)));
    let last = rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    mix(state, last | (text.len() as u64) << 56)
}

/// Computes the same hash as `hash_words`, from single bytes.
fn hash_bytes(bytes: impl Iterator<Item = u8>) -> u64 {
    let (mut state, mut word, mut len) = (0, 0, 0_u64);
    for byte in bytes {
        word |= u64::from(byte) << (len % 8 * 8);
        len += 1;
        if len.is_multiple_of(8) {
            state = mix(state, word);
            word = 0;
        }
    }
    mix(state, word | len << 56)
}

fn mix(state: u64, word: u64) -> u64 {
    (state.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_found_with_any_escaping() {
        let mut literals = Literals::default();
        let texts: Vec<String> = (0..40).map(|len| "abcdefghé".chars().cycle().take(len).collect()).collect();
        for (child, text) in texts.iter().enumerate() {
            literals.add(7, &PathSegment::plain(text), child as TrieNodeId);
        }
        for (child, text) in texts.iter().enumerate() {
            let escaped: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let mixed = text.replace('a', "%61").replace('é', "%C3%A9") + "/more";
            for sent in [escaped, mixed] {
                assert_eq!(literals.get(7, &PathSegment::split(&sent).0), Some(child as TrieNodeId), "{sent}");
                assert_eq!(
                    literals.get(8, &PathSegment::split(&sent).0),
                    None,
                    "{sent} is not a child of another node"
                );
            }
        }
        assert_eq!(literals.get(7, &PathSegment::plain("abd")), None);
    }

    #[test]
    fn names_that_differ_by_a_number_are_spread_out() {
        let mut literals = Literals::default();
        for at in 0..10_000 {
            literals.add(at % 3, &PathSegment::plain(&format!("items{at}")), at);
        }
        let home = |edge: &LiteralEdge| slot(edge.parent, edge.hash) & (literals.slots.len() - 1);
        let mut homes: Vec<usize> = literals.edges.iter().map(home).collect();
        homes.sort_unstable();
        homes.dedup();
        // Chance alone makes some of the 10,000 edges share a home slot, but fewer than 3,000 of them.
        assert!(homes.len() > 7_000, "{} homes for 10,000 edges in {} slots", homes.len(), literals.slots.len());
    }
}
