//! Finds requests that are similar to those of a strict route but match a looser route or a public path.
//! The similar requests are an example request for the strict route, and variants of this request: another method, a slash added
//! or removed at the end of the path, another letter case, or a longer path.
//!
//! Route A is looser than route B if A accepts a caller that B refuses. Only routes that can lead to the same upstream are
//! compared, because different upstreams serve different resources.

use std::collections::HashMap;
use std::sync::Arc;

use super::overlaps::{ExampleRequest, example, spelling, title};
use super::requirements::{has_caller, missing, missing_on_public_path};
use crate::config::document::{Document, PublicPath, Route};
use crate::config::problem::Place;
use crate::policy::Policy;
use crate::policy::pipeline::rule::Rule;
use crate::policy::request::route::{Method, RouteMatch};

/// Returns the notes on a document, each with its location.
pub fn notes(document: &Document, policy: &Policy) -> Vec<(Place, String)> {
    let routes = RouteIndex::of(document, policy);
    let mut notes = Vec::new();
    // Maps the name of each looser route or public path to its location in the document and the number of its notes.
    let mut named: HashMap<String, (Place, usize)> = HashMap::new();
    for strict in document.routes.iter().filter(|route| route.response.is_none() && has_requirements(route)) {
        let mut match_notes: Vec<MatchNote<'_>> = Vec::new();
        for (kind, request) in similar_requests(strict) {
            let Some(looser_match) = routes.looser_match(&request, strict) else { continue };
            let missing = looser_match.missing(strict);
            if missing.is_empty() {
                continue;
            }
            let shown = format!("`{} {}` ({kind})", request.method, request.path);
            match match_notes.iter_mut().find(|match_note| match_note.looser_match == looser_match) {
                Some(match_note) => match_note.add(kind, shown),
                None => match_notes.push(MatchNote { looser_match, missing, kinds: vec![kind], requests: vec![shown] }),
            }
        }
        for match_note in match_notes {
            let (name, place) = match_note.looser_match.name();
            let (_, count) = named.entry(name).or_insert_with(|| (place, 0));
            *count += 1;
            if *count <= MAX_NOTES {
                notes.push((strict.place.clone(), match_note.message(strict)));
            }
        }
    }
    let mut more: Vec<(Place, String)> = named
        .into_iter()
        .filter(|(_, (_, count))| *count > MAX_NOTES)
        .map(|(name, (place, count))| {
            let others = count - MAX_NOTES;
            (place, format!("{name} also matches requests that are similar to those of other, stricter routes ({others} more notes are not shown)"))
        })
        .collect();
    more.sort();
    notes.extend(more);
    notes
}

/// The routes of the document, indexed by their compiled rules.
struct RouteIndex<'d> {
    document: &'d Document,
    policy: &'d Policy,
    by_rule: HashMap<*const Rule, &'d Route>,
}

impl<'d> RouteIndex<'d> {
    fn of(document: &'d Document, policy: &'d Policy) -> RouteIndex<'d> {
        // The policy lists its rules in the order of the document's routes, so a rule and its route have the same index.
        let rules = policy.routes().iter().map(|(_, rule)| Arc::as_ptr(rule));
        RouteIndex { document, policy, by_rule: rules.zip(&document.routes).collect() }
    }

    fn route(&self, request: &ExampleRequest) -> Option<&'d Route> {
        let method = Method::parse(&request.method).ok()?;
        match self.policy.routes().find(&request.host, &request.path, &method) {
            RouteMatch::Route { value, .. } => self.by_rule.get(&Arc::as_ptr(value)).copied(),
            RouteMatch::MethodNotAllowed { .. } | RouteMatch::NotFound => None,
        }
    }

    /// Returns the route or public path that matches a request. Returns `None` if that route or public path has the same path as
    /// the strict route. Also returns `None` if the request gets a configured response or goes to another upstream than the
    /// requests of the strict route.
    fn looser_match(&self, request: &ExampleRequest, strict: &Route) -> Option<LooserMatch<'d>> {
        let route = self.route(request);
        let may_share = route.is_none_or(|route| route.response.is_none() && may_share_upstream(strict, route));
        if self.policy.is_public(&request.path) {
            let mut public = self.document.public_paths.iter();
            let public = public.find(|public| covers(&public.path.value, &request.path))?;
            // If a public path equals the path of a route, the document makes that route public on purpose.
            let is_meant = is_same_path(&public.path.value, &strict.path.value);
            return (may_share && !is_meant).then_some(LooserMatch::Public(public));
        }
        route.filter(|route| may_share && !is_same_path(&route.path.value, &strict.path.value)).map(LooserMatch::Route)
    }
}

