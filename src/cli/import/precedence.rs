//! Finds requests that need a token in the imported gateway but none in this gateway, because the path precedence differs.
//!
//! The serverless gateway prefers a path that has as many segments as the request and no parameter such as `{id}`. After that, it
//! prefers the path with more matched segments, then a path without `{.+}`, then a named method, then the path that comes first
//! in the file. Its `{.+}` also matches an empty tail. In contrast, this gateway compares segments from left to right, and its
//! `{.+}` does not match an empty tail.

use crate::cli::check::overlaps::common_path;
use crate::policy::request::route::{Method, RouteMatch, RoutePattern, RouteTable};

/// An imported path, with the properties that determine which requests it matches.
pub struct RankedRoute {
    /// The pattern in canonical spelling.
    pub pattern: String,
    /// The methods; an empty list means all methods.
    pub methods: Vec<Method>,
    /// Whether the path needs no token.
    pub is_open: bool,
}

/// A request that needs a token in the imported gateway but not in this one.
#[derive(Debug, PartialEq, Eq)]
pub struct OpenedRequest {
    /// The index of the path that matches the request in this gateway and needs no token.
    pub open: usize,
    /// The index of the path that matches the request in the imported gateway and needs a token.
    pub protected: usize,
    /// The method and the path of the request.
    pub request: String,
}

/// Compares each path that needs a token with each path that needs none. For each pair, returns at most one request that needs
/// a token in the imported gateway but not in this one.
pub fn opened(entries: &[RankedRoute]) -> Vec<OpenedRequest> {
    let mut table = RouteTable::builder();
    for (index, entry) in entries.iter().enumerate() {
        if let Ok(pattern) = RoutePattern::parse(&entry.pattern) {
            // If two paths match the same requests, `insert` fails. `verify_result` reports that problem.
            let _ = table.insert(&[], pattern, &entry.methods, index);
        }
    }
    let table = table.build();
    let mut found: Vec<OpenedRequest> = Vec::new();
    for (there, protected) in entries.iter().enumerate().filter(|(_, entry)| !entry.is_open) {
        for (here, open) in entries.iter().enumerate().filter(|(_, entry)| entry.is_open) {
            let Some(method) = common_method(&protected.methods, &open.methods) else { continue };
            let request = requests(&protected.pattern, &open.pattern).into_iter().find(|path| {
                let taken = match table.find("", path, &method) {
                    RouteMatch::Route { value, .. } => *value == here,
                    _ => false,
                };
                taken && winner(entries, path, &method) == Some(there)
            });
            found.extend(request.map(|path| OpenedRequest {
                open: here,
                protected: there,
                request: format!("{method} {path}"),
            }));
        }
    }
    found
}

/// Returns examples of paths that both patterns match in the imported gateway.
fn requests(protected: &str, open: &str) -> Vec<String> {
    let mut patterns = vec![protected.to_string()];
    if let Some(prefix) = protected.strip_suffix("/{.+}") {
        patterns.extend([prefix.to_string(), format!("{prefix}/")]);
    }
    patterns.iter().filter(|pattern| !pattern.is_empty()).filter_map(|pattern| common_path(pattern, open)).collect()
}

fn common_method(first: &[Method], second: &[Method]) -> Option<Method> {
    match (first, second) {
        ([], []) => Some(Method::Get),
        ([], [method, ..]) | ([method, ..], []) => Some(method.clone()),
        _ => first.iter().find(|method| second.contains(method)).cloned(),
    }
}

/// Returns the index of the path that the imported gateway selects for a request.
fn winner(entries: &[RankedRoute], path: &str, method: &Method) -> Option<usize> {
    let takes = |entry: &RankedRoute| entry.methods.is_empty() || entry.methods.contains(method);
    let ranked = entries.iter().enumerate().filter(|(_, entry)| takes(entry)).filter_map(|(index, entry)| {
        let (is_exact, matched, has_tail) = rank(&entry.pattern, path)?;
        Some(((is_exact, matched, !has_tail, !entry.methods.is_empty(), std::cmp::Reverse(index)), index))
    });
    ranked.max().map(|(_, index)| index)
}

/// Returns the rank of a match in the imported gateway: whether the pattern has no parameter such as `{id}` and as many segments
/// as the path, the number of matched segments, and whether the pattern ends with `{.+}`. Returns `None` if the pattern does not
/// match.
fn rank(pattern: &str, path: &str) -> Option<(bool, usize, bool)> {
    let (wanted, found): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    let has_tail = wanted.last() == Some(&"{.+}");
    if if has_tail { found.len() + 1 < wanted.len() } else { found.len() != wanted.len() } {
        return None;
    }
    let fixed = wanted.len() - usize::from(has_tail);
    let mut is_exact = found.len() == wanted.len();
    for (segment, value) in wanted.iter().take(fixed).zip(&found) {
        if segment.starts_with('{') && segment.ends_with('}') {
            is_exact = false;
        } else if segment != value {
            return None;
        }
    }
    Some((is_exact, wanted.len().min(found.len()), has_tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened_by(paths: &[(&str, &str, bool)]) -> Vec<String> {
        let entry = |(method, pattern, is_open): &(&str, &str, bool)| RankedRoute {
            pattern: (*pattern).to_string(),
            methods: if *method == "ANY" { vec![] } else { vec![Method::parse(method).unwrap()] },
            is_open: *is_open,
        };
        let entries: Vec<RankedRoute> = paths.iter().map(entry).collect();
        opened(&entries).into_iter().map(|opened| opened.request).collect()
    }

    #[test]
    fn requests_that_become_open_here_are_found() {
        for (paths, expected) in [
            // Both gateways select the same path.
            (vec![("GET", "/a/b", true), ("GET", "/a/{.+}", false)], vec![]),
            (vec![("ANY", "/{.+}", true), ("GET", "/a", false), ("GET", "/b/{id}", false)], vec![]),
            (vec![("GET", "/a/{id}", false), ("POST", "/a/{id}", true)], vec![]),
            (vec![("GET", "/{x}/b", true), ("GET", "/a/{y}", true)], vec![]),
            // If `{.+}` and a parameter match the same segment, the imported gateway prefers `{.+}`.
            (vec![("GET", "/a/{.+}", false), ("GET", "/a/{id}", true)], vec!["GET /a/any"]),
            // Of two patterns with equal rank, the imported gateway prefers the first in the file. This gateway compares segments
            // from left to right, and therefore prefers `/a/{y}`.
            (vec![("GET", "/{x}/b", false), ("GET", "/a/{y}", true)], vec!["GET /a/b"]),
            // In the imported gateway, `{.+}` also matches an empty tail.
            (vec![("GET", "/a/b/{.+}", false), ("ANY", "/{.+}", true)], vec!["GET /a/b"]),
            (vec![("ANY", "/{.+}", true), ("POST", "/a/b/{.+}", false)], vec!["POST /a/b"]),
            (vec![("GET", "/a/b/{.+}", false), ("GET", "/a/b", false), ("ANY", "/{.+}", true)], vec!["GET /a/b/"]),
        ] {
            assert_eq!(opened_by(&paths), expected, "{paths:?}");
        }
    }
}
