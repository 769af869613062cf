//! Finds requests that match two routes, and reports which of the two routes the compiled policy selects.

use std::sync::Arc;

use crate::config::auth::Auth;
use crate::config::document::{Document, Route};
use crate::policy::Policy;
use crate::policy::request::route::{Method, RouteMatch, RoutePattern};

/// A note on a request that matches two routes, or a public path and a route.
pub struct OverlapNote {
    /// The line of the route that does not get the request, or of the public path.
    pub line: u32,
    /// The column of that route or public path.
    pub column: u32,
    /// The description of the overlap.
    pub message: String,
}

/// Reports the pairs of overlapping routes, and each public path that matches requests for a route without `auth: none`.
pub fn find(document: &Document, policy: &Policy) -> Vec<OverlapNote> {
    let mut overlaps = Vec::new();
    let routes: Vec<(&Route, String)> =
        document.routes.iter().map(|route| (route, spelling(&route.path.value))).collect();
    for (i, (first, first_path)) in routes.iter().enumerate() {
        for (second, second_path) in routes.iter().skip(i + 1) {
            // Ten thousand routes make fifty million pairs. This cheap comparison excludes most of them.
            if first_segments_differ(first_path, second_path) {
                continue;
            }
            let Some(request) = shared_example((first, first_path), (second, second_path)) else { continue };
            let Some(winner) = winner(&request, document, policy) else { continue };
            // If the policy selects a third route, that route is more specific than both. Its overlap with each of them is
            // reported instead.
            let loser = match (std::ptr::eq(winner, *first), std::ptr::eq(winner, *second)) {
                (true, _) => second,
                (_, true) => first,
                _ => continue,
            };
            let ExampleRequest { method, path, .. } = request;
            let message = format!(
                "{method} {path} goes to {} (line {}), not to {}",
                title(winner),
                winner.place.line,
                title(loser)
            );
            overlaps.push(OverlapNote { line: loser.place.line, column: loser.place.column, message });
        }
    }
    for public in &document.public_paths {
        let tree = public.path.value.strip_suffix("/*").map(|prefix| format!("{prefix}/{TAIL}"));
        let pattern = spelling(tree.as_deref().unwrap_or(&public.path.value));
        for (route, route_path) in routes.iter().filter(|(route, _)| route.auth.value != Auth::None) {
            let Some(path) = common_path(&pattern, route_path) else { continue };
            overlaps.push(OverlapNote {
                line: public.path.place.line,
                column: public.path.place.column,
                message: format!(
                    "{path} is public, so the authentication of route {} does not apply to it",
                    title(route)
                ),
            });
        }
    }
    overlaps
}

/// An example request that matches two routes, or that is similar to the requests of a route.
pub(super) struct ExampleRequest {
    pub(super) method: String,
    pub(super) host: String,
    pub(super) path: String,
}

/// Returns the path of a route in canonical spelling: without unneeded percent escapes. A path that cannot be parsed stays
/// unchanged, but a document that compiles has no such path.
pub(super) fn spelling(path: &str) -> String {
    RoutePattern::parse(path).map_or_else(|_| path.to_string(), |pattern| pattern.spelling())
}

fn shared_example(
    (first, first_path): (&Route, &str),
    (second, second_path): (&Route, &str),
) -> Option<ExampleRequest> {
    Some(ExampleRequest {
        method: common(&texts(&first.methods), &texts(&second.methods), |a, b| (a == b).then(|| a.to_string()), "GET")?,
        host: common(&texts(&first.hosts), &texts(&second.hosts), common_host, "any.test")?,
        path: common_path(first_path, second_path)?,
    })
}

/// Returns the route that the policy selects for a request. The policy lists its rules in the order of the document's routes, so
/// a rule and its route have the same index.
fn winner<'d>(request: &ExampleRequest, document: &'d Document, policy: &Policy) -> Option<&'d Route> {
    let method = Method::parse(&request.method).ok()?;
    let RouteMatch::Route { value, .. } = policy.routes().find(&request.host, &request.path, &method) else {
        return None;
    };
    let index = policy.routes().iter().position(|(_, rule)| Arc::ptr_eq(rule, value))?;
    document.routes.get(index)
}

/// Returns the text that identifies a route in messages: its name, or its methods and path.
pub(super) fn title(route: &Route) -> String {
    let methods = if route.methods.is_empty() { "ANY".to_string() } else { texts(&route.methods).join("|") };
    route.name.as_ref().map_or_else(|| format!("`{methods} {}`", route.path.value), |name| format!("`{name}`"))
}

fn first_segments_differ(first: &str, second: &str) -> bool {
    match (first.split('/').nth(1), second.split('/').nth(1)) {
        (Some(a), Some(b)) => a != b && !a.starts_with('{') && !b.starts_with('{'),
        _ => true,
    }
}

/// Returns a method or host that matches both lists. `intersect` receives one element of each list, and returns a value that
/// matches both elements. An empty list matches everything; if both lists are empty, the result is `any`.
fn common(
    first: &[&str],
    second: &[&str],
    intersect: impl Fn(&str, &str) -> Option<String>,
    any: &str,
) -> Option<String> {
    match (first, second) {
        ([], []) => Some(any.to_string()),
        ([], [one, ..]) | ([one, ..], []) => Some(one.replace("*.", "any.")),
        _ => first.iter().find_map(|a| second.iter().find_map(|b| intersect(a, b))),
    }
}