/// The route or public path that a request matches.
#[derive(Clone, Copy)]
enum LooserMatch<'d> {
    Route(&'d Route),
    Public(&'d PublicPath),
}

impl PartialEq for LooserMatch<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (LooserMatch::Route(one), LooserMatch::Route(two)) => std::ptr::eq(*one, *two),
            (LooserMatch::Public(one), LooserMatch::Public(two)) => std::ptr::eq(*one, *two),
            _ => false,
        }
    }
}

/// The content of one note: requests that are similar to those of a strict route and match the same looser route or public path.
struct MatchNote<'d> {
    looser_match: LooserMatch<'d>,
    missing: Vec<String>,
    kinds: Vec<&'static str>,
    requests: Vec<String>,
}

impl MatchNote<'_> {
    /// Adds a request, unless the note already has a request with the same kind of difference.
    fn add(&mut self, kind: &'static str, request: String) {
        if !self.kinds.contains(&kind) {
            self.kinds.push(kind);
            self.requests.push(request);
        }
    }

    fn message(&self, strict: &Route) -> String {
        let requests = self.requests.join(", ");
        let verb = if self.requests.len() == 1 { "matches" } else { "match" };
        let (name, place) = self.looser_match.name();
        let line = if place.line > 0 { format!(" (line {})", place.line) } else { String::new() };
        let missing = self.missing.join(", ");
        let remedy = match self.looser_match {
            LooserMatch::Route(_) => "add a route for these requests, or give the looser route the same requirements",
            LooserMatch::Public(_) => "make the public path narrower",
        };
        format!(
            "{requests} {verb} {name}{line} instead of {}, so such requests need {missing}: {remedy}",
            title(strict)
        )
    }
}

impl LooserMatch<'_> {
    fn name(&self) -> (String, Place) {
        match self {
            LooserMatch::Route(route) => (format!("the looser route {}", title(route)), route.place.clone()),
            LooserMatch::Public(public) => {
                (format!("the public path `{}`", public.path.value), public.path.place.clone())
            }
        }
    }

    /// Returns the requirements of the strict route that the looser route or public path does not have.
    fn missing(&self, strict: &Route) -> Vec<String> {
        match self {
            LooserMatch::Public(_) => missing_on_public_path(strict),
            LooserMatch::Route(loose) => missing(strict, loose),
        }
    }
}

/// Returns whether a route requires authentication or has a `when` condition. Only such a route can be stricter than another
/// route.
fn has_requirements(route: &Route) -> bool {
    has_caller(&route.auth.value) || !route.when.is_empty()
}

/// Returns requests that are similar to those of a route, each with a phrase that describes the difference.
fn similar_requests(strict: &Route) -> Vec<(&'static str, ExampleRequest)> {
    let pattern = spelling(&strict.path.value);
    let path: String = pattern.split('/').skip(1).map(|s| format!("/{}", example(s))).collect();
    let host = strict.hosts.first().map_or("any.test", |host| host.value.as_str()).replacen('*', "any", 1);
    let own: Vec<&str> = strict.methods.iter().map(|method| method.value.as_str()).filter(|m| *m != "ANY").collect();
    let method = own.first().copied().unwrap_or("GET");
    let request = |method: &str, path: String| ExampleRequest { method: method.to_string(), host: host.clone(), path };
    let mut requests = vec![("its own path", request(method, path.clone()))];
    // A route for GET also matches HEAD.
    let is_other = |method: &&str| !(own.contains(method) || *method == "HEAD" && own.contains(&"GET"));
    if !own.is_empty() {
        let others = METHODS.into_iter().filter(is_other);
        requests.extend(others.map(|method| ("another method", request(method, path.clone()))));
    }
    let slash = match path.strip_suffix('/') {
        Some("") => None,
        Some(shorter) => Some(("no slash at the end", shorter.to_string())),
        None => Some(("a slash at the end", format!("{path}/"))),
    };
    let deeper = format!("{}/any", path.trim_end_matches('/'));
    let paths = slash.into_iter().chain(other_case(&pattern)).chain([("a longer path", deeper)]);
    requests.extend(paths.map(|(kind, path)| (kind, request(method, path))));
    requests
}

