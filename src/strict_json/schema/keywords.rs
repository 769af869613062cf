//! Compiles the keywords of one schema, and reports faults in them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::id::SchemaNodeId;
use super::keyword::{Contains, Dynamic, IfThenElse, Items, Keyword, ObjectMembers, Types};
use super::location::SchemaLocation;
use super::pattern::Pattern;
use super::reference::{is_reference, split};
use crate::strict_json::number::Number;

/// Compiles all keywords that affect validation, checks the types of annotations, and ignores unknown keywords (Core §6.5).
pub(super) fn read(location: &mut SchemaLocation<'_, '_>, members: &Map<String, Value>) -> Vec<Keyword> {
    let mut found = Vec::new();
    for (name, value) in members {
        let keyword = match name.as_str() {
            "$id" | "$schema" | "$anchor" | "$dynamicAnchor" | "$ref" | "$dynamicRef" | "$defs" | "$vocabulary" => {
                core(location, name, value)
            }
            "title" | "description" | "$comment" | "format" | "contentEncoding" | "contentMediaType" => {
                expect(location, name, "text", value.is_string());
                None
            }
            "deprecated" | "readOnly" | "writeOnly" => {
                expect(location, name, "true or false", value.is_boolean());
                None
            }
            "examples" => {
                expect(location, name, "a list", value.is_array());
                None
            }
            "contentSchema" => {
                location.inner(&[name]);
                None
            }
            "allOf" | "anyOf" | "oneOf" | "not" | "dependentSchemas" | "propertyNames"
                if location.vocabularies.applicator =>
            {
                applicator(location, name, value)
            }
            "unevaluatedItems" if location.vocabularies.unevaluated => {
                Some(Keyword::UnevaluatedItems(location.inner(&[name])))
            }
            "unevaluatedProperties" if location.vocabularies.unevaluated => {
                Some(Keyword::UnevaluatedProperties(location.inner(&[name])))
            }
            name if location.vocabularies.validation => assertion(location, name, value),
            _ => None,
        };
        found.extend(keyword);
    }
    if location.vocabularies.applicator {
        found.extend(condition(location, members));
        found.extend(object_members(location, members));
        found.extend(array_items(location, members));
        found.extend(contains(location, members));
    }
    found
}

fn core(location: &mut SchemaLocation<'_, '_>, name: &str, value: &Value) -> Option<Keyword> {
    if let ("$defs", Value::Object(named)) = (name, value) {
        for key in named.keys() {
            location.inner(&[name, key]);
        }
        return None;
    }
    if let ("$vocabulary", Value::Object(named)) = (name, value) {
        expect(location, name, "true or false for each address", named.values().all(Value::is_boolean));
        return None;
    }
    let Some(text) = value.as_str().filter(|_| name != "$defs" && name != "$vocabulary") else {
        expect(location, name, if matches!(name, "$defs" | "$vocabulary") { "an object" } else { "text" }, false);
        return None;
    };
    match name {
        "$anchor" | "$dynamicAnchor" => {
            let mut letters = text.chars();
            let starts = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
            let goes_on = letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
            expect(location, name, "a letter or `_`, then letters, digits, `-`, `_` and `.`", starts && goes_on);
            None
        }
        "$id" => {
            expect(location, name, "an address without fragment", is_reference(text) && split(text).1.is_empty());
            None
        }
        "$ref" => location.target(name, text).map(|(id, _)| Keyword::Reference(id)),
        "$dynamicRef" => {
            let (usual, name) = location.target(name, text)?;
            Some(Keyword::Dynamic(Dynamic { usual, name, named: BTreeMap::new() }))
        }
        // `Library::vocabularies` checks `$schema`.
        _ => None,
    }
}

fn applicator(location: &mut SchemaLocation<'_, '_>, name: &str, value: &Value) -> Option<Keyword> {
    match (name, value) {
        ("not", _) => Some(Keyword::Not(location.inner(&[name]))),
        ("propertyNames", _) => Some(Keyword::PropertyNames(location.inner(&[name]))),
        ("dependentSchemas", _) => {
            let named = object(location, name, value)?;
            Some(Keyword::DependentSchemas(
                named.keys().map(|key| (key.clone(), location.inner(&[name, key]))).collect(),
            ))
        }
        _ => {
            let all = schemas(location, name, value)?;
            Some(match name {
                "allOf" => Keyword::AllOf(all),
                "anyOf" => Keyword::AnyOf(all),
                _ => Keyword::OneOf(all),
            })
        }
    }
}

