//! JSON for security decisions: a strict parser that rejects ambiguous text, and a JSON Schema validator.
//!
//! For example, if the header of a token has two `alg` members, two programs can use different algorithms, and an attacker can
//! exploit this difference. So the parser rejects duplicate members. RFC 7515 §4 and RFC 7519 §4 allow a parser to do this.

pub mod number;
pub mod pointer;
mod reader;
#[cfg(any(feature = "schema", not(target_os = "wasi")))]
pub mod schema;
#[cfg(not(any(feature = "schema", not(target_os = "wasi"))))]
#[path = "strict_json/no_schema.rs"]
pub mod schema;
mod schema_types;
pub mod tree;

use std::fmt;

use serde_json::Value;

use tree::Json;

pub use reader::outline::{JsonKind, JsonRef, Outline};

/// The reason why the parser rejects a JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Malformed {
    /// An object has two members with this name. Names are compared after their escapes are decoded.
    DuplicateMember(String),
    /// Arrays and objects are nested deeper than [`Bounds::depth`].
    TooDeep,
    /// The text has more values than [`Bounds::values`].
    TooMany,
    /// A number is outside the range of a double. RFC 8259 §6 allows parsers to limit the range of numbers.
    OutOfRange,
    /// A `\u` escape contains only one half of a surrogate pair. The JSON grammar allows such an escape, but Unicode does not
    /// (RFC 8259 §8.2).
    LoneSurrogate,
    /// The text is not JSON, or contains more than one value.
    Syntax,
    /// The text is not UTF-8, which RFC 8259 §8.1 requires.
    NotUtf8,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::DuplicateMember(name) => {
                write!(f, "member `{}` is repeated in one object", name.escape_debug())
            }
            Malformed::TooDeep => write!(f, "nested deeper than {MAX_DEPTH} levels"),
            Malformed::TooMany => f.write_str("more values than are accepted"),
            Malformed::OutOfRange => f.write_str("a number out of range: it must fit into a double, about ±1.8e308"),
            Malformed::LoneSurrogate => f.write_str("half of a surrogate pair, which is no character"),
            Malformed::Syntax => f.write_str("not JSON"),
            Malformed::NotUtf8 => f.write_str("not UTF-8"),
        }
    }
}

impl std::error::Error for Malformed {}

/// Parses one JSON value. Only whitespace may follow the value.
///
/// Integers in the range of `i64` or `u64` stay exact. Every other number becomes the nearest `f64`. Arrays and objects can be
/// nested up to [`MAX_DEPTH`].
pub fn parse(bytes: &[u8]) -> Result<Value, Malformed> {
    parse_to_depth(bytes, MAX_DEPTH)
}

/// Parses one JSON value like [`parse`], but accepts nesting up to `max_depth`, at most 127. A scalar has depth 0, and `[]` has
/// depth 1.
pub fn parse_to_depth(bytes: &[u8], max_depth: usize) -> Result<Value, Malformed> {
    parse_within(bytes, Bounds { depth: max_depth, values: usize::MAX })
}

/// Bounds for parsing a text. They limit the memory of the parsed tree, which can be much larger than the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The maximum nesting of arrays and objects: a scalar has depth 0, and `[]` has depth 1. A bound above 127 counts as 127.
    pub depth: usize,
    /// The maximum number of values: the top-level value, every item and every member.
    pub values: usize,
}

/// Parses one JSON value like [`parse`], but within the given bounds. Use [`read`] to keep numbers as written.
pub fn parse_within(bytes: &[u8], bounds: Bounds) -> Result<Value, Malformed> {
    read(bytes, bounds)?.into_value().ok_or(Malformed::OutOfRange)
}

/// Parses one JSON value into a tree that keeps numbers as written. Only whitespace may follow the value.
///
/// # Errors
/// Returns the reason why the parser rejects the text.
pub fn read(bytes: &[u8], bounds: Bounds) -> Result<Json<'_>, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed::NotUtf8)?;
    reader::read(text, bounds)
}

/// Parses one JSON value into an [`Outline`], which keeps the location of each value in the text. Only whitespace may follow the
/// value.
///
/// # Errors
/// Returns the reason why the parser rejects the text.
pub fn outline(bytes: &[u8], bounds: Bounds) -> Result<Outline<'_>, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed::NotUtf8)?;
    reader::outline::outline(text, bounds)
}

