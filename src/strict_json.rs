//! JSON as security code must read it: one meaning for every text, or none.
//!
//! A token whose header says `alg` twice is read one way here and another way elsewhere; that difference is an attack, so
//! duplicate members are refused (RFC 8259 §4 warns of them, RFC 7515 §4 and RFC 7519 §4 allow refusing them).

use std::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why a text is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Malformed {
    /// An object names this member twice, escapes resolved.
    DuplicateMember(String),
    /// Arrays and objects are nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// More values than are accepted.
    TooMany,
    /// Not JSON, or more than one value.
    Syntax,
    /// Not UTF-8, which RFC 8259 §8.1 demands.
    NotUtf8,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::DuplicateMember(name) => {
                write!(f, "member `{}` stands twice in one object", name.escape_debug())
            }
            Malformed::TooDeep => write!(f, "nested deeper than {MAX_DEPTH} levels"),
            Malformed::TooMany => f.write_str("more values than are accepted"),
            Malformed::Syntax => f.write_str("not JSON"),
            Malformed::NotUtf8 => f.write_str("not UTF-8"),
        }
    }
}

impl std::error::Error for Malformed {}

/// Reads one JSON value and nothing after it but whitespace.
///
/// Integers within `i64` or `u64` stay exact; every other number becomes the nearest `f64`.
pub fn parse(bytes: &[u8]) -> Result<Value, Malformed> {
    parse_to_depth(bytes, MAX_DEPTH)
}

/// [`parse`] with another bound on nesting: a bare scalar has depth 0, `[]` has depth 1. At most 127 counts.
pub fn parse_to_depth(bytes: &[u8], max_depth: usize) -> Result<Value, Malformed> {
    parse_within(bytes, Bounds { depth: max_depth, values: usize::MAX })
}

/// How much of a text is read: a tree takes many times the memory of the text it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How deep it may nest: a bare scalar has depth 0, `[]` has depth 1. At most 127 counts.
    pub depth: usize,
    /// How many values it may hold: the text's own, every item and every member.
    pub values: usize,
}

/// [`parse`] within bounds of the caller's.
pub fn parse_within(bytes: &[u8], bounds: Bounds) -> Result<Value, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed::NotUtf8)?;
    let (fault, values_left) = (Cell::new(None), Cell::new(bounds.values));
    let mut reader = serde_json::Deserializer::from_str(text);
    let strict = Strict { depth_left: bounds.depth, values_left: &values_left, fault: &fault };
    match strict.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value)) {
        Ok(value) => Ok(value),
        Err(_) => Err(fault.take().unwrap_or(Malformed::Syntax)),
    }
}

/// Builds a [`Value`]; leaves in `fault` what serde's error type cannot carry.
#[derive(Clone, Copy)]
struct Strict<'f> {
    depth_left: usize,
    values_left: &'f Cell<usize>,
    fault: &'f Cell<Option<Malformed>>,
}

impl Strict<'_> {
    fn one_level_down<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Strict { depth_left, ..self }),
            None => Err(self.refuse(Malformed::TooDeep)),
        }
    }

    fn refuse<E: serde::de::Error>(self, fault: Malformed) -> E {
        let error = E::custom(&fault);
        self.fault.set(Some(fault));
        error
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self.values_left.get().checked_sub(1) {
            Some(left) => self.values_left.set(left),
            None => return Err(self.refuse(Malformed::TooMany)),
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.one_level_down::<A::Error>()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.one_level_down::<A::Error>()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(self.refuse(Malformed::DuplicateMember(name)));
            }
            object.insert(name, members.next_value_seed(inner)?);
        }
        Ok(Value::Object(object))
    }
}

/// How deep arrays and objects may nest. Real claims stay under ten; the bound keeps hostile text off the stack.
pub const MAX_DEPTH: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn one_meaning_or_none() {
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
            ("a number out of range", b"1e999", Err(Malformed::Syntax)),
            ("a byte-order mark", b"\xef\xbb\xbf{}", Err(Malformed::Syntax)),
            ("a lone surrogate", br#""\ud800""#, Err(Malformed::Syntax)),
            ("a raw control character", b"\"\n\"", Err(Malformed::Syntax)),
            ("bytes that are not UTF-8", b"\"\xff\"", Err(Malformed::NotUtf8)),
        ];
        for (name, text, want) in cases {
            assert_eq!(&parse(text), want, "{name}");
        }
    }

    #[test]
    fn depth_is_bounded_exactly_and_cheaply() {
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
    fn values_are_counted_whatever_holds_them() {
        for (text, values) in [("1", 1), ("[]", 1), ("[1,2]", 3), (r#"{"a":{"b":[]},"c":null}"#, 4)] {
            let within = |values| parse_within(text.as_bytes(), Bounds { depth: 9, values });
            assert!(within(values).is_ok(), "{text}");
            assert_eq!(within(values - 1), Err(Malformed::TooMany), "{text}");
        }
    }
}
