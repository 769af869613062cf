//! Validates the keywords that need no other schema, such as `type`, `enum`, `minimum` and `maxLength`.

use super::{size, weight};
use crate::strict_json::number::Number;
use crate::strict_json::schema::keyword::{Keyword, Types};
use crate::strict_json::schema::order::{all_differ, equal};
use crate::strict_json::tree::Json;

/// Returns `true` if a value meets a keyword, or if the keyword does not apply to the type of the value. `Judge::assertion`
/// handles `pattern`, `required` and `dependentRequired` without this function.
pub(super) fn holds(keyword: &Keyword, value: &Json<'_>) -> bool {
    match (keyword, value) {
        (Keyword::Nothing, _) => false,
        (Keyword::Type(types), value) => is_of(*types, value),
        (Keyword::Values(values), value) => values.iter().any(|accepted| equal(accepted, value)),
        (_, Json::Number(number)) => number_holds(keyword, number),
        (Keyword::MinLength(least), Json::Text(text)) => size(text.chars().count()) >= *least,
        (Keyword::MaxLength(most), Json::Text(text)) => size(text.chars().count()) <= *most,
        (Keyword::MinItems(least), Json::List(items)) => size(items.len()) >= *least,
        (Keyword::MaxItems(most), Json::List(items)) => size(items.len()) <= *most,
        (Keyword::UniqueItems, Json::List(items)) => all_differ(items),
        (Keyword::MinProperties(least), Json::Object(members)) => size(members.count()) >= *least,
        (Keyword::MaxProperties(most), Json::Object(members)) => size(members.count()) <= *most,
        _ => true,
    }
}

/// Returns the number of steps that count for the check of this keyword.
pub(super) fn cost(keyword: &Keyword, value: &Json<'_>) -> u64 {
    match (keyword, value) {
        (Keyword::MinLength(_) | Keyword::MaxLength(_), Json::Text(text)) => size(text.len()) / 64,
        (Keyword::UniqueItems, value @ Json::List(_)) => weight(value) * 4,
        (Keyword::Values(values), Json::Number(number)) => size(values.len()) * (8 + size(number.text().len())) / 64,
        (Keyword::Values(values), _) => size(values.len()) / 8,
        // Dividing one digit takes as long as comparing sixteen characters.
        (Keyword::MultipleOf(_), Json::Number(number)) => size(number.text().len()) / 4,
        (_, Json::Number(number)) => size(number.text().len()) / 64,
        _ => 0,
    }
}

fn number_holds(keyword: &Keyword, number: &Number<'_>) -> bool {
    match keyword {
        Keyword::Minimum(limit) => number >= limit,
        Keyword::Maximum(limit) => number <= limit,
        Keyword::ExclusiveMinimum(limit) => number > limit,
        Keyword::ExclusiveMaximum(limit) => number < limit,
        Keyword::MultipleOf(unit) => number.is_multiple_of(unit),
        _ => true,
    }
}

fn is_of(types: Types, value: &Json<'_>) -> bool {
    let has = |name: &str| Types::ALL.iter().any(|(known, bit, _)| *known == name && types.0 & bit != 0);
    match value {
        Json::Null => has("null"),
        Json::Bool(_) => has("boolean"),
        Json::Number(number) => has("number") || has("integer") && number.is_integer(),
        Json::Text(_) => has("string"),
        Json::List(_) => has("array"),
        Json::Object(_) => has("object"),
    }
}
