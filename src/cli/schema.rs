//! `portcullis schema`: prints the JSON Schema of gateway documents, which editors use for completion and checks.

use super::{Exit, Output, ToolOutcome};

/// The schema of gateway documents, which is also published in `docs`.
const SCHEMA: &str = include_str!("../../docs/gateway.schema.json");

/// Prints the schema.
pub fn run() -> ToolOutcome {
    ToolOutcome { result: Output::Whole(SCHEMA.to_string()), notes: Vec::new(), exit: Exit::Success }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::config::clients_from::read_document;
    use crate::config::document::Document;
    use crate::config::node::Node;
    use crate::config::problem::Problems;
    use crate::config::revocation::read_list;

    /// Returns documents that each have the unknown key [`BOGUS`] in one object. The string before each document is the JSON
    /// pointer to the schema of that object.
    fn places() -> Vec<(&'static str, Value)> {
        let bogus = || json!({ BOGUS: 1 });
        let issuer = |key: &str, value: Value| json!({ "issuers": [{ "name": "a", key: value }] });
        let route = |key: &str, value: Value| json!({ "routes": [{ "path": "/a", key: value }] });
        vec![
            ("", bogus()),
            ("/$defs/bounds", json!({ "bounds": bogus() })),
            ("/$defs/issuer", json!({ "issuers": [bogus()] })),
            ("/$defs/jwks", issuer("jwks", bogus())),
            ("/$defs/secret", issuer("secret", bogus())),
            ("/$defs/token_source", issuer("token_from", json!([bogus()]))),
            ("/$defs/auth", json!({ "auth": bogus() })),
            ("/$defs/auth", route("auth", bogus())),
            ("/$defs/api_keys", json!({ "api_keys": bogus() })),
            ("/$defs/key_source", json!({ "api_keys": { "from": [bogus()] } })),
            ("/$defs/client", json!({ "clients": [bogus()] })),
            ("/$defs/client_key", json!({ "clients": [{ "id": "a", "keys": [bogus()] }] })),
            ("/$defs/certificate", json!({ "clients": [{ "id": "a", "certificates": [bogus()] }] })),
            ("/$defs/clients_from", json!({ "clients_from": bogus() })),
            ("/$defs/revocation", json!({ "revocation": bogus() })),
            ("/$defs/revoked", json!({ "revocation": { "revoked": [bogus()] } })),
            ("/$defs/identity_header", json!({ "identity_headers": { "X-A": bogus() } })),
            ("/$defs/permission", json!({ "permissions": { "LIC": { "A": bogus() } } })),
            ("/$defs/forward_permissions", json!({ "forward_permissions": bogus() })),
            ("/$defs/cors", json!({ "cors": bogus() })),
            ("/$defs/cors", route("cors", bogus())),
            ("/$defs/checks", json!({ "checks": bogus() })),
            ("/$defs/checks", route("checks", bogus())),
            ("/$defs/parameter", route("checks", json!({ "query": { "a": bogus() } }))),
            ("/$defs/parameter", route("checks", json!({ "headers": { "a": bogus() } }))),
            ("/$defs/json_body", route("checks", json!({ "json": bogus() }))),
            ("/$defs/upstream", json!({ "upstreams": { "a": bogus() } })),
            ("/$defs/route", json!({ "routes": [bogus()] })),
            ("/$defs/response", route("response", bogus())),
            ("/$defs/jsonapi", route("jsonapi", bogus())),
            ("/$defs/relationship", route("jsonapi", json!({ "relationships": { "a": bogus() } }))),
            ("/$defs/jsonapi_links", route("jsonapi", json!({ "links": bogus() }))),
            ("/$defs/limit", json!({ "limits": [{ "store": "global", BOGUS: 1 }] })),
            ("/$defs/route_limit", route("limits", json!([{ "store": "global", BOGUS: 1 }]))),
            ("/$defs/rate_limit_service", json!({ "rate_limit_service": bogus() })),
            ("/$defs/lease", json!({ "limits": [{ "store": "global", "lease": bogus() }] })),
            ("/$defs/limit_part", json!({ "limits": [{ "by": bogus() }] })),
            ("/$defs/plan_from", json!({ "limits": [{ "plan_from": bogus() }] })),
            ("/$defs/window", json!({ "plans": { "a": bogus() } })),
            ("/$defs/errors", json!({ "errors": bogus() })),
            ("/$defs/audit", json!({ "audit": bogus() })),
        ]
    }

    #[test]
    fn the_schema_and_the_reader_accept_the_same_keys() {
        let schema: Value = serde_json::from_str(super::SCHEMA).unwrap();
        for (pointer, document) in places() {
            let mut accepted = accepted(&document, "unknown key `");
            accepted.sort_unstable();
            let object = schema.pointer(pointer).unwrap();
            let described: Vec<String> = object["properties"].as_object().unwrap().keys().cloned().collect();
            assert_eq!(described, accepted, "{pointer}");
            assert_eq!(object["additionalProperties"], json!(false), "{pointer}");
        }
    }

    #[test]
    fn the_schema_and_the_reader_accept_the_same_words() {
        let schema: Value = serde_json::from_str(super::SCHEMA).unwrap();
        let mut compared = 0;
        for (pointer, document) in places() {
            for (key, mut described) in schema.pointer(pointer).unwrap()["properties"].as_object().unwrap() {
                while let Some(reference) = described.get("$ref").and_then(Value::as_str) {
                    described = schema.pointer(reference.trim_start_matches('#')).unwrap();
                }
                let Some(words) = described.get("enum").and_then(Value::as_array) else { continue };
                if words.iter().all(Value::is_string) {
                    let mut document = document.clone();
                    assert!(put(&mut document, key), "{document}");
                    assert_eq!(json!(accepted(&document, "`")), json!(words), "{pointer}: {key}");
                    assert!(described.get("default").is_none_or(|default| words.contains(default)), "{pointer}: {key}");
                    compared += 1;
                }
            }
        }
        assert!(compared > 15, "only {compared}");
    }

    /// Reads a document with the unknown word [`BOGUS`], and returns the words that the message lists as accepted.
    fn accepted(document: &Value, before: &str) -> Vec<String> {
        let (_, problems) = Document::read(&Node::from(document.clone()), &|_| None);
        let messages: Vec<String> = problems.sorted().into_iter().map(|p| p.message).collect();
        let about = |message: &&String| message.starts_with(&format!("{before}{BOGUS}`"));
        let message = messages.iter().find(about).unwrap_or_else(|| panic!("{document}: {messages:?}"));
        let (_, accepted) = message.trim_end_matches(')').split_once("(accepted: ").unwrap();
        accepted.split(", ").map(str::to_string).collect()
    }

    /// Replaces the unknown key [`BOGUS`] with this key and an unknown word as its value. Returns false if there is no such
    /// key.
    fn put(document: &mut Value, key: &str) -> bool {
        match document {
            Value::Object(members) if members.contains_key(BOGUS) => {
                members.remove(BOGUS);
                members.insert(key.to_string(), json!(BOGUS));
                true
            }
            Value::Object(members) => members.values_mut().any(|inner| put(inner, key)),
            Value::Array(items) => items.iter_mut().any(|inner| put(inner, key)),
            _ => false,
        }
    }

    const BOGUS: &str = "zzzzzzzzzzzzzzzzzzzzzzzz";

    #[test]
    fn fetched_documents_share_definitions_with_the_gateway_schema() {
        let revocation = include_str!("../../docs/revocation.schema.json");
        let clients = include_str!("../../docs/clients.schema.json");
        let document: Value = serde_json::from_str(super::SCHEMA).unwrap();
        for (schema, list, read) in [
            (revocation, "revoked", (|node| read_list(node).1) as fn(&Node) -> Problems),
            (clients, "clients", |node| read_document(node).1),
        ] {
            let schema: Value = serde_json::from_str(schema).unwrap();
            for (name, definition) in schema["$defs"].as_object().unwrap() {
                assert_eq!(*definition, document["$defs"][name], "{name}");
            }
            let mut bogus = json!({ "version": "1.0", "zzzzzzzzzzzzzzzzzzzzzzzz": 1 });
            bogus[list] = json!([]);
            let accepted = read(&Node::from(bogus)).sorted().pop().unwrap().message;
            assert!(accepted.ends_with(&format!("(accepted: version, {list})")), "{accepted}");
            let described: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
            assert!(described.len() == 2 && schema["properties"][list]["type"] == "array", "{described:?}");
            assert_eq!(schema["properties"]["version"]["const"], "1.0");
            assert_eq!(schema["additionalProperties"], json!(false));
        }
    }

    #[test]
    fn every_schema_object_is_compared_and_every_reference_resolves() {
        let schema: Value = serde_json::from_str(super::SCHEMA).unwrap();
        let compared: Vec<&str> = places().into_iter().map(|(pointer, _)| pointer).collect();
        for (name, definition) in schema["$defs"].as_object().unwrap() {
            let pointer = format!("/$defs/{name}");
            assert_eq!(definition.get("properties").is_some(), compared.contains(&pointer.as_str()), "{pointer}");
        }
        let mut pending = vec![&schema];
        while let Some(value) = pending.pop() {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(reference)) = members.get("$ref") {
                        assert!(schema.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
                    }
                    pending.extend(members.values());
                }
                Value::Array(items) => pending.extend(items),
                _ => {}
            }
        }
    }
}
