//! Generates random files in the formats that `import` reads, with known and unknown keys and values of every type.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

/// Generates a small value of any type, including strings that could be mistaken for `true` or `false`.
fn any_value() -> BoxedStrategy<Value> {
    let leaf = select(vec![
        json!(true),
        json!(false),
        json!(null),
        json!("true"),
        json!("false"),
        json!("yes"),
        json!("none"),
        json!(""),
        json!(0),
        json!(1),
        json!([]),
        json!(["GET", "POST"]),
        json!(["GET", 5]),
        json!({}),
        json!({ "type": "jwt" }),
        json!("/a"),
        json!("/x/*"),
        json!("60s"),
    ]);
    leaf.boxed()
}

/// Generates one of these values in most cases, and sometimes a value of [`any_value`].
fn mostly(usual: &[Value]) -> BoxedStrategy<Value> {
    prop_oneof![12 => select(usual.to_vec()), 1 => any_value()].boxed()
}

type Member = (&'static str, BoxedStrategy<Value>);

/// Generates a mapping with the members in `needed`, some of those in `others`, and sometimes an unknown key. In rare cases, one
/// of the first two members is missing.
fn mapping(needed: Vec<Member>, others: Vec<Member>) -> BoxedStrategy<Value> {
    let unknown = prop_oneof![
        30 => Just(None),
        1 => select(vec!["Auth", "authn", "auth_requierd", "roles", "x-note", "metod"]).prop_map(Some),
    ];
    let count = others.len();
    let indexes: Vec<usize> = (0..count).collect();
    let parts: Vec<BoxedStrategy<Value>> = needed.iter().chain(&others).map(|(_, value)| value.clone()).collect();
    let names: Vec<&str> = needed.iter().chain(&others).map(|(name, _)| *name).collect();
    let first = needed.len();
    (
        parts,
        subsequence(indexes, 0..=count),
        unknown,
        any_value(),
        prop::bool::weighted(0.02),
        prop::sample::select(vec![0_usize, 1]),
    )
        .prop_map(move |(values, chosen, unknown, odd, leaves_out, which)| {
            let mut members = Map::new();
            for (index, (name, value)) in names.iter().zip(values).enumerate() {
                let is_left_out = leaves_out && index == which;
                if (index < first || chosen.contains(&(index - first))) && !is_left_out {
                    members.insert((*name).to_string(), value);
                }
            }
            members.extend(unknown.map(|name| (name.to_string(), odd)));
            Value::Object(members)
        })
        .boxed()
}

fn list(items: BoxedStrategy<Value>, most: usize) -> BoxedStrategy<Value> {
    prop_oneof![20 => prop::collection::vec(items, 1..=most).prop_map(Value::Array), 1 => any_value()].boxed()
}

fn paths() -> BoxedStrategy<Value> {
    let plain = ["/a", "/a/{id}", "/a/{.+}", "/{x}/b", "/b", "/b/c/{.+}", "/{.+}", "/b/c"];
    let escaped = ["/%61", "/{x}/%62", "/%62/c/{.+}", "/b/%63"];
    let of = |paths: &[&str]| paths.iter().map(|path| json!(path)).collect::<Vec<_>>();
    prop_oneof![4 => mostly(&of(&plain)), 1 => mostly(&of(&escaped))].boxed()
}

/// Generates the file of a serverless gateway. Most values are valid; some have another type or are missing.
pub fn serverless_file() -> BoxedStrategy<Value> {
    let integration = mapping(
        vec![
            ("type", mostly(&[json!("http_proxy"), json!("http"), json!("service")])),
            ("server", mostly(&[json!("one"), json!("two")])),
        ],
        vec![],
    );
    let path = mapping(
        vec![("path", paths()), ("method", mostly(&["GET", "POST", "ANY"].map(|method| json!(method))))],
        vec![
            ("auth", mostly(&[json!(true), json!(false)])),
            ("integration", prop_oneof![12 => integration, 1 => any_value()].boxed()),
            ("response", any_value()),
            ("mapping", any_value()),
            ("variables", any_value()),
        ],
    );
    let server = mapping(
        vec![("alias", mostly(&[json!("one"), json!("two")])), ("url", mostly(&[json!("http://one:80")]))],
        vec![],
    );
    let authorizer = mapping(
        vec![("type", mostly(&[json!("jwt"), json!("auth0")])), ("issuer", mostly(&[json!("i")]))],
        vec![
            ("audience", mostly(&[json!("a"), json!(["a", "b"])])),
            ("secret", mostly(&[json!("hunter2"), json!("$secrets.KEY")])),
            ("algorithm", mostly(&[json!("HS256")])),
        ],
    );
    let cors = mapping(
        vec![("allow_origins", mostly(&[json!(["https://a.example"])]))],
        vec![("allow_methods", mostly(&[json!(["GET"])])), ("max_age", mostly(&[json!(5)]))],
    );
    mapping(
        vec![("paths", list(path, 3))],
        vec![
            ("servers", list(server, 1)),
            ("authorizer", prop_oneof![12 => authorizer, 1 => any_value()].boxed()),
            ("cors", prop_oneof![12 => cors, 1 => any_value()].boxed()),
            ("title", any_value()),
            ("services", any_value()),
        ],
    )
}

/// Generates a routes.yaml. Most values are valid; some have another type or are missing.
pub fn routes_file() -> BoxedStrategy<Value> {
    let route = mapping(
        vec![("path", paths()), ("proxy_upstream", mostly(&[json!("$A_SERVICE_URL"), json!("http://b:80")]))],
        vec![
            ("method", mostly(&[json!("GET"), json!(["PUT", "DELETE"]), json!("ANY")])),
            ("auth_required", mostly(&[json!(true), json!(false)])),
            ("scopes", mostly(&[json!(["read:a"]), json!("read:a"), json!([])])),
            ("timeout", mostly(&[json!("5s")])),
            ("description", mostly(&[json!("d")])),
            ("cache_ttl", any_value()),
        ],
    );
    let public = mostly(&["/health", "/docs", "/a", "/b/c", "/assets/*", "/%61", "/b/%63"].map(|path| json!(path)));
    mapping(
        vec![("routes", list(route, 3))],
        vec![("public_paths", list(public, 2)), ("version", mostly(&[json!("1.0")]))],
    )
}