/// Returns variants of an example path for a pattern. Each variant changes the case of the first letter of one literal segment.
fn other_case(pattern: &str) -> Vec<(&'static str, String)> {
    let segments: Vec<&str> = pattern.split('/').skip(1).collect();
    let changed = |at: usize| {
        let literal = segments.get(at).filter(|segment| !segment.starts_with('{'))?;
        // A segment with a percent escape is skipped, because its first letter can be a hexadecimal digit, whose case has no
        // meaning.
        let letter = literal.char_indices().find(|(_, c)| c.is_ascii_alphabetic() && !literal.contains('%'))?.0;
        let other = |(i, c): (usize, char)| match (i == letter, c.is_ascii_uppercase()) {
            (true, true) => c.to_ascii_lowercase(),
            (true, false) => c.to_ascii_uppercase(),
            _ => c,
        };
        let changed: String = literal.char_indices().map(other).collect();
        let segment = |(i, s): (usize, &&str)| if i == at { format!("/{changed}") } else { format!("/{}", example(s)) };
        Some(("other letter case", segments.iter().enumerate().map(segment).collect()))
    };
    (0..segments.len()).filter_map(changed).collect()
}

/// Returns whether two routes can lead to the same upstream. For a route without `upstream`, Envoy's own routes select the
/// upstream, so such a route can lead to any upstream.
fn may_share_upstream(one: &Route, other: &Route) -> bool {
    match (&one.upstream, &other.upstream) {
        (Some(one), Some(other)) => one.value == other.value,
        _ => true,
    }
}

/// Returns whether two paths are equal after unneeded percent escapes are decoded.
fn is_same_path(one: &str, other: &str) -> bool {
    one == other || spelling(one) == spelling(other)
}

/// Returns whether a public path matches `path`, which must be in the spelling of [`spelling`]. A public path that ends with `/*`
/// matches all paths below it.
fn covers(public: &str, path: &str) -> bool {
    match public.strip_suffix("/*") {
        Some(folder) => path.strip_prefix(&spelling(folder)).is_some_and(|rest| rest.starts_with('/')),
        None => spelling(public) == path,
    }
}

