//! Parses the keywords of one schema, and reports their faults.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::here::Here;
use super::id::SchemaNodeId;
use super::keyword::{Contains, Dynamic, IfThenElse, Items, Keyword, ObjectMembers, Types};
use super::pattern::Pattern;
use super::reference::{is_reference, split};
use crate::strict_json::number::Number;

/// Parses all keywords that affect validation. Also checks the form of annotations; unknown keywords are allowed (Core §6.5).
pub(super) fn read(here: &mut Here<'_, '_>, members: &Map<String, Value>) -> Vec<Keyword> {
    let mut found = Vec::new();
    for (name, value) in members {
        let keyword = match name.as_str() {
            "$id" | "$schema" | "$anchor" | "$dynamicAnchor" | "$ref" | "$dynamicRef" | "$defs" | "$vocabulary" => {
                core(here, name, value)
            }
            "title" | "description" | "$comment" | "format" | "contentEncoding" | "contentMediaType" => {
                expect(here, name, "text", value.is_string());
                None
            }
            "deprecated" | "readOnly" | "writeOnly" => {
                expect(here, name, "true or false", value.is_boolean());
                None
            }
            "examples" => {
                expect(here, name, "a list", value.is_array());
                None
            }
            "contentSchema" => {
                here.inner(&[name]);
                None
            }
            "allOf" | "anyOf" | "oneOf" | "not" | "dependentSchemas" | "propertyNames"
                if here.vocabularies.applicator =>
            {
                applicator(here, name, value)
            }
            "unevaluatedItems" if here.vocabularies.unevaluated => Some(Keyword::UnevaluatedItems(here.inner(&[name]))),
            "unevaluatedProperties" if here.vocabularies.unevaluated => {
                Some(Keyword::UnevaluatedProperties(here.inner(&[name])))
            }
            name if here.vocabularies.validation => assertion(here, name, value),
            _ => None,
        };
        found.extend(keyword);
    }
    if here.vocabularies.applicator {
        found.extend(condition(here, members));
        found.extend(object_members(here, members));
        found.extend(array_items(here, members));
        found.extend(contains(here, members));
    }
    found
}

fn core(here: &mut Here<'_, '_>, name: &str, value: &Value) -> Option<Keyword> {
    if let ("$defs", Value::Object(named)) = (name, value) {
        for key in named.keys() {
            here.inner(&[name, key]);
        }
        return None;
    }
    if let ("$vocabulary", Value::Object(named)) = (name, value) {
        expect(here, name, "true or false for each address", named.values().all(Value::is_boolean));
        return None;
    }
    let Some(text) = value.as_str().filter(|_| name != "$defs" && name != "$vocabulary") else {
        expect(here, name, if matches!(name, "$defs" | "$vocabulary") { "an object" } else { "text" }, false);
        return None;
    };
    match name {
        "$anchor" | "$dynamicAnchor" => {
            let mut letters = text.chars();
            let starts = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
            let goes_on = letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
            expect(here, name, "a name of letters, digits, `-`, `_` and `.`", starts && goes_on);
            None
        }
        "$id" => {
            expect(here, name, "an address without fragment", is_reference(text) && split(text).1.is_empty());
            None
        }
        "$ref" => here.target(name, text).map(|(id, _)| Keyword::Reference(id)),
        "$dynamicRef" => {
            let (usual, name) = here.target(name, text)?;
            Some(Keyword::Dynamic(Dynamic { usual, name, named: BTreeMap::new() }))
        }
        // `$schema` was already checked for the resource.
        _ => None,
    }
}

fn applicator(here: &mut Here<'_, '_>, name: &str, value: &Value) -> Option<Keyword> {
    match (name, value) {
        ("not", _) => Some(Keyword::Not(here.inner(&[name]))),
        ("propertyNames", _) => Some(Keyword::PropertyNames(here.inner(&[name]))),
        ("dependentSchemas", _) => {
            let named = object(here, name, value)?;
            Some(Keyword::DependentSchemas(named.keys().map(|key| (key.clone(), here.inner(&[name, key]))).collect()))
        }
        _ => {
            let all = schemas(here, name, value)?;
            Some(match name {
                "allOf" => Keyword::AllOf(all),
                "anyOf" => Keyword::AnyOf(all),
                _ => Keyword::OneOf(all),
            })
        }
    }
}

fn assertion(here: &mut Here<'_, '_>, name: &str, value: &Value) -> Option<Keyword> {
    match name {
        "type" => types(here, value).map(Keyword::Type),
        "const" => Some(Keyword::Values(vec![value.into()])),
        "enum" => {
            expect(here, name, "a list", value.is_array());
            value.as_array().map(|values| Keyword::Values(values.iter().map(Into::into).collect()))
        }
        "minimum" => number(here, name, value).map(Keyword::Minimum),
        "maximum" => number(here, name, value).map(Keyword::Maximum),
        "exclusiveMinimum" => number(here, name, value).map(Keyword::ExclusiveMinimum),
        "exclusiveMaximum" => number(here, name, value).map(Keyword::ExclusiveMaximum),
        "multipleOf" => {
            let unit = number(here, name, value)?;
            expect(here, name, "a number above 0", unit.is_positive());
            Some(Keyword::MultipleOf(unit))
        }
        "minLength" => count(here, name, value).map(Keyword::MinLength),
        "maxLength" => count(here, name, value).map(Keyword::MaxLength),
        "minItems" => count(here, name, value).map(Keyword::MinItems),
        "maxItems" => count(here, name, value).map(Keyword::MaxItems),
        "minProperties" => count(here, name, value).map(Keyword::MinProperties),
        "maxProperties" => count(here, name, value).map(Keyword::MaxProperties),
        "uniqueItems" => {
            expect(here, name, "true or false", value.is_boolean());
            (value == &Value::Bool(true)).then_some(Keyword::UniqueItems)
        }
        "pattern" => {
            let Some(text) = value.as_str() else {
                expect(here, name, "text", false);
                return None;
            };
            pattern(here, name, text).map(Keyword::Pattern)
        }
        "required" => names(here, name, value).map(Keyword::Required),
        "dependentRequired" => {
            let named = object(here, name, value)?;
            let needs = named.iter().filter_map(|(key, value)| Some((key.clone(), names(here, name, value)?)));
            Some(Keyword::DependentRequired(needs.collect()))
        }
        _ => None,
    }
}

