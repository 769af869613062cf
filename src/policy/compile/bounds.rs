//! Compiles `bounds`: applies defaults, and checks that the largest held body of a route fits.

use crate::config::bounds::WorkerBounds;
use crate::config::problem::{At, Problems};
use crate::policy::limits::memory::MemoryBounds;
use crate::policy::pipeline::rule::Rule;

/// Applies the defaults to the section. Reports a bound that is smaller than the largest body that one of the `rules` may hold.
pub(super) fn compile<'r>(
    section: Option<&WorkerBounds>,
    rules: impl Iterator<Item = &'r Rule>,
    problems: &mut Problems,
) -> MemoryBounds {
    let section = section.cloned().unwrap_or_default();
    let rules: Vec<&Rule> = rules.collect();
    let held = rules.iter().filter_map(|rule| Some((*rule, rule.held_body()?)));
    let mapped = rules.iter().filter_map(|rule| Some((*rule, rule.mapped_body()?)));
    let mut bound = |section: Option<At<u64>>, largest: Option<(&Rule, u64)>, key: &str| {
        if let (Some(held), Some((rule, bytes))) = (&section, largest)
            && held.value < bytes
        {
            let message = format!(
                "{} bytes are less than the {key} of route `{}`, which holds bodies of up to {bytes} bytes",
                held.value, rule.name
            );
            problems.add(&held.place, message);
        }
        section.map_or(largest.map_or(HELD_BYTES, |(_, bytes)| bytes.max(HELD_BYTES)), |held| held.value)
    };
    MemoryBounds {
        held_bodies: bound(section.held_body_bytes, held.max_by_key(|(_, bytes)| *bytes), "`max_body_bytes`"),
        held_responses: bound(section.held_response_bytes, mapped.max_by_key(|(_, bytes)| *bytes), "`max_bytes`"),
        copied_bodies: section.copied_body_bytes,
        token_cache: section.token_cache_bytes,
    }
}

/// The default bound in bytes, for held request bodies and for held responses. If a route may hold a larger body, its size is the
/// default.
const HELD_BYTES: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::node::Node;
    use crate::policy::Policy;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// Compiles a document with this section and a route that holds bodies of this size. Returns its bounds, or its problems.
    fn bounds(section: Value, body: u64) -> Result<MemoryBounds, Vec<String>> {
        let checks = json!({ "max_body_bytes": body });
        let mut document = json!({
            "version": "1.0",
            "upstreams": { "files": {} },
            "routes": [
                { "path": "/small", "auth": "none", "upstream": "files", "checks": { "max_body_bytes": 1 } },
                { "path": "/files", "method": "POST", "auth": "none", "upstream": "files", "checks": checks },
                { "path": "/mapped", "auth": "none", "upstream": "files", "jsonapi": { "type": "files", "max_bytes": 2000 } },
                { "path": "/seen", "auth": "none", "upstream": "files", "checks": { "mode": "log", "max_body_bytes": 67_108_864 } },
            ],
        });
        if !section.is_null() {
            document["bounds"] = section;
        }
        let policy = Policy::from_node(&Node::from(document), &|_| None);
        let problems = |found: Vec<crate::config::problem::Problem>| found.iter().map(ToString::to_string).collect();
        policy.map(|policy| *policy.bounds()).map_err(problems)
    }

    #[test]
    fn one_body_of_every_route_must_fit() {
        let usual = MemoryBounds {
            held_bodies: 64 << 20,
            held_responses: 64 << 20,
            copied_bodies: 16 << 20,
            token_cache: 48 << 20,
        };
        assert_eq!(bounds(Value::Null, 64 << 20), Ok(usual));
        assert_eq!(bounds(json!({}), 1), Ok(usual));
        let own = json!({ "held_body_bytes": 1000, "copied_body_bytes": 0, "token_cache_bytes": 1 });
        let expected = MemoryBounds { held_bodies: 1000, held_responses: 64 << 20, copied_bodies: 0, token_cache: 1 };
        assert_eq!(bounds(own.clone(), 1000), Ok(expected));
        let found = bounds(own, 1001).unwrap_err();
        let message = "1000 bytes are less than the `max_body_bytes` of route `POST /files`, which holds bodies of up to 1001 bytes";
        assert!(
            found.len() == 1 && found[0].ends_with(message) && found[0].contains("bounds.held_body_bytes"),
            "{found:?}"
        );
        let found = bounds(json!({ "held_response_bytes": 1999 }), 1).unwrap_err();
        let message =
            "1999 bytes are less than the `max_bytes` of route `ANY /mapped`, which holds bodies of up to 2000 bytes";
        assert!(found.len() == 1 && found[0].ends_with(message), "{found:?}");
        assert!(bounds(json!({ "copied_body_bytes": 134_217_729 }), 1).is_err());
        assert!(bounds(json!({ "held_bytes": 1 }), 1).is_err());
    }
}
