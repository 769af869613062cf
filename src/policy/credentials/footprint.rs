//! Measures the allocated memory of values, for caches with a maximum size in bytes.

use serde_json::Value;

/// Returns the bytes of all allocations of a JSON value. The size of the `Value` itself is not included.
pub fn json(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => block(text.capacity()),
        Value::Array(items) => block(items.capacity() * size_of::<Value>()) + items.iter().map(json).sum::<usize>(),
        Value::Object(members) => {
            let inside = members.iter().map(|(name, value)| block(name.capacity()) + json(value));
            nodes(members.len()) + inside.sum::<usize>()
        }
    }
}

/// Returns the size of one allocation, including the allocator's overhead.
pub fn block(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { (bytes + BLOCK_HEADER).next_multiple_of(BLOCK_STEP) }
}

/// Returns the size of the tree nodes of a JSON object, which is a `BTreeMap`. Each node has room for eleven members and contains
/// at least five, except a single root node. An object with one member takes as much memory as an object with eleven members.
fn nodes(members: usize) -> usize {
    let leaf = NODE_MEMBERS * (size_of::<String>() + size_of::<Value>()) + 2 * size_of::<usize>();
    match members {
        0 => 0,
        1..=NODE_MEMBERS => block(leaf),
        _ => (members / LEAST_MEMBERS + 1) * block(leaf + (NODE_MEMBERS + 1) * size_of::<usize>()),
    }
}

/// `BTreeMap` has nodes of up to 2·6 − 1 members (`alloc::collections::btree::node::CAPACITY`).
const NODE_MEMBERS: usize = 11;
const LEAST_MEMBERS: usize = 5;
/// The header that the filter's allocator (dlmalloc) adds to each block, and the alignment of blocks.
const BLOCK_HEADER: usize = 8;
const BLOCK_STEP: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// Parses a JSON document, and returns the bytes counted for the value.
    fn of(text: &str) -> usize {
        json(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn counted_bytes_match_allocated_bytes() {
        for text in ["null", "true", "7", "\"\"", "[]", "{}"] {
            assert_eq!(of(text), 0, "{text}");
        }
        assert!(of("\"0123456789\"") >= 10);
        // An object with one member has the same node size as an object with eleven members.
        let (one, eleven) =
            (of(r#"{"":0}"#), of(r#"{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0,"j":0,"k":0}"#));
        assert!(one >= 11 * (size_of::<String>() + size_of::<Value>()), "{one}");
        assert!(eleven >= one, "{eleven}");
        let dense = |count: usize| of(&format!("[{}]", vec![r#"{"":0}"#; count].join(",")));
        assert!(dense(1_000) >= 1_000 * one, "{}", dense(1_000));
        let twelve: String = (0..1_000).map(|n| format!(",\"{n:04}\":0")).collect();
        assert!(of(&format!("{{\"x\":0{twelve}}}")) >= 1_000 / 11 * one);
    }
}