fn condition(here: &mut Here<'_, '_>, members: &Map<String, Value>) -> Option<Keyword> {
    let mut branch = |name: &str| members.contains_key(name).then(|| here.inner(&[name]));
    let (test, then, otherwise) = (branch("if"), branch("then"), branch("else"));
    Some(Keyword::If(IfThenElse { test: test?, then, otherwise }))
}

fn object_members(here: &mut Here<'_, '_>, members: &Map<String, Value>) -> Option<Keyword> {
    let mut found = ObjectMembers::default();
    for name in ["properties", "patternProperties"] {
        let Some(named) = members.get(name).and_then(|value| object(here, name, value)) else { continue };
        for key in named.keys() {
            let id = here.inner(&[name, key]);
            if name == "properties" {
                found.named.insert(key.clone(), id);
            } else if let Some(pattern) = pattern(here, name, key) {
                found.patterns.push((pattern, id));
            }
        }
    }
    found.rest = members.get("additionalProperties").map(|_| here.inner(&["additionalProperties"]));
    let asks = !found.named.is_empty() || !found.patterns.is_empty() || found.rest.is_some();
    asks.then_some(Keyword::Members(found))
}

fn array_items(here: &mut Here<'_, '_>, members: &Map<String, Value>) -> Option<Keyword> {
    let prefix = members.get("prefixItems").and_then(|value| schemas(here, "prefixItems", value)).unwrap_or_default();
    let rest = members.get("items").map(|_| here.inner(&["items"]));
    (!prefix.is_empty() || rest.is_some()).then_some(Keyword::Items(Items { prefix, rest }))
}

fn contains(here: &mut Here<'_, '_>, members: &Map<String, Value>) -> Option<Keyword> {
    let mut bound = |name: &str| {
        let value = members.get(name).filter(|_| here.vocabularies.validation)?;
        count(here, name, value)
    };
    let (min, max) = (bound("minContains"), bound("maxContains"));
    members.get("contains")?;
    Some(Keyword::Contains(Contains { item: here.inner(&["contains"]), min: min.unwrap_or(1), max }))
}

impl Here<'_, '_> {
    /// Returns the node id of a reference's target, and the name of the anchor if the target is dynamic.
    fn target(&mut self, keyword: &str, reference: &str) -> Option<(SchemaNodeId, Option<String>)> {
        if !is_reference(reference) {
            self.fault(keyword, format!("`{reference}` is no reference"));
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

fn expect(here: &mut Here<'_, '_>, keyword: &str, wanted: &str, holds: bool) {
    if !holds {
        here.fault(keyword, format!("`{keyword}`: expected {wanted}"));
    }
}

fn object<'v>(here: &mut Here<'_, '_>, keyword: &str, value: &'v Value) -> Option<&'v Map<String, Value>> {
    expect(here, keyword, "an object", value.is_object());
    value.as_object()
}

fn schemas(here: &mut Here<'_, '_>, keyword: &str, value: &Value) -> Option<Vec<SchemaNodeId>> {
    let items = value.as_array().filter(|items| !items.is_empty());
    expect(here, keyword, "a list of schemas that is not empty", items.is_some());
    Some((0..items?.len()).map(|index| here.inner(&[keyword, &index.to_string()])).collect())
}

fn names(here: &mut Here<'_, '_>, keyword: &str, value: &Value) -> Option<Vec<String>> {
    let texts: Option<Vec<String>> =
        value.as_array().and_then(|items| items.iter().map(|item| item.as_str().map(str::to_string)).collect());
    let texts =
        texts.filter(|texts| texts.iter().enumerate().all(|(i, text)| !texts.iter().take(i).any(|t| t == text)));
    expect(here, keyword, "a list of names, each of them once", texts.is_some());
    texts
}

fn number(here: &mut Here<'_, '_>, keyword: &str, value: &Value) -> Option<Number<'static>> {
    expect(here, keyword, "a number", value.is_number());
    value.as_number().map(Number::from)
}

/// Parses a non-negative integer, including an integer that is written as `2.0`.
fn count(here: &mut Here<'_, '_>, keyword: &str, value: &Value) -> Option<u64> {
    let number = value.as_number().filter(|number| Number::from(*number).is_integer());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole and not negative; what is beyond u64 is its largest"
    )]
    let real = || number.and_then(serde_json::Number::as_f64).filter(|real| *real >= 0.0).map(|real| real as u64);
    let count = number.and_then(serde_json::Number::as_u64).or_else(real);
    expect(here, keyword, "a whole number from 0", count.is_some());
    count
}

fn types(here: &mut Here<'_, '_>, value: &Value) -> Option<Types> {
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
                here.fault("type", format!("`type`: expected one or several of {}, each once", names.join(", ")));
                return None;
            }
        }
    }
    Some(types)
}

fn pattern(here: &mut Here<'_, '_>, keyword: &str, text: &str) -> Option<Pattern> {
    match Pattern::parse(text) {
        Ok(pattern) => Some(pattern),
        Err(message) => {
            here.fault(keyword, format!("`{text}`: {message}"));
            None
        }
    }
}
