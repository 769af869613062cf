//! Conditions for access loggers and local reply mappers: cheap filters, and CEL expressions where no cheap filter exists.

use serde_json::{Value, json};

use crate::policy::respond::refusal::REPLIED_HEADER;

/// Returns a condition that is true if all these conditions are true. Envoy stops at the first false condition.
pub fn all(conditions: Vec<Value>) -> Value {
    json!({ "and_filter": { "filters": conditions } })
}

/// Returns a condition that is true if at least one of these conditions is true. Envoy stops at the first true condition.
pub fn any(conditions: Vec<Value>) -> Value {
    json!({ "or_filter": { "filters": conditions } })
}

/// Returns a comparison with the response status, which is 0 if Envoy sent no response.
pub fn status(operator: &str, number: u16) -> Value {
    // Envoy requires a runtime key that can override the number. No runtime layer sets this key.
    let value = json!({ "default_value": number, "runtime_key": "portcullis.status" });
    json!({ "status_code_filter": { "comparison": { "op": operator, "value": value } } })
}

/// Returns a condition on [`REPLIED_HEADER`], which the filter sets on a request that it refuses. If `is_present` is true, the
/// condition is true for requests with the header; otherwise, it is true for requests without it.
pub fn replied(is_present: bool) -> Value {
    json!({ "header_filter": { "header": { "name": REPLIED_HEADER, "present_match": true, "invert_match": !is_present } } })
}

/// Returns a CEL expression as a condition. An expression takes microseconds; the cost of all other conditions is negligible.
pub fn expression(name: &str, expression: &str) -> Value {
    json!({ "extension_filter": {
        "name": name,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
            "expression": expression,
        },
    }})
}
