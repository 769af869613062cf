//! JSON Pointers (RFC 6901): the path to one value inside a JSON document, such as `/groups/0`.

use std::fmt;

use serde_json::Value;

/// A parsed pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pointer(Vec<String>);

impl Pointer {
    /// Parses a pointer. The empty pointer refers to the whole document.
    ///
    /// # Errors
    /// Returns the reason why the text is not a pointer.
    pub fn parse(text: &str) -> Result<Pointer, String> {
        parse(text).map(Pointer)
    }

    /// Returns the member names and list indexes of the pointer, with decoded escapes.
    pub fn segments(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|segment| write!(f, "/{}", escape(segment)))
    }
}

/// Splits a pointer into member names and list indexes, with `~1` and `~0` decoded. The empty pointer refers to the whole
/// document.
///
/// # Errors
/// Returns the reason why the text is not a pointer (RFC 6901 §3).
pub fn parse(text: &str) -> Result<Vec<String>, String> {
    let mut pieces = text.split('/');
    if pieces.next() != Some("") {
        return Err(format!("`{text}` is not a JSON Pointer: it must start with `/` (RFC 6901)"));
    }
    let read = |piece| unescape(piece).ok_or_else(|| format!("`{text}` is not a JSON Pointer: {ESCAPES}"));
    pieces.map(read).collect()
}

/// Returns the value at the pointer `text`. Returns `None` if there is no such value, or if `text` is not a pointer.
pub fn find<'v>(value: &'v Value, text: &str) -> Option<&'v Value> {
    parse(text).ok()?.iter().try_fold(value, step)
}

/// Returns the member with this name, or the list item with this index. The index `-` means the item after the last one (RFC
/// 6901 §4), which never exists.
pub fn step<'v>(value: &'v Value, segment: &String) -> Option<&'v Value> {
    match value {
        Value::Object(members) => members.get(segment),
        Value::Array(items) => items.get(index(segment)?),
        _ => None,
    }
}

/// Parses a list index: `0`, or digits without a leading zero (RFC 6901 §4).
pub fn index(segment: &str) -> Option<usize> {
    let is_index = segment == "0" || !segment.starts_with('0') && segment.bytes().all(|b| b.is_ascii_digit());
    is_index.then(|| segment.parse().ok()).flatten()
}

/// Encodes `~` and `/` in a name, so that the name can be a segment of a pointer.
pub fn escape(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

/// Appends a member name or an index to a pointer.
pub fn join(pointer: &str, segment: &str) -> String {
    format!("{pointer}/{}", escape(segment))
}

/// Decodes the escapes of a segment. Returns `None` if a `~` is not followed by `0` or `1`.
fn unescape(segment: &str) -> Option<String> {
    let is_escape = |rest: &str| rest.starts_with(['0', '1']);
    // Decode `~1` first, so that `~01` becomes the text `~1`.
    segment.split('~').skip(1).all(is_escape).then(|| segment.replace("~1", "/").replace("~0", "~"))
}

const ESCAPES: &str = "write `~` as `~0` and `/` in a name as `~1` (RFC 6901)";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn the_examples_of_the_rfc_resolve_as_specified() {
        let document = json!({
            "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8,
        });
        for (pointer, expected) in [
            ("/foo", json!(["bar", "baz"])),
            ("/foo/0", json!("bar")),
            ("/", json!(0)),
            ("/a~1b", json!(1)),
            ("/c%d", json!(2)),
            ("/e^f", json!(3)),
            ("/g|h", json!(4)),
            ("/i\\j", json!(5)),
            ("/k\"l", json!(6)),
            ("/ ", json!(7)),
            ("/m~0n", json!(8)),
        ] {
            assert_eq!(find(&document, pointer), Some(&expected), "{pointer}");
        }
        assert_eq!(find(&document, ""), Some(&document));
    }

    #[test]
    fn indexes_are_decimal_without_leading_zeros() {
        let document = json!({ "list": ["a", "b"], "object": { "0": 1, "-": 2, "01": 3 }, "text": "abc" });
        for (pointer, expected) in [
            ("/list/1", Some(json!("b"))),
            ("/list/2", None),
            ("/list/-", None),
            ("/list/01", None),
            ("/list/00", None),
            ("/list/+1", None),
            ("/list/-0", None),
            ("/list/", None),
            ("/list/1e0", None),
            ("/list/99999999999999999999999", None),
            ("/list/1/0", None),
            ("/text/0", None),
            ("/object/0", Some(json!(1))),
            ("/object/-", Some(json!(2))),
            ("/object/01", Some(json!(3))),
        ] {
            assert_eq!(find(&document, pointer).cloned(), expected, "{pointer}");
        }
    }

    #[test]
    fn other_escapes_are_refused() {
        for text in ["/m~n", "/a~2b", "/~", "/a/b~", "/~~0", "a", "a/b", "#/a"] {
            assert!(parse(text).is_err(), "{text}");
        }
        for (text, segments) in [("/~01", vec!["~1"]), ("/~10", vec!["/0"]), ("/~0~1/x", vec!["~/", "x"]), ("", vec![])]
        {
            assert_eq!(parse(text).unwrap(), segments, "{text}");
        }
        assert_eq!(join("/a", "b/~c"), "/a/b~1~0c");
    }
}