/// The maximum nesting of arrays and objects for [`parse`]. Without a bound, a hostile text could overflow the stack. The claims
/// of real tokens have fewer than ten levels.
pub const MAX_DEPTH: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn ambiguous_json_is_rejected() {
        let duplicate = |name: &str| Err(Malformed::DuplicateMember(name.into()));
        let cases: &[(&str, &[u8], Result<Value, Malformed>)] = &[
            ("an object", br#" {"a":[1,null,true,"x"],"b":{"a":2}} "#, Ok(json!({"a":[1,null,true,"x"],"b":{"a":2}}))),
            ("a scalar", b"7", Ok(json!(7))),
            ("the largest integers", b"[18446744073709551615,-9223372036854775808]", Ok(json!([u64::MAX, i64::MIN]))),
            ("beyond 2^53, exact", b"9007199254740993", Ok(json!(9_007_199_254_740_993_u64))),
            ("a fraction", b"1.5", Ok(json!(1.5))),
            ("escapes", br#""\u00e9\ud83d\ude00""#, Ok(json!("é😀"))),
            ("a member twice", br#"{"alg":"RS256","alg":"none"}"#, duplicate("alg")),
            ("a member twice with the same value", br#"{"a":1,"a":1}"#, duplicate("a")),
            ("a member twice, once escaped", br#"{"alg":1,"\u0061lg":2}"#, duplicate("alg")),
            ("a member twice, deep inside", br#"[{"x":{"":0,"":1}}]"#, duplicate("")),
            ("members that differ in case", br#"{"a":1,"A":2}"#, Ok(json!({"a":1,"A":2}))),
            ("nothing", b"", Err(Malformed::Syntax)),
            ("text after the value", b"{}x", Err(Malformed::Syntax)),
            ("two values", b"{}{}", Err(Malformed::Syntax)),
            ("a trailing comma", b"[1,]", Err(Malformed::Syntax)),
            ("a comment", b"{/**/}", Err(Malformed::Syntax)),
            ("an unclosed object", b"{\"a\":1", Err(Malformed::Syntax)),
            ("a leading zero", b"01", Err(Malformed::Syntax)),
            ("not a number", b"NaN", Err(Malformed::Syntax)),
            ("a number out of range", b"1e999", Err(Malformed::OutOfRange)),
            ("an integer out of range", "9".repeat(400).leak().as_bytes(), Err(Malformed::OutOfRange)),
            ("zero, however large its exponent", b"[0e999,-0.0E+999]", Ok(json!([0.0, -0.0]))),
            ("too small for a double", b"1e-999", Ok(json!(0.0))),
            ("a large exponent that is not a number", b"1e999e", Err(Malformed::Syntax)),
            ("a byte-order mark", b"\xef\xbb\xbf{}", Err(Malformed::Syntax)),
            ("the first half of a pair", br#""\ud800""#, Err(Malformed::LoneSurrogate)),
            ("the first half before another character", br#""\ud800\u0041""#, Err(Malformed::LoneSurrogate)),
            ("the second half of a pair", br#""\udc00""#, Err(Malformed::LoneSurrogate)),
            ("two first halves", br#"{"\ud800\ud800":1}"#, Err(Malformed::LoneSurrogate)),
            ("an escape that is cut off", br#""\ud83d\u""#, Err(Malformed::Syntax)),
            ("an escape with a sign", br#""\u+041""#, Err(Malformed::Syntax)),
            ("an escape of nothing", br#""\x""#, Err(Malformed::Syntax)),
            ("a number without a fraction", b"1.", Err(Malformed::Syntax)),
            ("a number with a plus sign", b"+1", Err(Malformed::Syntax)),
            ("a sign alone", b"-", Err(Malformed::Syntax)),
            ("a word that goes on", b"nullx", Err(Malformed::Syntax)),
            ("a member without a name", b"{1:2}", Err(Malformed::Syntax)),
            ("a comma before the first item", b"[,1]", Err(Malformed::Syntax)),
            ("a form feed as whitespace", b"\x0c1", Err(Malformed::Syntax)),
            ("a raw control character", b"\"\n\"", Err(Malformed::Syntax)),
            ("bytes that are not UTF-8", b"\"\xff\"", Err(Malformed::NotUtf8)),
        ];
        for (name, text, want) in cases {
            assert_eq!(&parse(text), want, "{name}");
        }
    }

    #[test]
    fn nesting_deeper_than_the_limit_is_refused() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(parse(nested(MAX_DEPTH + 1).as_bytes()), Err(Malformed::TooDeep));
        assert_eq!(parse("[".repeat(1_000_000).as_bytes()), Err(Malformed::TooDeep));
        assert_eq!(parse(r#"{"a":"#.repeat(100_000).as_bytes()), Err(Malformed::TooDeep));
        assert!(parse_to_depth(b"1", 0).is_ok());
        assert!(parse_to_depth(nested(127).as_bytes(), 127).is_ok());
        assert_eq!(parse_to_depth(b"{}", 0), Err(Malformed::TooDeep));
    }

    #[test]
    fn values_are_counted_in_arrays_and_objects() {
        for (text, values) in [("1", 1), ("[]", 1), ("[1,2]", 3), (r#"{"a":{"b":[]},"c":null}"#, 4)] {
            let within = |values| parse_within(text.as_bytes(), Bounds { depth: 9, values });
            assert!(within(values).is_ok(), "{text}");
            assert_eq!(within(values - 1), Err(Malformed::TooMany), "{text}");
        }
    }
}
