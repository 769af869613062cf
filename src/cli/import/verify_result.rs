//! Compiles the imported document with the filter's own compiler, so that `import` reports what `check` would report.

use serde_json::{Value, json};

use super::ISSUER;
use crate::config::node::Node;
use crate::config::problem::{Place, Problem};
use crate::policy::Policy;

/// Returns the problems that `check` would report, each with its location in the imported file if known.
///
/// A missing issuer or upstream address is not a problem here, because `import` has already warned about it.
pub fn problems(document: &Value, origins: &[(String, Place)]) -> Vec<Problem> {
    let mut complete = document.clone();
    add_missing_parts(&mut complete);
    let environment = |_: &str| Some(STAND_IN.to_string());
    let found = Policy::from_node(&Node::from(complete), &environment).err().unwrap_or_default();
    found.into_iter().map(|problem| in_file(problem, origins)).collect()
}

fn add_missing_parts(document: &mut Value) {
    let routes = document.get("routes").and_then(Value::as_array).cloned().unwrap_or_default();
    let Some(members) = document.as_object_mut() else { return };
    if routes.iter().any(|route| route.get("auth").is_none()) {
        let issuer = json!({ "name": ISSUER, "issuer": "unset", "audiences": ["unset"], "secret": { "env": "UNSET" } });
        members.entry("issuers").or_insert_with(|| json!([issuer]));
    }
    let upstreams = members.entry("upstreams").or_insert_with(|| json!({}));
    let Some(upstreams) = upstreams.as_object_mut() else { return };
    for name in routes.iter().filter_map(|route| route.get("upstream")?.as_str()) {
        upstreams.entry(name).or_insert(Value::Null);
    }
    // `import` cannot check a URL with variables, because the variables are set in Envoy's environment.
    for url in upstreams.values_mut().filter_map(|upstream| upstream.get_mut("url")) {
        if url.as_str().is_some_and(|url| url.contains('$')) {
            *url = json!("http://unset.invalid");
        }
    }
}

/// Replaces the location of a problem with the location in the imported file from which the affected part was read.
fn in_file(problem: Problem, origins: &[(String, Place)]) -> Problem {
    let path = &problem.place.path;
    let is_inside =
        |part: &str| path.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    let nearest = origins.iter().filter(|(part, _)| is_inside(part)).max_by_key(|(part, _)| part.len());
    let place = nearest.map(|(_, place)| place.clone()).unwrap_or_default();
    let part = if path.is_empty() { "the result" } else { path.as_str() };
    Problem { place, message: format!("`check` would refuse {part} of the imported document: {}", problem.message) }
}

/// The value of every variable: long enough for the secret of every HMAC algorithm (RFC 7518 §3.2), and never used for a
/// signature.
const STAND_IN: &str = "stands-in-for-a-secret-that-is-not-set-here-0f1e2d3c4b5a69788796a5b4c3d2e1f0";
