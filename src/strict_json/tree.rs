//! A JSON tree that keeps each number as written, and borrows strings and numbers from the source text if possible.

use std::borrow::Cow;

use serde_json::Value;

use super::Malformed;
use super::number::Number;

/// One JSON value.
#[derive(Clone, Debug)]
pub enum Json<'t> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as written.
    Number(Number<'t>),
    /// A string with decoded escapes.
    Text(Cow<'t, str>),
    /// An array.
    List(Vec<Json<'t>>),
    /// An object.
    Object(Object<'t>),
}

/// The members of an object, sorted by name and without duplicates. They are in a vector instead of a map, because a vector needs
/// less memory for the many small objects of a typical body.
#[derive(Clone, Debug, Default)]
pub struct Object<'t>(Vec<(Cow<'t, str>, Json<'t>)>);

impl<'t> Json<'t> {
    /// Converts the tree to a [`Value`]. Numbers become 64-bit integers or doubles. Returns `None` if a number fits neither type.
    pub fn into_value(self) -> Option<Value> {
        Some(match self {
            Json::Null => Value::Null,
            Json::Bool(flag) => Value::Bool(flag),
            Json::Number(number) => Value::Number(number.text().parse().ok()?),
            Json::Text(text) => Value::String(text.into_owned()),
            Json::List(items) => Value::Array(items.into_iter().map(Json::into_value).collect::<Option<_>>()?),
            Json::Object(Object(members)) => {
                let members = members.into_iter().map(|(name, value)| Some((name.into_owned(), value.into_value()?)));
                Value::Object(members.collect::<Option<_>>()?)
            }
        })
    }

    /// Returns `true` if an object in the tree has two members that a case-insensitive parser could confuse. Their names differ
    /// only in the case of the letters A–Z. Also, `ſ` counts as `s`, the Kelvin sign as `k`, and `ı` and `İ` as `i`, because some
    /// parsers convert these characters.
    pub fn has_case_variants(&self) -> bool {
        match self {
            Json::List(items) => items.iter().any(Json::has_case_variants),
            Json::Object(Object(members)) => {
                let mut names: Vec<String> =
                    members.iter().map(|(name, _)| name.chars().map(folded).collect()).collect();
                names.sort_unstable();
                names.windows(2).any(|pair| matches!(pair, [a, b] if a == b))
                    || members.iter().any(|(_, value)| value.has_case_variants())
            }
            _ => false,
        }
    }
}

impl From<&Value> for Json<'static> {
    fn from(value: &Value) -> Json<'static> {
        match value {
            Value::Null => Json::Null,
            Value::Bool(flag) => Json::Bool(*flag),
            Value::Number(number) => Json::Number(number.into()),
            Value::String(text) => Json::Text(Cow::Owned(text.clone())),
            Value::Array(items) => Json::List(items.iter().map(Json::from).collect()),
            Value::Object(members) => {
                let members = members.iter().map(|(name, value)| (Cow::Owned(name.clone()), value.into()));
                // A `serde_json::Map` is not sorted if any crate in the build enables the feature `preserve_order`.
                Json::Object(Object::sorted(members.collect()))
            }
        }
    }
}

impl<'t> Object<'t> {
    /// Creates an object from members in any order. Returns an error if two members have the same name.
    pub(super) fn unique(members: Vec<(Cow<'t, str>, Json<'t>)>) -> Result<Object<'t>, Malformed> {
        let sorted = Object::sorted(members);
        let twice = sorted.0.windows(2).find_map(|pair| match pair {
            [(a, _), (b, _)] if a == b => Some(a.to_string()),
            _ => None,
        });
        twice.map_or(Ok(sorted), |name| Err(Malformed::DuplicateMember(name)))
    }

    fn sorted(mut members: Vec<(Cow<'t, str>, Json<'t>)>) -> Object<'t> {
        members.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Object(members)
    }

    /// Returns the member with this name: its name, borrowed from this object, and its value.
    pub fn get(&self, name: &str) -> Option<(&str, &Json<'t>)> {
        let at = self.0.binary_search_by(|(known, _)| known.as_ref().cmp(name)).ok()?;
        self.0.get(at).map(|(name, value)| (name.as_ref(), value))
    }

    /// Returns `true` if the object has a member with this name.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns the number of members.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Iterates over the members, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json<'t>)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }
}

fn folded(letter: char) -> char {
    match letter {
        'ſ' => 's',
        '\u{212a}' => 'k',
        'ı' | 'İ' => 'i',
        letter => letter.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use crate::strict_json;
    use crate::strict_json::{Bounds, MAX_DEPTH};
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn names_that_differ_in_case_are_found_at_any_depth() {
        for (text, expected) in [
            (r#"{"amount":1,"Amount":2}"#, true),
            (r#"{"a":[{"b":{"c":1,"d":2,"C":3}}]}"#, true),
            ("{\"\\u017fum\":1,\"sum\":2}", true),
            ("{\"\u{212a}ey\":1,\"key\":2}", true),
            (r#"{"ıd":1,"ID":2}"#, true),
            (r#"{"İd":1,"id":2}"#, true),
            (r#"{"a":1,"b":{"A":2}}"#, false),
            (r#"[{"a":1},{"A":2}]"#, false),
            (r#"{"é":1,"É":2}"#, false),
            (r#"{"a_b":1,"ab":2}"#, false),
        ] {
            let bounds = Bounds { depth: MAX_DEPTH, values: 100 };
            assert_eq!(strict_json::read(text.as_bytes(), bounds).unwrap().has_case_variants(), expected, "{text}");
        }
    }
}
