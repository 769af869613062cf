//! Parses the plugin configuration that Envoy passes to the filter: JSON text, or a binary protobuf `Struct`.
//!
//! Envoy passes plain YAML under `configuration:` as a binary `google.protobuf.Struct` (envoy-facts §2.1).

use std::collections::BTreeSet;

use super::node::{MapKey, Node, Position, Value};
use crate::protobuf::{Message, Wire};
use crate::strict_json;

/// Parses a plugin configuration.
///
/// # Errors
/// The error describes the fault. It contains no part of the configuration, because the configuration may contain secrets.
pub fn read(bytes: &[u8]) -> Result<Node, String> {
    if bytes.is_empty() {
        return Err("the plugin has no configuration: set `configuration` of the wasm filter in Envoy".to_string());
    }
    // Every non-empty Struct starts with the byte 0x0a. JSON text can start with this byte too, because it is a line break.
    let is_text = bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
    if !bytes.starts_with(b"{")
        && let Some(node) = read_struct(bytes, 1)
    {
        return Ok(node);
    }
    if !is_text {
        return Err("the configuration is neither a JSON object nor a protobuf Struct".to_string());
    }
    strict_json::parse_to_depth(bytes, DEEPEST)
        .map(Node::from)
        .map_err(|fault| format!("the configuration is not JSON: {fault}"))
}

/// Reads `message Struct { map<string, Value> fields = 1; }`. The entries keep the order of the bytes. Returns `None` if the
/// bytes are malformed, contain a key twice, or are nested too deeply.
fn read_struct(bytes: &[u8], depth: usize) -> Option<Node> {
    if depth > DEEPEST {
        return None;
    }
    let mut entries: Vec<(MapKey, Node)> = Vec::new();
    let mut keys = BTreeSet::new();
    for field in Message(bytes) {
        let Some(Wire::Bytes(1, entry)) = field else { return None };
        let (mut key, mut node) = (String::new(), None);
        for part in Message(entry) {
            match part? {
                Wire::Bytes(1, text) => key = std::str::from_utf8(text).ok()?.to_string(),
                Wire::Bytes(2, value) => node = Some(read_value(value, depth)?),
                _ => return None,
            }
        }
        if !keys.insert(key.clone()) {
            return None;
        }
        entries.push((MapKey { at: Position::default(), text: key }, node.unwrap_or_else(|| bare(Value::Null))));
    }
    Some(bare(Value::Map(entries)))
}

/// Reads `message Value { oneof kind { null = 1; number = 2; string = 3; bool = 4; Struct = 5; ListValue = 6; } }`.
fn read_value(bytes: &[u8], depth: usize) -> Option<Node> {
    let mut found = None;
    for part in Message(bytes) {
        found = Some(match part? {
            Wire::Varint(1, _) => bare(Value::Null),
            Wire::Fixed64(2, bits) => bare(Value::Number(number(f64::from_bits(bits))?)),
            Wire::Bytes(3, text) => bare(Value::Text(std::str::from_utf8(text).ok()?.to_string())),
            Wire::Varint(4, flag) => bare(Value::Bool(flag != 0)),
            Wire::Bytes(5, inner) => read_struct(inner, depth + 1)?,
            Wire::Bytes(6, inner) => read_list(inner, depth + 1)?,
            _ => return None,
        });
    }
    found
}

fn read_list(bytes: &[u8], depth: usize) -> Option<Node> {
    if depth > DEEPEST {
        return None;
    }
    let items = Message(bytes).map(|part| match part? {
        Wire::Bytes(1, value) => read_value(value, depth),
        _ => None,
    });
    Some(bare(Value::List(items.collect::<Option<Vec<Node>>>()?)))
}

/// Converts a double of a `Struct` to a JSON number. A whole number within ±2^53 becomes an integer, because a double represents
/// these numbers exactly. Returns `None` if the double is infinite or not a number.
pub fn number(value: f64) -> Option<serde_json::Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within ±2^53, as just checked")]
        return Some(serde_json::Number::from(value as i64));
    }
    serde_json::Number::from_f64(value)
}

fn bare(value: Value) -> Node {
    Node { at: Position::default(), value }
}

/// The maximum nesting depth while parsing, which protects the stack. It is larger than the limit of a document, so that
/// [`super::document_size`] can report the location of a value that exceeds that limit.
const DEEPEST: usize = 2 * super::document_size::MAX_DEPTH;
