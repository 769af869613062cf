//! Finds Envoy's cache filters in the filter chains that contain this filter (Portcullis).
//! A cache in front of this filter answers requests that the filter has not checked. A cache behind the filter can serve one
//! caller's response to another.

use crate::config::node::{Node, Position, Value};
use crate::config::problem::Place;

/// A cache filter in the same filter chain as this filter.
#[derive(Debug, PartialEq, Eq)]
pub struct CacheFilter {
    /// The location of the cache filter in the file.
    pub place: Place,
    /// The position of the cache filter relative to this filter.
    pub side: CacheSide,
}

/// The position of a cache filter relative to this filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheSide {
    /// The cache runs before this filter.
    InFront,
    /// The cache runs after this filter.
    Behind,
    /// Both filters are in manifests, and the control plane decides their order.
    Unknown,
}

/// Returns the cache filters in the YAML documents of one file. `is_ours` returns whether a node configures this plugin.
pub fn find(roots: &[Node], is_ours: &dyn Fn(&Node) -> bool) -> Vec<CacheFilter> {
    let mut found = Vec::new();
    let is_manifest = |root: &&Node| root.get("apiVersion").is_some();
    let ours_is_in_manifest = roots.iter().filter(is_manifest).any(is_ours);
    for root in roots {
        match is_manifest(&root) {
            true if ours_is_in_manifest => in_manifest(root, String::new(), &mut found),
            true => {}
            false => in_chains(root, String::new(), is_ours, &mut found),
        }
    }
    found
}

fn in_chains(node: &Node, path: String, is_ours: &dyn Fn(&Node) -> bool, found: &mut Vec<CacheFilter>) {
    if let Some(Node { value: Value::List(filters), .. }) = node.get("http_filters")
        && let Some(ours) = filters.iter().position(is_ours)
    {
        for (index, filter) in filters.iter().enumerate().filter(|(_, filter)| holds_cache(filter)) {
            let side = if index < ours { CacheSide::InFront } else { CacheSide::Behind };
            found.push(CacheFilter { place: place(filter.at, format!("{path}.http_filters[{index}]")), side });
        }
    }
    children(node, &path, |child, path| in_chains(child, path, is_ours, found));
}

fn in_manifest(node: &Node, path: String, found: &mut Vec<CacheFilter>) {
    if is_cache(node) {
        found.push(CacheFilter { place: place(node.at, path), side: CacheSide::Unknown });
        return;
    }
    children(node, &path, |child, path| in_manifest(child, path, found));
}

fn children(node: &Node, path: &str, mut visit: impl FnMut(&Node, String)) {
    match &node.value {
        Value::List(items) => items.iter().enumerate().for_each(|(i, item)| visit(item, format!("{path}[{i}]"))),
        Value::Map(entries) => entries.iter().for_each(|(key, value)| visit(value, format!("{path}.{}", key.text))),
        _ => {}
    }
}

/// Returns whether an entry of `http_filters` configures a cache. Searches all levels, because composite filters and discovered
/// filters can contain a cache.
fn holds_cache(node: &Node) -> bool {
    let mut found = is_cache(node);
    children(node, "", |child, _| found = found || holds_cache(child));
    found
}

fn is_cache(node: &Node) -> bool {
    matches!(&node.value, Value::Text(text) if CACHES.iter().any(|kind| text.ends_with(kind)))
}

fn place(at: Position, path: String) -> Place {
    Place { line: at.line, column: at.column, path: path.trim_start_matches('.').to_string() }
}

/// The type names of Envoy's cache configurations, without `type.googleapis.com/`.
const CACHES: [&str; 2] =
    ["envoy.extensions.filters.http.cache.v3.CacheConfig", "envoy.extensions.filters.http.cache_v2.v3.CacheV2Config"];
