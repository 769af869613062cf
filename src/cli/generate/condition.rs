//! Conditions for access loggers and local reply mappers: cheap filters, and CEL expressions for everything else.

use serde_json::{Value, json};

use crate::policy::respond::refusal::REPLIED_HEADER;

/// True if all conditions are true; evaluation stops at the first false one.
pub fn all(conditions: Vec<Value>) -> Value {
    json!({ "and_filter": { "filters": conditions } })
}

/// True if any condition is true; evaluation stops at the first true one.
pub fn any(conditions: Vec<Value>) -> Value {
    json!({ "or_filter": { "filters": conditions } })
}

/// Compares the response status, which is 0 if no response was sent.
pub fn status(operator: &str, number: u16) -> Value {
    // Envoy requires a runtime key that could override the number; nothing sets this one.
    let value = json!({ "default_value": number, "runtime_key": "portcullis.status" });
    json!({ "status_code_filter": { "comparison": { "op": operator, "value": value } } })
}

/// Whether the filter marked the reply as its own refusal.
pub fn replied(marked: bool) -> Value {
    json!({ "header_filter": { "header": { "name": REPLIED_HEADER, "present_match": true, "invert_match": !marked } } })
}

/// A CEL expression. It costs microseconds; the cost of the other conditions is negligible.
pub fn expression(name: &str, expression: &str) -> Value {
    json!({ "extension_filter": {
        "name": name,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
            "expression": expression,
        },
    }})
}
