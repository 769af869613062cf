//! Stores the patterns of all routes in one trie, whose edges are path segments.
//!
//! A lookup does not copy the path.

use super::id::{RouteId, TrieNodeId};
use super::literals::{Literals, PathSegment};
use super::method::{Allowed, Method};
use super::pattern::Segment;

#[derive(Clone, Debug, Default)]
pub(super) struct Trie {
    nodes: Vec<TrieNode>,
    endpoints: Vec<Endpoint>,
    literals: Literals,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TrieNode {
    pub(super) param: Option<TrieNodeId>,
    /// The endpoint for a path that ends at this node.
    pub(super) exact: Option<u32>,
    /// The endpoint for `{.+}`, which matches a path that continues after this node.
    pub(super) tail: Option<u32>,
}

/// The routes that have the same pattern, by method.
#[derive(Clone, Debug, Default)]
pub(super) struct Endpoint {
    any: Option<RouteId>,
    named: Vec<(Method, RouteId)>,
}

/// The result of a search: the route, and the part of the path that `{.+}` matches.
pub(super) type TrieMatch<'p> = (RouteId, Option<&'p str>);

impl Trie {
    pub(super) fn add_node(&mut self) -> TrieNodeId {
        self.nodes.push(TrieNode::default());
        self.nodes.len() as TrieNodeId - 1
    }

    /// Returns the routes that have exactly this pattern. Parameter names are not compared.
    pub(super) fn endpoint(&self, root: TrieNodeId, segments: &[Segment]) -> Option<&Endpoint> {
        let mut node = root;
        for segment in segments {
            node = match segment {
                Segment::Literal(text) => self.literals.get(node, &PathSegment::plain(text))?,
                Segment::Param(_) => self.node(node)?.param?,
                Segment::Tail => return self.endpoint_at(self.node(node)?.tail),
            };
        }
        self.endpoint_at(self.node(node)?.exact)
    }

    pub(super) fn endpoint_mut(&mut self, root: TrieNodeId, segments: &[Segment]) -> Option<&mut Endpoint> {
        let mut node = root;
        let mut at_tail = false;
        for segment in segments {
            match segment {
                Segment::Literal(text) => {
                    let piece = PathSegment::plain(text);
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
        let slot = if at_tail { &mut node.tail } else { &mut node.exact };
        let at = *slot.get_or_insert_with(|| {
            self.endpoints.push(Endpoint::default());
            self.endpoints.len() as u32 - 1
        });
        self.endpoints.get_mut(at as usize)
    }

    /// Finds the most specific route for the rest of a path, which has no leading slash. Adds the methods of routes that match
    /// the path but not the method to `seen`. With `method: None`, returns no route and adds the methods of all matching routes.
    /// The search visits each node at most once, because only one path of edges leads to a node. Its recursion is as deep as the
    /// longest pattern.
    pub(super) fn search<'t, 'p>(
        &'t self,
        node: TrieNodeId,
        rest: &'p str,
        method: Option<&Method>,
        seen: &mut Allowed<'t>,
    ) -> Option<TrieMatch<'p>> {
        let branches = self.node(node)?;
        let (piece, more) = PathSegment::split(rest);
        if let Some(child) = self.literals.get(node, &piece)
            && let Some(hit) = self.follow(child, more, method, seen)
        {
            return Some(hit);
        }
        if let Some(child) = branches.param
            && !piece.text.is_empty()
            && let Some(hit) = self.follow(child, more, method, seen)
        {
            return Some(hit);
        }
        if rest.is_empty() {
            return None;
        }
        self.take(branches.tail, method, seen).map(|route| (route, Some(rest)))
    }

    fn follow<'t, 'p>(
        &'t self,
        child: TrieNodeId,
        more: Option<&'p str>,
        method: Option<&Method>,
        seen: &mut Allowed<'t>,
    ) -> Option<TrieMatch<'p>> {
        match more {
            Some(more) => self.search(child, more, method, seen),
            None => self.take(self.node(child)?.exact, method, seen).map(|route| (route, None)),
        }
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

    /// Returns an iterator over the parent, text and child of all literal edges, in insertion order.
    pub(super) fn literals(&self) -> impl Iterator<Item = (TrieNodeId, &str, TrieNodeId)> {
        self.literals.iter()
    }

    pub(super) fn node(&self, id: TrieNodeId) -> Option<&TrieNode> {
        self.nodes.get(id as usize)
    }

    pub(super) fn endpoint_at(&self, at: Option<u32>) -> Option<&Endpoint> {
        self.endpoints.get(at? as usize)
    }
}

impl Endpoint {
    /// Returns the route that serves a method: the route that names it, the `GET` route for `HEAD` (RFC 9110 §9.3.2), or the
    /// route for any method.
    pub(super) fn route(&self, method: &Method) -> Option<RouteId> {
        let head_as_get = || if *method == Method::Head { self.route_for_exactly(Some(&Method::Get)) } else { None };
        self.route_for_exactly(Some(method)).or_else(head_as_get).or(self.any)
    }

    /// Returns the route that was inserted for exactly this method. `None` means the route for any method.
    pub(super) fn route_for_exactly(&self, method: Option<&Method>) -> Option<RouteId> {
        match method {
            Some(method) => self.named.iter().find(|(named, _)| named == method).map(|(_, route)| *route),
            None => self.any,
        }
    }

    /// Returns an iterator over the routes of this pattern. The method of the route for any method is `None`.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Option<&Method>, RouteId)> {
        self.named.iter().map(|(method, route)| (Some(method), *route)).chain(self.any.map(|route| (None, route)))
    }

    pub(super) fn put(&mut self, method: Option<&Method>, route: RouteId) {
        match method {
            Some(method) => self.named.push((method.clone(), route)),
            None => self.any = Some(route),
        }
    }
}
