//! Paths to the claims of a token, in the syntax that all configuration keys for claims share.

use serde_json::Value;

use super::problem::At;
use super::reader::Field;
use crate::strict_json::pointer;

/// A path to a claim. `a` is a top-level claim, `a.b` is the member `b` of the claim `a`, and a path that starts with `/` is a
/// JSON Pointer (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath {
    /// The path as written in the document.
    pub text: String,
    segments: Vec<String>,
    /// Whether the path is a JSON Pointer. Only a JSON Pointer can address the items of a list.
    is_pointer: bool,
}

/// A claim that must have one of the listed values.
#[derive(Clone, Debug, PartialEq)]
pub struct RequiredClaim {
    /// The path to the claim.
    pub claim: ClaimPath,
    /// The accepted values, which are scalars. If the claim is a list, the list must contain one of them.
    pub any_of: Vec<serde_json::Value>,
}

impl ClaimPath {
    /// Parses a claim path: `/a/b` is a JSON Pointer, and `a.b` is a nested claim. A path that contains `://` is the name of one
    /// top-level claim, even if it contains dots.
    ///
    /// # Errors
    /// The error describes the fault of a string that starts with `/` and is not a valid JSON Pointer.
    pub fn parse(text: &str) -> Result<ClaimPath, String> {
        let is_pointer = text.starts_with('/');
        let segments = match is_pointer {
            true => pointer::parse(text)?,
            false if text.contains("://") => vec![text.to_string()],
            false => text.split('.').map(str::to_string).collect(),
        };
        Ok(ClaimPath { text: text.to_string(), segments, is_pointer })
    }

    /// Returns the path to the top-level claim with this name. The name can contain any character, even `.` and `/`.
    pub fn top(name: &str) -> ClaimPath {
        ClaimPath::members(&[name])
    }

    /// Returns the path that consists of these member names, starting at the top level. An empty list is the path to the object
    /// of all claims.
    pub fn members(names: &[&str]) -> ClaimPath {
        let text = if names.is_empty() { ".".to_string() } else { names.join(".") };
        ClaimPath { text, segments: names.iter().map(ToString::to_string).collect(), is_pointer: false }
    }

    /// Returns the path to the member `name` of the claim at this path.
    pub fn member(&self, name: &str) -> ClaimPath {
        let mut inner = self.clone();
        inner.segments.push(name.to_string());
        inner
    }

    /// Returns the segments of the path, starting at the top level. A segment is the name of a member. In a JSON Pointer, it can
    /// also be the index of a list item.
    pub fn segments(&self) -> &[String] {
        &self.segments
    }

    /// Returns the value at this path in `claims`; `None` if there is no such value.
    pub fn find<'c>(&self, claims: &'c Value) -> Option<&'c Value> {
        if self.is_pointer {
            return self.segments.iter().try_fold(claims, pointer::step);
        }
        self.segments.iter().try_fold(claims, |value, segment| value.as_object()?.get(segment.as_str()))
    }

    /// Reads a field that contains a claim path. An invalid path is reported as a problem.
    pub(super) fn read(field: &Field<'_>) -> Option<ClaimPath> {
        let read = ClaimPath::parse(&field.text()?);
        read.map_err(|fault| field.problem(fault)).ok()
    }
}

/// Reads `require_claims`, a mapping from claim paths to one or more accepted values.
pub(super) fn required_claims(field: &Field<'_>) -> Vec<RequiredClaim> {
    let scalar = |f: &Field<'_>| {
        let value = f.node.to_json();
        let is_scalar = value.is_string() || value.is_boolean() || value.is_i64() || value.is_u64();
        if !is_scalar {
            f.problem(format!("expected text, a whole number, true or false, found {}", f.node.kind()));
        }
        is_scalar.then_some(value)
    };
    let entries = field.entries();
    let claim = |(name, values): &(At<String>, Field<'_>)| {
        let any_of = values.one_or_more().iter().filter_map(scalar).collect();
        let claim = ClaimPath::parse(&name.value).map_err(|fault| values.problem_at(&name.place, fault)).ok()?;
        Some(RequiredClaim { claim, any_of })
    };
    entries.iter().filter_map(claim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn claim_paths_are_flat_nested_pointers_or_urls() {
        let claims = serde_json::json!({
            "a": { "b": 1, "c/d": 2 }, "https://x.example/roles": 3, "e.f": 4, "list": [5, { "g": 6 }], "numbers": { "0": 7 },
        });
        for (path, expected) in [
            ("a.b", Some(1)),
            ("/a/b", Some(1)),
            ("/a/c~1d", Some(2)),
            ("https://x.example/roles", Some(3)),
            ("/e.f", Some(4)),
            ("e.f", None),
            ("a.x", None),
            ("a.b.c", None),
            ("/list/0", Some(5)),
            ("/list/1/g", Some(6)),
            ("/list/2", None),
            ("/list/-", None),
            ("/list/00", None),
            ("list.0", None),
            ("/numbers/0", Some(7)),
            ("numbers.0", Some(7)),
        ] {
            let found = ClaimPath::parse(path).unwrap().find(&claims).and_then(Value::as_i64);
            assert_eq!(found, expected, "{path}");
        }
        assert_eq!(ClaimPath::members(&["list", "0"]).find(&claims), None);
    }

    #[test]
    fn an_invalid_pointer_escape_is_a_problem_in_every_claim_path() {
        let text = r#"{
            "version": "1.0",
            "issuers": [{ "name": "i", "issuer": "i", "audiences": ["a"], "secret": { "env": "S" },
                "scope_claims": ["scope", "/a~2b"], "permission_claims": "/a~2b", "require_claims": { "/a~2b": 1 } }],
            "identity_headers": { "X-A": "/a~2b", "X-B": { "claim": "/a~2b" } },
            "routes": [{ "path": "/a", "require_claims": { "/a~2b": 1 }, "response": {} }],
            "limits": [{ "name": "l", "by": { "claim": "/a~2b" }, "rate": "1/s" },
                { "name": "m", "by": "user", "plan_from": { "claim": "/a~2b", "default": "p" } }],
            "plans": { "p": { "rate": "1/s" } }
        }"#;
        let node = crate::config::source::read(text.as_bytes()).unwrap();
        let (_, problems) = crate::config::document::Document::read(&node, &|_| Some("secret".to_string()));
        let problems = problems.sorted();
        let found: Vec<&str> = problems.iter().map(|problem| problem.place.path.as_str()).collect();
        for place in [
            "issuers[0].scope_claims[1]",
            "issuers[0].permission_claims",
            "issuers[0].require_claims./a~2b",
            "identity_headers.X-A",
            "identity_headers.X-B.claim",
            "routes[0].require_claims./a~2b",
            "limits[0].by.claim",
            "limits[1].plan_from.claim",
        ] {
            assert!(found.contains(&place), "{place}: {found:?}");
        }
        assert!(
            problems.iter().all(|problem| problem.message.contains("`/a~2b` is not a JSON Pointer")),
            "{problems:?}"
        );
    }
}
