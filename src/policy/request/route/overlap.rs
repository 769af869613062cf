//! Finds pairs of routes that match the same request, and reports which of the two routes is selected.
//!
//! Every route is selected for some request, because [`super::RouteTableBuilder::insert`] refuses two routes that match exactly
//! the same requests.

use std::collections::{BTreeSet, HashMap};

use super::RouteTable;
use super::host::HostPattern;
use super::id::{RouteId, TrieNodeId};
use super::method::Method;
use super::trie::{Endpoint, Trie, TrieNode};

/// Two routes that match a common request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap<'t, T> {
    /// The route that is selected for the common request.
    pub winner: &'t T,
    /// The other route.
    pub loser: &'t T,
    /// A message for the author of the document that explains why the winner is selected.
    pub explanation: String,
}

/// The result of [`RouteTable::overlaps`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlaps<'t, T> {
    /// The overlaps. A pair of routes occurs twice if each route wins for some request.
    pub found: Vec<Overlap<'t, T>>,
    /// Whether the search found all overlaps before it reached its bounds.
    pub complete: bool,
}

impl<T> RouteTable<T> {
    /// Returns up to `limit` pairs of overlapping routes. The search stops after a maximum number of steps, so its time is
    /// bounded for every table.
    pub fn overlaps(&self, limit: usize) -> Overlaps<'_, T> {
        let mut children: HashMap<TrieNodeId, Vec<(&str, TrieNodeId)>> = HashMap::new();
        for (parent, text, child) in self.trie.literals() {
            children.entry(parent).or_default().push((text, child));
        }
        let mut walk = OverlapWalk {
            trie: &self.trie,
            children,
            pairs: Vec::new(),
            seen: BTreeSet::new(),
            limit,
            steps: MAX_STEPS,
        };
        let hosts: HashMap<TrieNodeId, HostPattern> = self.hosts.iter().map(|(host, root)| (root, host)).collect();
        let mut found = Vec::new();
        for (host, root) in self.hosts.iter() {
            let text = match &host {
                HostPattern::Exact(text) | HostPattern::Suffix(text) => text,
                HostPattern::Any => "",
            };
            walk.same(root);
            found.extend(walk.pairs.drain(..).filter_map(|pair| self.explain(&pair, None)));
            let mut wider: Vec<TrieNodeId> = self.hosts.roots(text).filter(|other| *other != root).collect();
            wider.dedup();
            for other in wider {
                walk.apart(root, other);
                let between = hosts.get(&other).map(|other| (&host, other));
                found.extend(walk.pairs.drain(..).filter_map(|pair| self.explain(&pair, between)));
            }
        }
        Overlaps { found, complete: walk.steps > 0 && walk.seen.len() <= limit }
    }

    fn explain(&self, pair: &OverlapPair, hosts: Option<(&HostPattern, &HostPattern)>) -> Option<Overlap<'_, T>> {
        let (won, winner) = self.routes.get(pair.winner as usize)?;
        let (lost, loser) = self.routes.get(pair.loser as usize)?;
        let method = pair.method.as_ref().map_or("any method", Method::as_str);
        let explanation = match (hosts, &pair.by_method) {
            (Some((narrow, wide)), _) => {
                format!(
                    "{method}: `{won}` at `{narrow}` wins over `{lost}` at `{wide}`, because its host is more specific"
                )
            }
            (None, true) => format!("{method}: of two routes for `{won}`, the one that names the method wins"),
            (None, false) => format!("{method}: `{won}` wins over `{lost}`, because its path is more specific"),
        };
        Some(Overlap { winner, loser, explanation })
    }
}

struct OverlapPair {
    winner: RouteId,
    loser: RouteId,
    /// A method that both routes accept; `None` if both accept any method.
    method: Option<Method>,
    by_method: bool,
}

/// Finds overlaps between the routes below two nodes of the trie, by visiting both subtrees in parallel. In all functions,
/// `left` is the node or endpoint whose routes win over the routes of `right`.
struct OverlapWalk<'t> {
    trie: &'t Trie,
    children: HashMap<TrieNodeId, Vec<(&'t str, TrieNodeId)>>,
    pairs: Vec<OverlapPair>,
    seen: BTreeSet<(RouteId, RouteId)>,
    limit: usize,
    /// The number of nodes and edges that the walk may still visit.
    steps: usize,
}

impl<'t> OverlapWalk<'t> {
    /// Finds overlaps among the routes below one node.
    fn same(&mut self, id: TrieNodeId) {
        let Some(node) = self.step(id) else { return };
        for endpoint in [node.exact, node.tail] {
            self.within(endpoint);
        }
        let literals = self.literals(id);
        for (text, child) in &literals {
            self.same(*child);
            if let (false, Some(param)) = (text.is_empty(), node.param) {
                self.apart(*child, param);
            }
        }
        node.param.into_iter().for_each(|param| self.same(param));
        if node.tail.is_some() {
            self.each_longer(id, |walk, endpoint| walk.between(Some(endpoint), node.tail));
        }
    }

