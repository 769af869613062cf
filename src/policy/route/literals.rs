//! The literal children of all nodes of the trie in one hash table, so that a node with ten thousand of them costs what a
//! node with one does.
//!
//! The keys are the operator's, and a request only looks them up, so a cheap hash is safe.

use std::hash::Hasher;

use super::trie::NodeId;
use crate::policy::guard::percent;

/// A segment of a path on its way through the table of literals: what is compared is the decoded text.
pub(super) struct Piece<'a> {
    pub(super) text: &'a str,
    hash: u64,
    escaped: bool,
}

impl<'a> Piece<'a> {
    /// The first segment, and what follows its slash.
    pub(super) fn split(rest: &'a str) -> (Self, Option<&'a str>) {
        let mut hash = Fnv::default();
        let (mut len, mut escaped) = (0, false);
        for byte in rest.bytes() {
            if byte == b'/' {
                break;
            }
            escaped |= byte == b'%';
            hash.write_u8(byte);
            len += 1;
        }
        let (text, more) = rest.split_at_checked(len).unwrap_or((rest, ""));
        if escaped {
            hash = Fnv::default();
            percent::bytes(text).for_each(|byte| hash.write_u8(byte));
        }
        (Self { text, hash: hash.finish(), escaped }, more.strip_prefix('/'))
    }

    /// A segment of a pattern, decoded already.
    pub(super) fn plain(text: &'a str) -> Self {
        let mut hash = Fnv::default();
        hash.write(text.as_bytes());
        Self { text, hash: hash.finish(), escaped: false }
    }

    fn is(&self, literal: &str) -> bool {
        if self.escaped { percent::bytes(self.text).eq(literal.bytes()) } else { self.text == literal }
    }
}

/// The literal children of all nodes: open addressing over a power of two of slots, at most half of them taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Literals {
    /// One more than the place of an edge; zero is free.
    slots: Vec<u32>,
    edges: Vec<Edge>,
}

#[derive(Clone, Debug)]
struct Edge {
    hash: u64,
    parent: NodeId,
    child: NodeId,
    text: Box<str>,
}

impl Literals {
    pub(super) fn get(&self, parent: NodeId, piece: &Piece<'_>) -> Option<NodeId> {
        let mut at = slot(parent, piece.hash);
        loop {
            // A free slot ends the search, and half of them are free.
            let place = self.slots.get(at & self.slots.len().checked_sub(1)?)?.checked_sub(1)?;
            let edge = self.edges.get(place as usize)?;
            if edge.hash == piece.hash && edge.parent == parent && piece.is(&edge.text) {
                return Some(edge.child);
            }
            at = at.wrapping_add(1);
        }
    }

    pub(super) fn add(&mut self, parent: NodeId, piece: &Piece<'_>, child: NodeId) {
        self.edges.push(Edge { hash: piece.hash, parent, child, text: piece.text.into() });
        if self.edges.len() * 2 > self.slots.len() {
            self.slots = vec![0; (self.edges.len() * 4).next_power_of_two()];
            (0..self.edges.len()).for_each(|edge| self.place(edge));
        } else {
            self.place(self.edges.len() - 1);
        }
    }

    /// Parent, text and child of every edge, in the order they were added.
    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeId, &str, NodeId)> {
        self.edges.iter().map(|edge| (edge.parent, &*edge.text, edge.child))
    }

    fn place(&mut self, edge: usize) {
        let Some(Edge { hash, parent, .. }) = self.edges.get(edge) else { return };
        let (start, mask) = (slot(*parent, *hash), self.slots.len() - 1);
        let free = (0..=mask).map(|step| start.wrapping_add(step) & mask).find(|at| self.slots.get(*at) == Some(&0));
        if let Some(slot) = free.and_then(|at| self.slots.get_mut(at)) {
            *slot = edge as u32 + 1;
        }
    }
}

/// Spreads the children of different nodes with the same text, then takes the well-mixed upper half.
fn slot(parent: NodeId, hash: u64) -> usize {
    ((hash ^ u64::from(parent)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
}

/// FNV-1a: a multiplication a byte, nothing to set up, which suits short keys.
#[derive(Clone, Debug)]
pub(super) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u8(*byte));
    }

    fn write_u8(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
}
