//! Keywords that look at the value itself only.

use serde_json::{Number, Value};

use super::{size, weight};
use crate::policy::schema::decimal::{self, Decimal, compare};
use crate::policy::schema::keyword::{Keyword, Types};
use crate::policy::schema::order::{all_differ, equal};

/// Whether a value meets a keyword; one that is for another kind of value is met. Patterns are looked for elsewhere.
pub(super) fn holds(keyword: &Keyword, value: &Value) -> bool {
    match (keyword, value) {
        (Keyword::Nothing, _) => false,
        (Keyword::Type(types), value) => is_of(*types, value),
        (Keyword::Values(values), value) => values.iter().any(|accepted| equal(accepted, value)),
        (_, Value::Number(number)) => number_holds(keyword, number),
        (Keyword::MinLength(least), Value::String(text)) => size(text.chars().count()) >= *least,
        (Keyword::MaxLength(most), Value::String(text)) => size(text.chars().count()) <= *most,
        (Keyword::MinItems(least), Value::Array(items)) => size(items.len()) >= *least,
        (Keyword::MaxItems(most), Value::Array(items)) => size(items.len()) <= *most,
        (Keyword::UniqueItems, Value::Array(items)) => all_differ(items),
        (Keyword::MinProperties(least), Value::Object(members)) => size(members.len()) >= *least,
        (Keyword::MaxProperties(most), Value::Object(members)) => size(members.len()) <= *most,
        _ => true,
    }
}

/// How many steps it takes to find out.
pub(super) fn cost(keyword: &Keyword, value: &Value) -> u64 {
    match (keyword, value) {
        (Keyword::MinLength(_) | Keyword::MaxLength(_), Value::String(text)) => size(text.len()) / 64,
        (Keyword::UniqueItems, value @ Value::Array(_)) => weight(value) * 4,
        (Keyword::Values(values), _) => size(values.len()) / 8,
        _ => 0,
    }
}

fn number_holds(keyword: &Keyword, number: &Number) -> bool {
    match keyword {
        Keyword::Minimum(limit) => compare(number, limit).is_ge(),
        Keyword::Maximum(limit) => compare(number, limit).is_le(),
        Keyword::ExclusiveMinimum(limit) => compare(number, limit).is_gt(),
        Keyword::ExclusiveMaximum(limit) => compare(number, limit).is_lt(),
        Keyword::MultipleOf(_, unit) => Decimal::of(number).is_multiple_of(*unit),
        _ => true,
    }
}

fn is_of(types: Types, value: &Value) -> bool {
    let has = |name: &str| Types::ALL.iter().any(|(known, bit, _)| *known == name && types.0 & bit != 0);
    match value {
        Value::Null => has("null"),
        Value::Bool(_) => has("boolean"),
        Value::Number(number) => has("number") || has("integer") && decimal::is_integer(number),
        Value::String(_) => has("string"),
        Value::Array(_) => has("array"),
        Value::Object(_) => has("object"),
    }
}