fn common_host(first: &str, second: &str) -> Option<String> {
    match (first.strip_prefix('*'), second.strip_prefix('*')) {
        (None, None) => first.eq_ignore_ascii_case(second).then(|| first.to_string()),
        (Some(suffix), None) => second.ends_with(suffix).then(|| second.to_string()),
        (None, Some(suffix)) => first.ends_with(suffix).then(|| first.to_string()),
        (Some(one), Some(other)) => {
            let longer = if one.len() > other.len() { one } else { other };
            (longer.ends_with(one) && longer.ends_with(other)).then(|| format!("any{longer}"))
        }
    }
}

/// Returns an example path that matches both patterns. Both patterns must be in canonical spelling.
pub fn common_path(first: &str, second: &str) -> Option<String> {
    let (mut first, mut second) = (first.split('/').skip(1).peekable(), second.split('/').skip(1).peekable());
    let mut path = String::new();
    loop {
        let (a, b) = match (first.next(), second.next()) {
            (None, None) => return Some(path),
            (Some(a), Some(b)) => (a, b),
            _ => return None,
        };
        path.push('/');
        if a == TAIL || b == TAIL {
            let (longer, rest) = if a == TAIL { (b, &mut second) } else { (a, &mut first) };
            let rest: Vec<&str> = std::iter::once(longer).chain(rest).map(example).collect();
            // `{.+}` matches at least one character, so it does not match an empty remaining path.
            return (rest != [""]).then(|| path + &rest.join("/"));
        }
        match (a.starts_with('{'), b.starts_with('{')) {
            (false, false) if a != b => return None,
            (false, true) if a.is_empty() => return None,
            (true, false) if b.is_empty() => return None,
            (true, false) => path.push_str(b),
            (true, true) => path.push_str(example(a)),
            _ => path.push_str(a),
        }
    }
}

/// Returns an example of a path segment that matches this segment of a pattern.
pub(super) fn example(segment: &str) -> &str {
    if segment.starts_with('{') { "any" } else { segment }
}

fn texts(values: &[crate::config::problem::At<String>]) -> Vec<&str> {
    values.iter().map(|value| value.value.as_str()).collect()
}

const TAIL: &str = "{.+}";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::yaml;

    fn messages(routes: &str) -> Vec<String> {
        let node = yaml::read(&format!("version: '1.0'\n{routes}")).unwrap();
        let policy = Policy::from_node(&node, &|_| None).unwrap();
        let (document, _) = Document::read(&node, &|_| None);
        find(&document, &policy).into_iter().map(|o| format!("{}:{}: {}", o.line, o.column, o.message)).collect()
    }

    #[test]
    fn the_policy_decides_which_of_two_routes_takes_a_request() {
        let text = "upstreams: {u: {url: http://u}}\nroutes:\n\
            - {path: '/a/{.+}', auth: none, upstream: u}\n\
            - {path: /a/health, auth: none, upstream: u}\n\
            - {path: '/a/{id}', method: POST, auth: none, upstream: u}\n\
            - {path: '/b/{id}', host: '*.x.test', auth: none, upstream: u}\n\
            - {path: '/b/{id}', host: a.x.test, auth: none, upstream: u}\n\
            - {path: '/c', method: PUT, auth: none, upstream: u}\n\
            - {path: '/c', method: GET, auth: none, upstream: u}\n";
        assert_eq!(
            messages(text),
            [
                "4:3: GET /a/health goes to `ANY /a/health` (line 5), not to `ANY /a/{.+}`",
                "4:3: POST /a/any goes to `POST /a/{id}` (line 6), not to `ANY /a/{.+}`",
                "6:3: POST /a/health goes to `ANY /a/health` (line 5), not to `POST /a/{id}`",
                "7:3: GET /b/any goes to `ANY /b/{id}` (line 8), not to `ANY /b/{id}`",
            ]
        );
    }

    #[test]
    fn paths_are_compared_without_their_escapes() {
        let text = "public_paths: ['/%64ocs/*', /free]\n\
            issuers: [{name: a, issuer: i, audiences: [x], keys: {keys: []}}]\n\
            routes:\n- {path: /docs/secret}\n- {path: '/fre%65'}\n- {path: '/{any}/%73ecret'}\n";
        assert_eq!(
            messages(text),
            [
                "7:3: GET /docs/secret goes to `ANY /docs/secret` (line 5), not to `ANY /{any}/%73ecret`",
                "2:16: /docs/secret is public, so the authentication of route `ANY /docs/secret` does not apply to it",
                "2:16: /docs/secret is public, so the authentication of route `ANY /{any}/%73ecret` does not apply to it",
                "2:29: /free is public, so the authentication of route `ANY /fre%65` does not apply to it",
            ]
        );
    }

    #[test]
    fn a_public_path_that_opens_a_protected_route_is_reported() {
        let text = "public_paths: ['/docs/*', /free]\n\
            issuers: [{name: a, issuer: i, audiences: [x], keys: {keys: []}}]\n\
            routes:\n- {path: /docs/secret}\n- {path: '/{any}/thing', auth: none}\n";
        assert_eq!(
            messages(text),
            ["2:16: /docs/secret is public, so the authentication of route `ANY /docs/secret` does not apply to it"]
        );
    }
}
