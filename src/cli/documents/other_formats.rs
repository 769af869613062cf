//! Recognizes other document formats by their keys, so that the error names the format instead of many unknown keys.

use super::is_gateway;
use crate::config::node::{Node, Value};

/// Returns a message with the format of a document and the command that accepts it. Returns `None` for a gateway document and
/// for an unknown format.
pub fn kind(root: &Node) -> Option<&'static str> {
    let Value::Map(entries) = &root.value else { return None };
    if is_gateway(root) {
        return None;
    }
    let has = |key: &str| root.get(key).is_some();
    let has_only = |key: &str| has(key) && entries.iter().all(|(k, _)| k.text == key || k.text == "version");
    if has_only("clients") {
        Some("this is a document of clients: check it with `portcullis clients check`; a gateway document has `routes`")
    } else if has_only("revoked") {
        Some("this is a revocation list: check it with `portcullis revocation check`; a gateway document has `routes`")
    } else if has_only("keys") {
        Some("this is a key set: pass it to `portcullis explain --keys`; a gateway document has `routes`")
    } else if has("$schema") || has("type") && (has("properties") || has("items")) {
        Some("this is a JSON Schema: put it under `schemas` of a gateway document, which has `routes`")
    } else if has("openapi") || has("swagger") {
        Some("this is an OpenAPI document, which no command reads yet; a gateway document has `routes`")
    } else if has("paths") {
        Some(
            "this document has `paths`, a key of another gateway's format: convert it with `portcullis import`; a gateway document has `routes`",
        )
    } else {
        None
    }
}
