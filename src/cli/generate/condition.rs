//! Conditions of access loggers and local reply mappers, the cheap ones and the expression that can ask for anything.

use serde_json::{Value, json};

use crate::policy::respond::refusal::REPLIED_HEADER;

/// True when each of them is; they are asked in this order, up to the first that is not.
pub fn all(conditions: Vec<Value>) -> Value {
    json!({ "and_filter": { "filters": conditions } })
}

/// True when one of them is; they are asked in this order, up to the first that is.
pub fn any(conditions: Vec<Value>) -> Value {
    json!({ "or_filter": { "filters": conditions } })
}

/// Compares the response's status, which is 0 where none was sent.
pub fn status(operator: &str, number: u16) -> Value {
    // Envoy wants a name by which its runtime could set another number; nobody sets this one.
    let value = json!({ "default_value": number, "runtime_key": "portcullis.status" });
    json!({ "status_code_filter": { "comparison": { "op": operator, "value": value } } })
}

/// Whether the filter marked the request as one that it refused.
pub fn replied(marked: bool) -> Value {
    json!({ "header_filter": { "header": { "name": REPLIED_HEADER, "present_match": true, "invert_match": !marked } } })
}

/// A CEL expression. It costs microseconds, where the others cost nothing to speak of.
pub fn expression(name: &str, expression: &str) -> Value {
    json!({ "extension_filter": {
        "name": name,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
            "expression": expression,
        },
    }})
}