fn assertion(location: &mut SchemaLocation<'_, '_>, name: &str, value: &Value) -> Option<Keyword> {
    match name {
        "type" => types(location, value).map(Keyword::Type),
        "const" => Some(Keyword::Values(vec![value.into()])),
        "enum" => {
            expect(location, name, "a list", value.is_array());
            value.as_array().map(|values| Keyword::Values(values.iter().map(Into::into).collect()))
        }
        "minimum" => number(location, name, value).map(Keyword::Minimum),
        "maximum" => number(location, name, value).map(Keyword::Maximum),
        "exclusiveMinimum" => number(location, name, value).map(Keyword::ExclusiveMinimum),
        "exclusiveMaximum" => number(location, name, value).map(Keyword::ExclusiveMaximum),
        "multipleOf" => {
            let unit = number(location, name, value)?;
            expect(location, name, "a number above 0", unit.is_positive());
            Some(Keyword::MultipleOf(unit))
        }
        "minLength" => count(location, name, value).map(Keyword::MinLength),
        "maxLength" => count(location, name, value).map(Keyword::MaxLength),
        "minItems" => count(location, name, value).map(Keyword::MinItems),
        "maxItems" => count(location, name, value).map(Keyword::MaxItems),
        "minProperties" => count(location, name, value).map(Keyword::MinProperties),
        "maxProperties" => count(location, name, value).map(Keyword::MaxProperties),
        "uniqueItems" => {
            expect(location, name, "true or false", value.is_boolean());
            (value == &Value::Bool(true)).then_some(Keyword::UniqueItems)
        }
        "pattern" => {
            let Some(text) = value.as_str() else {
                expect(location, name, "text", false);
                return None;
            };
            pattern(location, name, text).map(Keyword::Pattern)
        }
        "required" => names(location, name, value).map(Keyword::Required),
        "dependentRequired" => {
            let named = object(location, name, value)?;
            let needs = named.iter().filter_map(|(key, value)| Some((key.clone(), names(location, name, value)?)));
            Some(Keyword::DependentRequired(needs.collect()))
        }
        _ => None,
    }
}

fn condition(location: &mut SchemaLocation<'_, '_>, members: &Map<String, Value>) -> Option<Keyword> {
    let mut branch = |name: &str| members.contains_key(name).then(|| location.inner(&[name]));
    let (test, then, otherwise) = (branch("if"), branch("then"), branch("else"));
    Some(Keyword::If(IfThenElse { test: test?, then, otherwise }))
}

fn object_members(location: &mut SchemaLocation<'_, '_>, members: &Map<String, Value>) -> Option<Keyword> {
    let mut found = ObjectMembers::default();
    for name in ["properties", "patternProperties"] {
        let Some(named) = members.get(name).and_then(|value| object(location, name, value)) else { continue };
        for key in named.keys() {
            let id = location.inner(&[name, key]);
            if name == "properties" {
                found.named.insert(key.clone(), id);
            } else if let Some(pattern) = pattern(location, name, key) {
                found.patterns.push((pattern, id));
            }
        }
    }
    found.rest = members.get("additionalProperties").map(|_| location.inner(&["additionalProperties"]));
    let asks = !found.named.is_empty() || !found.patterns.is_empty() || found.rest.is_some();
    asks.then_some(Keyword::Members(found))
}

fn array_items(location: &mut SchemaLocation<'_, '_>, members: &Map<String, Value>) -> Option<Keyword> {
    let prefix =
        members.get("prefixItems").and_then(|value| schemas(location, "prefixItems", value)).unwrap_or_default();
    let rest = members.get("items").map(|_| location.inner(&["items"]));
    (!prefix.is_empty() || rest.is_some()).then_some(Keyword::Items(Items { prefix, rest }))
}

fn contains(location: &mut SchemaLocation<'_, '_>, members: &Map<String, Value>) -> Option<Keyword> {
    let mut bound = |name: &str| {
        let value = members.get(name).filter(|_| location.vocabularies.validation)?;
        count(location, name, value)
    };
    let (min, max) = (bound("minContains"), bound("maxContains"));
    members.get("contains")?;
    Some(Keyword::Contains(Contains { item: location.inner(&["contains"]), min: min.unwrap_or(1), max }))
}

