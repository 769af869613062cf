//! Every pattern of the table as one tree of segments, which a path descends without a copy.
//!
//! The literal children of all nodes share one hash table, so that a node with ten thousand of them costs what a node
//! with one does. The keys are the operator's, and a request only looks them up, so a cheap hash is safe.

use std::hash::Hasher;

use super::method::{Allowed, Method};
use super::pattern::Segment;
use crate::policy::guard::percent;

pub(super) type NodeId = u32;
pub(super) type RouteId = u32;

#[derive(Clone, Debug, Default)]
pub(super) struct Trie {
    nodes: Vec<Node>,
    endpoints: Vec<Endpoint>,
    literals: Literals,
}

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    param: Option<NodeId>,
    /// Where the path may end.
    here: Option<u32>,
    /// Where anything may follow.
    tail: Option<u32>,
}

/// The routes of one pattern, by method.
#[derive(Clone, Debug, Default)]
pub(super) struct Endpoint {
    any: Option<RouteId>,
    named: Vec<(Method, RouteId)>,
}

/// What a path led to: the route and, if its pattern ends in a tail, the rest of the path.
pub(super) type Hit<'p> = (RouteId, Option<&'p str>);

impl Trie {
    pub(super) fn add_node(&mut self) -> NodeId {
        self.nodes.push(Node::default());
        self.nodes.len() as NodeId - 1
    }

    /// The routes at this very pattern, whatever its parameters are called.
    pub(super) fn endpoint(&self, root: NodeId, segments: &[Segment]) -> Option<&Endpoint> {
        let mut node = root;
        for segment in segments {
            node = match segment {
                Segment::Literal(text) => self.literals.get(node, &Piece::plain(text))?,
                Segment::Param(_) => self.node(node)?.param?,
                Segment::Tail => return self.endpoint_at(self.node(node)?.tail),
            };
        }
        self.endpoint_at(self.node(node)?.here)
    }

    pub(super) fn endpoint_mut(&mut self, root: NodeId, segments: &[Segment]) -> Option<&mut Endpoint> {
        let mut node = root;
        let mut at_tail = false;
        for segment in segments {
            match segment {
                Segment::Literal(text) => {
                    let piece = Piece::plain(text);
                    node = match self.literals.get(node, &piece) {
                        Some(child) => child,
                        None => {
                            let child = self.add_node();
                            self.literals.add(node, &piece, child);
                            child
                        }
                    };
                }
                Segment::Param(_) => {
                    node = match self.node(node)?.param {
                        Some(child) => child,
                        None => {
                            let child = self.add_node();
                            self.nodes.get_mut(node as usize)?.param = Some(child);
                            child
                        }
                    };
                }
                Segment::Tail => at_tail = true,
            }
        }
        let node = self.nodes.get_mut(node as usize)?;
        let slot = if at_tail { &mut node.tail } else { &mut node.here };
        let at = *slot.get_or_insert_with(|| {
            self.endpoints.push(Endpoint::default());
            self.endpoints.len() as u32 - 1
        });
        self.endpoints.get_mut(at as usize)
    }

    /// The most specific route for the rest of a path, its leading slash taken off. Without a method no route is taken,
    /// so that `seen` gathers the methods of all that match. Each node is visited at most once, for the tree has one way
    /// to each; the recursion is as deep as the longest pattern.
    pub(super) fn search<'t, 'p>(
        &'t self,
        node: NodeId,
        rest: &'p str,
        method: Option<&Method>,
        seen: &mut Allowed<'t>,
    ) -> Option<Hit<'p>> {
        let branches = self.node(node)?;
        let (piece, more) = Piece::split(rest);
        let literal = self.literals.get(node, &piece);
        let param = if piece.text.is_empty() { None } else { branches.param };
        for child in [literal, param].into_iter().flatten() {
            let hit = match more {
                Some(more) => self.search(child, more, method, seen),
                None => self.take(self.node(child)?.here, method, seen).map(|route| (route, None)),
            };
            if hit.is_some() {
                return hit;
            }
        }
        if rest.is_empty() {
            return None;
        }
        self.take(branches.tail, method, seen).map(|route| (route, Some(rest)))
    }

    fn take<'t>(&'t self, at: Option<u32>, method: Option<&Method>, seen: &mut Allowed<'t>) -> Option<RouteId> {
        let endpoint = self.endpoint_at(at)?;
        let route = method.and_then(|method| endpoint.route(method));
        if route.is_none() {
            endpoint.named.iter().for_each(|(method, _)| seen.add(method));
            if endpoint.any.is_some() {
                seen.add_any();
            }
        }
        route
    }

    fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id as usize)
    }

    fn endpoint_at(&self, at: Option<u32>) -> Option<&Endpoint> {
        self.endpoints.get(at? as usize)
    }
}

impl Endpoint {
    /// The route for a method: its own, for `HEAD` that of `GET` (RFC 9110 §9.3.2), or that for any method.
    fn route(&self, method: &Method) -> Option<RouteId> {
        let head_as_get = || if *method == Method::Head { self.occupant(Some(&Method::Get)) } else { None };
        self.occupant(Some(method)).or_else(head_as_get).or(self.any)
    }

    /// The route that was put here for exactly this method, or for any.
    pub(super) fn occupant(&self, method: Option<&Method>) -> Option<RouteId> {
        match method {
            Some(method) => self.named.iter().find(|(named, _)| named == method).map(|(_, route)| *route),
            None => self.any,
        }
    }

    pub(super) fn put(&mut self, method: Option<&Method>, route: RouteId) {
        match method {
            Some(method) => self.named.push((method.clone(), route)),
            None => self.any = Some(route),
        }
    }
}

/// A segment of a path on its way through the table of literals: what is compared is the decoded text.
struct Piece<'a> {
    text: &'a str,
    hash: u64,
    escaped: bool,
}

impl<'a> Piece<'a> {
    /// The first segment, and what follows its slash.
    fn split(rest: &'a str) -> (Self, Option<&'a str>) {
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
    fn plain(text: &'a str) -> Self {
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
struct Literals {
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
    fn get(&self, parent: NodeId, piece: &Piece<'_>) -> Option<NodeId> {
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

    fn add(&mut self, parent: NodeId, piece: &Piece<'_>, child: NodeId) {
        self.edges.push(Edge { hash: piece.hash, parent, child, text: piece.text.into() });
        if self.edges.len() * 2 > self.slots.len() {
            self.slots = vec![0; (self.edges.len() * 4).next_power_of_two()];
            (0..self.edges.len()).for_each(|edge| self.place(edge));
        } else {
            self.place(self.edges.len() - 1);
        }
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
