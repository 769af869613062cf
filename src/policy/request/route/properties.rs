//! Properties of the route table, tested against a reference that sorts all matching routes by how specific they are.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{FailurePersistence, FileFailurePersistence};

use super::*;
#[cfg(target_os = "unknown")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[derive(Clone, Debug)]
struct WrittenRoute {
    hosts: Vec<&'static str>,
    segments: Vec<&'static str>,
    methods: Vec<&'static str>,
}

const HOSTS: [&str; 5] = ["*", "*.x", "*.b.x", "a.b.x", "x"];
const METHODS: [&str; 4] = ["GET", "HEAD", "POST", "PURGE"];
const REQUEST_HOSTS: [&str; 5] = ["", "x", "a.x", "a.b.x", "c.b.x"];

fn written() -> impl Strategy<Value = WrittenRoute> {
    let segments = proptest::collection::vec(select(vec!["a", "b", "é", "{p}"]), 0..3);
    let end = select(vec!["", "a", "{q}", "{.+}"]);
    let hosts = prop_oneof![3 => Just(vec!["*"]), 2 => subsequence(HOSTS.to_vec(), 1..3)];
    (hosts, segments, end, subsequence(METHODS.to_vec(), 0..3)).prop_map(|(hosts, mut segments, end, methods)| {
        // A parameter name may occur only once in a pattern.
        if let Some(first) = segments.iter().position(|segment| *segment == "{p}") {
            segments.iter_mut().skip(first + 1).filter(|segment| **segment == "{p}").for_each(|later| *later = "{r}");
        }
        segments.push(end);
        WrittenRoute { hosts, segments, methods }
    })
}

/// Returns all paths of up to three segments, with and without a trailing slash. The segments are texts from the patterns, a
/// text that no pattern has, and a text with an unnecessary escape.
fn paths() -> Vec<String> {
    let mut all = vec![String::new()];
    let mut longest = all.clone();
    for _ in 0..3 {
        longest =
            longest.iter().flat_map(|path| ["a", "b", "%61", "%C3%A9", "z"].map(|s| format!("{path}/{s}"))).collect();
        all.extend(longest.iter().cloned());
    }
    all.iter().flat_map(|path| [path.clone(), format!("{path}/")]).filter(|path| !path.is_empty()).collect()
}

/// A rank that describes how specific a route is for one request. The smallest rank is the most specific.
type Rank = (usize, Vec<u8>, u8);

fn rank(route: &WrittenRoute, host: &str, path: &str, method: &str) -> Option<Rank> {
    let host_rank = |pattern: &str| match pattern.strip_prefix('*') {
        Some("") => Some(1000),
        Some(suffix) => (host.ends_with(suffix) && host.len() > suffix.len()).then(|| 500 - suffix.len()),
        None => (pattern == host).then_some(0),
    };
    let host = route.hosts.iter().filter_map(|pattern| host_rank(pattern)).min()?;
    let method = match (route.methods.contains(&method), method) {
        (true, _) => 0,
        (false, "HEAD") if route.methods.contains(&"GET") => 1,
        _ if route.methods.is_empty() => 2,
        _ => return None,
    };
    Some((host, path_rank(&route.segments, path)?, method))
}

fn path_rank(segments: &[&str], path: &str) -> Option<Vec<u8>> {
    let pieces: Vec<&str> = path.split('/').skip(1).collect();
    let tail = segments.last() == Some(&"{.+}");
    let fixed = segments.len() - usize::from(tail);
    let long_enough = if tail { pieces.len() > fixed && pieces[fixed..] != [""] } else { pieces.len() == fixed };
    let mut ranks = Vec::new();
    for (segment, piece) in segments.iter().zip(&pieces) {
        let piece = piece.replace("%61", "a").replace("%C3%A9", "é");
        match *segment {
            "{.+}" => ranks.push(2),
            param if param.starts_with('{') && !piece.is_empty() => ranks.push(1),
            literal if literal == piece => ranks.push(0),
            _ => return None,
        }
    }
    long_enough.then_some(ranks)
}

/// Returns the combinations of host, pattern and method that only one route may use. Parameter names are removed from the
/// pattern.
fn places(route: &WrittenRoute) -> BTreeSet<(&str, String, &str)> {
    let shape: Vec<&str> =
        route.segments.iter().map(|s| if s.starts_with('{') && *s != "{.+}" { "{}" } else { s }).collect();
    let methods = if route.methods.is_empty() { vec!["any"] } else { route.methods.clone() };
    let place = |host| methods.iter().map(move |method| (host, *method));
    route.hosts.iter().flat_map(|host| place(*host)).map(|(host, method)| (host, shape.join("/"), method)).collect()
}

/// Builds a table from the routes. Skips routes that conflict with earlier routes, and returns the indexes of the other routes.
fn build(routes: &[WrittenRoute], order: &[usize]) -> (RouteTable<usize>, Vec<usize>) {
    let mut builder = RouteTable::builder();
    let mut kept: Vec<usize> = Vec::new();
    for &at in order {
        let route = &routes[at];
        let hosts: Vec<_> = route.hosts.iter().map(|host| HostPattern::parse(host).unwrap()).collect();
        let methods: Vec<_> = route.methods.iter().map(|method| Method::parse(method).unwrap()).collect();
        let pattern = RoutePattern::parse(&format!("/{}", route.segments.join("/"))).unwrap();
        let taken: BTreeSet<usize> =
            kept.iter().copied().filter(|other| !places(&routes[*other]).is_disjoint(&places(route))).collect();
        match builder.insert(&hosts, pattern, &methods, at) {
            Ok(()) => {
                assert_eq!(taken, BTreeSet::new(), "a conflict was not detected");
                kept.push(at);
            }
            Err(conflict) => assert_eq!(conflict.taken.iter().map(|taken| *taken.by).collect::<BTreeSet<_>>(), taken),
        }
    }
    (builder.build(), kept)
}

