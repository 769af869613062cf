//! Finds the subschemas of a schema, with their JSON Pointers.

use serde_json::Value;

use crate::strict_json::pointer::join;

/// Returns `true` if `pointer` is `root`, or leads to a location inside the value at `root`.
pub(super) fn is_inside(pointer: &str, root: &str) -> bool {
    pointer.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns the direct subschemas of a schema, each with its pointer relative to the schema. Other parts of a schema, such as the
/// values of `enum`, are not subschemas.
pub(super) fn subschemas(schema: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for (name, value) in schema.as_object().into_iter().flatten() {
        let here = join("", name);
        match (name.as_str(), value) {
            (
                "properties" | "patternProperties" | "dependentSchemas" | "$defs" | "definitions",
                Value::Object(named),
            ) => {
                found.extend(named.iter().map(|(name, value)| (join(&here, name), value)));
            }
            ("allOf" | "anyOf" | "oneOf" | "prefixItems", Value::Array(items)) => {
                found.extend(items.iter().enumerate().map(|(i, value)| (format!("{here}/{i}"), value)));
            }
            (
                "additionalProperties"
                | "propertyNames"
                | "unevaluatedProperties"
                | "items"
                | "contains"
                | "unevaluatedItems"
                | "not"
                | "if"
                | "then"
                | "else"
                | "contentSchema",
                _,
            ) => found.push((here, value)),
            _ => {}
        }
    }
    found
}