/// Methods that upstreams commonly support.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
/// The maximum number of notes on one looser route or public path. If there are more notes, one additional note states how many
/// are omitted.
const MAX_NOTES: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::yaml;

    fn notes_on(routes: &str) -> Vec<String> {
        let head = "version: '1.0'\nissuers: [{name: a, issuer: i, audiences: [x], keys: {keys: []}}]\nupstreams: {u: {url: 'http://u'}, v: {url: 'http://v'}}\n";
        let node = yaml::read(&format!("{head}{routes}")).unwrap();
        let (document, problems) = Document::read(&node, &|_| None);
        assert!(problems.is_empty(), "{problems:?}");
        let policy = Policy::from_node(&node, &|_| None).unwrap();
        notes(&document, &policy).into_iter().map(|(place, note)| format!("{}: {note}", place.line)).collect()
    }

    #[test]
    fn requests_similar_to_a_strict_route_are_reported_with_missing_requirements() {
        let found = notes_on(
            "routes:\n- {path: /api/users, method: [GET, POST], scopes: [admin], upstream: u}\n- {path: '/api/{.+}', upstream: u}\n",
        );
        assert_eq!(
            found,
            [
                "5: `PUT /api/users` (another method), `GET /api/users/` (a slash at the end), `GET /api/Users` (other letter \
              case), `GET /api/users/any` (a longer path) match the looser route `ANY /api/{.+}` (line 6) instead of \
              `GET|POST /api/users`, so such requests need no scope `admin`: add a route for these requests, or give the \
              looser route the same requirements"
            ]
        );
    }

    #[test]
    fn routes_that_close_the_gaps_produce_no_notes() {
        let closed = "routes:\n- {path: /api/users, scopes: [admin], upstream: u}\n- {path: /api/users/, scopes: [admin], upstream: u}\n\
                      - {path: '/api/users/{.+}', scopes: [admin, more], upstream: u}\n";
        assert_eq!(notes_on(closed), [""; 0]);
        // These routes cover all variants except other letter cases, which only the catch-all route matches.
        let found = notes_on(&format!("{closed}- {{path: '/{{.+}}', upstream: u}}\n"));
        assert_eq!(found.len(), 3);
        assert!(
            found.iter().all(|note| note.contains("other letter case") && !note.contains("a longer path")),
            "{found:#?}"
        );
    }

    #[test]
    fn a_route_is_looser_if_it_accepts_a_caller_that_the_other_refuses() {
        for (strict, loose, expected) in [
            ("scopes: [a]", "scopes: [a]", None),
            ("scopes: [a]", "scopes: [a, b]", None),
            ("scopes: [a, b]", "scopes: [a]", Some("no scope `b`")),
            ("scopes: [a]", "any_scope: [a]", None),
            ("scopes: [a]", "any_scope: [a, b]", Some("no scope `a`")),
            ("any_scope: [a, b]", "scopes: [b]", None),
            ("any_scope: [a, b]", "any_scope: [b]", None),
            ("any_scope: [a, b]", "any_scope: [b, c]", Some("none of the scopes `a`, `b`")),
            ("auth: required", "auth: none", Some("no credential")),
            ("scopes: [a]", "auth: optional", Some("no credential")),
            ("auth: none", "auth: none", None),
            ("auth: none", "auth: required", None),
            ("issuers: [a]", "auth: required", Some("no token from issuer a")),
            ("auth: required", "issuers: [a]", None),
            (
                "require_claims: {c: [x]}",
                "require_claims: {c: [x, y]}",
                Some("no claim `c` with one of the required values"),
            ),
            ("require_claims: {c: [x, y]}", "require_claims: {c: [x]}", None),
            ("when: 'request.method == \"GET\"'", "auth: required", Some("not fulfil `request.method == \"GET\"`")),
            ("when: 'request.method == \"GET\"'", "when: 'request.method == \"GET\"'", None),
        ] {
            let found = notes_on(&format!(
                "routes:\n- {{path: /a, {strict}, upstream: u}}\n- {{path: '/{{.+}}', {loose}, upstream: u}}\n"
            ));
            let needs = found.first().and_then(|note| note.split("so such requests need ").nth(1)?.split(": ").next());
            assert_eq!(needs, expected, "{strict} beside {loose}");
        }
    }

    #[test]
    fn routes_to_another_backend_and_static_routes_are_ignored() {
        for loose in ["upstream: v", "auth: none, response: {status: 404}"] {
            let found = notes_on(&format!(
                "routes:\n- {{path: /a, scopes: [s], upstream: u}}\n- {{path: '/{{.+}}', {loose}}}\n"
            ));
            assert_eq!(found, [""; 0], "{loose}");
        }
        // A route with the same path and another method is not reported, because documents often have different rules for
        // different methods.
        let found = notes_on(
            "routes:\n- {path: /a, method: POST, scopes: [s], upstream: u}\n- {path: /a, method: GET, upstream: u}\n",
        );
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn public_paths_are_compared_too() {
        let found = notes_on(
            "public_paths: ['/docs/*', /free]\nroutes:\n- {path: /docs/secret, upstream: u}\n- {path: /free, upstream: u}\n",
        );
        assert_eq!(
            found,
            [
                "6: `GET /docs/secret` (its own path), `GET /docs/secret/` (a slash at the end), `GET /docs/Secret` (other \
              letter case), `GET /docs/secret/any` (a longer path) match the public path `/docs/*` (line 4) instead of \
              `ANY /docs/secret`, so such requests need no credential: make the public path narrower"
            ]
        );
    }

    #[test]
    fn paths_are_compared_without_their_escapes() {
        let found = notes_on(
            "public_paths: ['/%64ocs/*', '/fre%65']\nroutes:\n- {path: /docs/secret, upstream: u}\n- {path: /free, upstream: u}\n- {path: '/%61', method: PUT, scopes: [s], upstream: u}\n- {path: /a, method: GET, upstream: u}\n",
        );
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].contains("match the public path `/%64ocs/*` (line 4)"), "{found:#?}");
        let found = notes_on("routes:\n- {path: '/%61', scopes: [s], upstream: u}\n- {path: '/{.+}', upstream: u}\n");
        assert!(found[0].contains("`GET /A` (other letter case)"), "{found:#?}");
    }

    #[test]
    fn a_catch_all_beside_many_routes_has_few_notes() {
        let strict: String = (0..5).map(|i| format!("- {{path: /a{i}, scopes: [s], upstream: u}}\n")).collect();
        let found = notes_on(&format!("routes:\n{strict}- {{path: '/{{.+}}', upstream: u}}\n"));
        assert_eq!(found.len(), 4);
        assert_eq!(
            found[3],
            "10: the looser route `ANY /{.+}` also matches requests that are similar to those of other, stricter routes (2 more notes are not shown)"
        );
    }
}