fn expected_allow(routes: &[WrittenRoute], kept: &[usize], host: &str, path: &str) -> Vec<&'static str> {
    let mut allow = BTreeSet::new();
    for method in METHODS {
        if kept.iter().any(|at| rank(&routes[*at], host, path, method).is_some()) {
            allow.insert(method);
        }
    }
    if !allow.is_empty() {
        allow.insert("OPTIONS");
    }
    allow.into_iter().collect()
}

/// Stores failing cases next to this file. The next run tests them first.
fn regressions() -> Option<Box<dyn FailurePersistence>> {
    Some(Box::new(FileFailurePersistence::WithSource("regressions")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: regressions(), ..ProptestConfig::default() })]

    #[test]
    fn the_trie_matches_the_reference_in_any_order(routes in proptest::collection::vec(written(), 1..24)) {
        let forwards: Vec<usize> = (0..routes.len()).collect();
        let (table, kept) = build(&routes, &forwards);
        let backwards: Vec<usize> = kept.iter().rev().copied().collect();
        let (reversed, same) = build(&routes, &backwards);
        prop_assert_eq!(same, backwards);
        for path in paths() {
            for host in REQUEST_HOSTS {
                for method in ["GET", "HEAD", "PURGE", "PUT"] {
                    let best = kept.iter().filter_map(|at| Some((rank(&routes[*at], host, &path, method)?, *at))).min();
                    let parsed = Method::parse(method).unwrap();
                    let found = table.find(host, &path, &parsed);
                    let got = match &found {
                        RouteMatch::Route { value, params, tail } => {
                            check_values(&routes[**value], &path, params, *tail);
                            Some(**value)
                        }
                        RouteMatch::MethodNotAllowed { allow } => {
                            prop_assert_eq!(allow.methods(), expected_allow(&routes, &kept, host, &path));
                            prop_assert_eq!(allow, &table.methods_for(host, &path));
                            None
                        }
                        RouteMatch::NotFound => {
                            prop_assert!(expected_allow(&routes, &kept, host, &path).is_empty());
                            None
                        }
                    };
                    prop_assert_eq!(got, best.map(|(_, at)| at), "{} {} {}", method, host, path);
                    let other = match reversed.find(host, &path, &parsed) {
                        RouteMatch::Route { value, .. } => Some(*value),
                        _ => None,
                    };
                    prop_assert_eq!(got, other, "the order of the routes matters for {} {} {}", method, host, path);
                }
            }
        }
    }

    #[test]
    fn overlaps_are_the_pairs_that_match_the_same_request(routes in proptest::collection::vec(written(), 1..7)) {
        let forwards: Vec<usize> = (0..routes.len()).collect();
        let (table, kept) = build(&routes, &forwards);
        let mut expected = BTreeSet::new();
        for path in paths() {
            for host in REQUEST_HOSTS {
                for method in METHODS.into_iter().chain(["PUT"]) {
                    expected.extend(overlapping_pairs(&routes, &kept, host, &path, method));
                }
            }
        }
        let report = table.overlaps(1000);
        let got: Vec<_> = report.found.iter().map(|overlap| (*overlap.winner, *overlap.loser)).collect();
        prop_assert!(report.complete);
        prop_assert_eq!(got.len(), got.iter().collect::<BTreeSet<_>>().len(), "a pair is listed twice");
        prop_assert_eq!(got.into_iter().collect::<BTreeSet<_>>(), expected);
    }
}

/// Returns the pairs of routes that match one request. Routes with the same host and pattern, which differ in their methods, all
/// form pairs with each other. Only the best of them forms pairs with routes of other hosts and patterns.
fn overlapping_pairs(
    routes: &[WrittenRoute],
    kept: &[usize],
    host: &str,
    path: &str,
    method: &str,
) -> BTreeSet<(usize, usize)> {
    let mut ranked = Vec::new();
    for at in kept {
        for one_host in &routes[*at].hosts {
            let alone = WrittenRoute { hosts: vec![*one_host], ..routes[*at].clone() };
            ranked.extend(rank(&alone, host, path, method).map(|rank| (rank, *at)));
        }
    }
    ranked.sort();
    let place = |rank: &Rank| (rank.0, rank.1.clone());
    let best = |rank: &Rank| ranked.iter().all(|(other, _)| place(other) != place(rank) || other.2 >= rank.2);
    let mut pairs = BTreeSet::new();
    for (at, (one, winner)) in ranked.iter().enumerate() {
        for (two, loser) in &ranked[at + 1..] {
            if winner != loser && (place(one) == place(two) || best(one) && best(two)) {
                pairs.insert((*winner, *loser));
            }
        }
    }
    pairs
}

fn check_values(route: &WrittenRoute, path: &str, params: &Params<'_, '_>, tail: Option<&str>) {
    let pieces: Vec<&str> = path.split('/').skip(1).collect();
    for (segment, piece) in route.segments.iter().zip(&pieces) {
        if let Some(name) =
            segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).filter(|name| *name != ".+")
        {
            assert_eq!(params.raw(name), Some(*piece), "{route:?} {path}");
        }
    }
    let at_tail = route.segments.iter().position(|segment| *segment == "{.+}");
    assert_eq!(tail.map(str::to_owned), at_tail.map(|at| pieces[at..].join("/")), "{route:?} {path}");
}