    /// Finds overlaps between the routes below two nodes. Routes below `left_id` win over routes below `right_id`.
    fn apart(&mut self, left_id: TrieNodeId, right_id: TrieNodeId) {
        let (Some(left), Some(right)) = (self.step(left_id), self.step(right_id)) else { return };
        self.between(left.exact, right.exact);
        self.between(left.tail, right.tail);
        let (lefts, rights) = (self.literals(left_id), self.literals(right_id));
        let by_text: HashMap<&str, TrieNodeId> = rights.iter().copied().collect();
        for (text, child) in &lefts {
            by_text.get(text).into_iter().for_each(|same| self.apart(*child, *same));
            if let (false, Some(param)) = (text.is_empty(), right.param) {
                self.apart(*child, param);
            }
        }
        if let Some(param) = left.param {
            rights.iter().filter(|(text, _)| !text.is_empty()).for_each(|(_, child)| self.apart(param, *child));
            right.param.into_iter().for_each(|other| self.apart(param, other));
        }
        if right.tail.is_some() {
            self.each_longer(left_id, |walk, endpoint| walk.between(Some(endpoint), right.tail));
        }
        if left.tail.is_some() {
            self.each_longer(right_id, |walk, endpoint| walk.between(left.tail, Some(endpoint)));
        }
    }

    /// Visits every endpoint whose paths also match the `{.+}` at this node: the endpoints below the node, except the endpoint of
    /// an empty segment, because `{.+}` does not match an empty rest of the path.
    fn each_longer(&mut self, id: TrieNodeId, mut visit: impl FnMut(&mut Self, u32)) {
        let first = self.trie.node(id).and_then(|node| node.param);
        let literals = self.literals(id);
        let mut open: Vec<TrieNodeId> =
            literals.iter().filter(|(text, _)| !text.is_empty()).map(|(_, child)| *child).collect();
        open.extend(first);
        while let Some(id) = open.pop() {
            let Some(node) = self.step(id) else { return };
            node.exact.into_iter().chain(node.tail).for_each(|endpoint| visit(self, endpoint));
            open.extend(self.literals(id).iter().map(|(_, child)| *child).chain(node.param));
        }
    }

    /// Compares routes with the same pattern. A named method has precedence over any method. A `HEAD` route has precedence over
    /// a `GET` route, which would otherwise serve `HEAD`.
    fn within(&mut self, endpoint: Option<u32>) {
        let Some(endpoint) = self.trie.endpoint_at(endpoint) else { return };
        for (method, winner) in endpoint.entries() {
            let Some(method) = method else { continue };
            let get = (*method == Method::Head).then(|| endpoint.route_for_exactly(Some(&Method::Get))).flatten();
            for loser in get.into_iter().chain(endpoint.route_for_exactly(None)) {
                self.note(OverlapPair { winner, loser, method: Some(method.clone()), by_method: true });
            }
        }
    }

    fn between(&mut self, left: Option<u32>, right: Option<u32>) {
        let (Some(left), Some(right)) = (self.trie.endpoint_at(left), self.trie.endpoint_at(right)) else { return };
        for (one, winner) in left.entries() {
            for (two, loser) in right.entries() {
                if let Some(method) = shared(one, two)
                    && takes(left, method, winner)
                    && takes(right, method, loser)
                {
                    self.note(OverlapPair { winner, loser, method: method.cloned(), by_method: false });
                }
            }
        }
    }

    fn note(&mut self, pair: OverlapPair) {
        let new = pair.winner != pair.loser && self.seen.insert((pair.winner, pair.loser));
        if new && self.seen.len() <= self.limit {
            self.pairs.push(pair);
        }
    }

    /// Returns a node and counts the visit; `None` if the walk has reached its bounds.
    fn step(&mut self, id: TrieNodeId) -> Option<TrieNode> {
        if self.seen.len() > self.limit {
            return None;
        }
        let cost = 1 + self.children.get(&id).map_or(0, Vec::len);
        self.steps = self.steps.saturating_sub(cost);
        if self.steps == 0 { None } else { self.trie.node(id).copied() }
    }

    fn literals(&self, id: TrieNodeId) -> Vec<(&'t str, TrieNodeId)> {
        self.children.get(&id).cloned().unwrap_or_default()
    }
}

/// Returns a method that both arguments accept: `Some(None)` if both accept any method, `None` if they have no method in common.
fn shared<'m>(one: Option<&'m Method>, two: Option<&'m Method>) -> Option<Option<&'m Method>> {
    match (one, two) {
        (None, method) | (method, None) => Some(method),
        (Some(one), Some(two)) if one == two => Some(Some(one)),
        (Some(Method::Get), Some(head @ Method::Head)) | (Some(head @ Method::Head), Some(Method::Get)) => {
            Some(Some(head))
        }
        _ => None,
    }
}

/// Returns `true` if `route` serves the method. If it returns `false`, another route with the same pattern serves the method.
fn takes(endpoint: &Endpoint, method: Option<&Method>, route: RouteId) -> bool {
    method.is_none_or(|method| endpoint.route(method) == Some(route))
}

/// The maximum number of steps, which bounds the work for a table in which many parameters and `{.+}` patterns overlap.
const MAX_STEPS: usize = 500_000;
