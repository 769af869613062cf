//! How much memory a value takes as it is allocated, for caches that are bounded in bytes.

use serde_json::Value;

/// The bytes of all allocations behind a JSON value; those of the value itself are its owner's.
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

/// One allocation of this many bytes, with what the allocator adds to it.
pub fn block(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { (bytes + BLOCK_HEADER).next_multiple_of(BLOCK_STEP) }
}

/// The bytes of a map's tree nodes. Each node has room for eleven members and holds at least five, except a single root node.
/// One member takes as much as eleven.
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
/// What the allocator of the filter (dlmalloc) puts before each block, and the multiple that blocks are rounded up to.
const BLOCK_HEADER: usize = 8;
const BLOCK_STEP: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// The bytes counted for a text.
    fn of(text: &str) -> usize {
        json(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn what_is_counted_is_what_is_allocated() {
        for text in ["null", "true", "7", "\"\"", "[]", "{}"] {
            assert_eq!(of(text), 0, "{text}");
        }
        assert!(of("\"0123456789\"") >= 10);
        // An object of one member has the node of one with eleven.
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