impl SchemaLocation<'_, '_> {
    /// Returns the id of the schema that a reference leads to, and the name of the anchor if it is a dynamic anchor.
    fn target(&mut self, keyword: &str, reference: &str) -> Option<(SchemaNodeId, Option<String>)> {
        if !is_reference(reference) {
            self.fault(keyword, format!("`{reference}` is not a valid reference (RFC 3986)"));
            return None;
        }
        match self.places.library.target(self.resource, reference) {
            Ok(target) => Some((self.places.node(target.document, target.pointer), target.dynamic)),
            Err(message) => {
                self.fault(keyword, message);
                None
            }
        }
    }
}

fn expect(location: &mut SchemaLocation<'_, '_>, keyword: &str, wanted: &str, holds: bool) {
    if !holds {
        location.fault(keyword, format!("`{keyword}`: expected {wanted}"));
    }
}

fn object<'v>(
    location: &mut SchemaLocation<'_, '_>,
    keyword: &str,
    value: &'v Value,
) -> Option<&'v Map<String, Value>> {
    expect(location, keyword, "an object", value.is_object());
    value.as_object()
}

fn schemas(location: &mut SchemaLocation<'_, '_>, keyword: &str, value: &Value) -> Option<Vec<SchemaNodeId>> {
    let items = value.as_array().filter(|items| !items.is_empty());
    expect(location, keyword, "a list with at least one schema", items.is_some());
    Some((0..items?.len()).map(|index| location.inner(&[keyword, &index.to_string()])).collect())
}

fn names(location: &mut SchemaLocation<'_, '_>, keyword: &str, value: &Value) -> Option<Vec<String>> {
    let texts: Option<Vec<String>> =
        value.as_array().and_then(|items| items.iter().map(|item| item.as_str().map(str::to_string)).collect());
    let texts =
        texts.filter(|texts| texts.iter().enumerate().all(|(i, text)| !texts.iter().take(i).any(|t| t == text)));
    expect(location, keyword, "a list of different names", texts.is_some());
    texts
}

fn number(location: &mut SchemaLocation<'_, '_>, keyword: &str, value: &Value) -> Option<Number<'static>> {
    expect(location, keyword, "a number", value.is_number());
    value.as_number().map(Number::from)
}

/// Reads an integer that is not negative, such as `2` or `2.0`. An integer above `u64::MAX` becomes `u64::MAX`.
fn count(location: &mut SchemaLocation<'_, '_>, keyword: &str, value: &Value) -> Option<u64> {
    let number = value.as_number().filter(|number| Number::from(*number).is_integer());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an integer that is not negative; a larger value becomes `u64::MAX`"
    )]
    let real = || number.and_then(serde_json::Number::as_f64).filter(|real| *real >= 0.0).map(|real| real as u64);
    let count = number.and_then(serde_json::Number::as_u64).or_else(real);
    expect(location, keyword, "a whole number that is not negative", count.is_some());
    count
}

fn types(location: &mut SchemaLocation<'_, '_>, value: &Value) -> Option<Types> {
    let texts = match value {
        Value::Array(items) if !items.is_empty() => items.iter().map(Value::as_str).collect(),
        value => vec![value.as_str()],
    };
    let mut types = Types(0);
    for text in texts {
        let known = Types::ALL.iter().find(|(name, _, _)| Some(*name) == text);
        match known {
            Some((_, bit, _)) if types.0 & bit == 0 => types.0 |= bit,
            _ => {
                let names: Vec<&str> = Types::ALL.iter().map(|(name, _, _)| *name).collect();
                location.fault("type", format!("`type`: expected one or several of {}, each once", names.join(", ")));
                return None;
            }
        }
    }
    Some(types)
}

fn pattern(location: &mut SchemaLocation<'_, '_>, keyword: &str, text: &str) -> Option<Pattern> {
    match Pattern::parse(text) {
        Ok(pattern) => Some(pattern),
        Err(message) => {
            location.fault(keyword, format!("`{text}`: {message}"));
            None
        }
    }
}
