//! Generates the access log: one line of JSON per request, with the filter's audit record and fields that only Envoy knows.

use serde_json::{Value, json};

use super::condition::{all, any, expression, replied, status};
use super::local_reply::{HAS_ID, ID, MADE_ID};

/// Returns three loggers. Exactly one of their conditions is true for each request, so each request has one line.
///
/// Evaluating a CEL expression takes microseconds, and three expressions cost as much as the filter's whole decision. An
/// expression therefore comes last in each condition. Envoy evaluates it only if the cheap conditions cannot classify the
/// request: the client disconnected, or Envoy itself can send a reply with the same status.
pub fn loggers() -> Value {
    let failed = || any(vec![status("EQ", 0), status("GE", 400)]);
    let undecided_if = |condition: String| all(vec![failed(), ambiguous_status(), expression("audit", &condition)]);
    json!([
        logger("decided", &decided_if(), &json!({ "text_format_source": { "inline_string": decided() } })),
        logger(
            "undecided",
            &undecided_if(format!("!({RECORDED}) && {HAS_ID}")),
            &json!({ "json_format": undecided(ID) })
        ),
        logger(
            "unread",
            &undecided_if(format!("!({RECORDED}) && !({HAS_ID})")),
            &json!({ "json_format": undecided(MADE_ID) })
        ),
    ])
}

/// Returns a condition that is true if the filter decided the request. Every status from 1 to 399 proves this, because the routes
/// refuse every request to which the filter has not added an upstream name.
fn decided_if() -> Value {
    let refused =
        all(vec![replied(true), any(vec![all(vec![status("GE", 401), status("LE", 407)]), status("EQ", 429)])]);
    any(vec![all(vec![status("GE", 1), status("LE", 399)]), refused, expression("audit", RECORDED)])
}

/// Returns a condition that is true for replies that Envoy itself might have sent. The condition is true if the request lacks the
/// header that [`replied`] checks. It is also true for each status that Envoy can send before it removes this header from the
/// client's request, because the client might have set the header.
fn ambiguous_status() -> Value {
    let others = [status("LE", 400), all(vec![status("GE", 408), status("LE", 428)]), status("GE", 430)];
    any([replied(false)].into_iter().chain(others).collect())
}

fn logger(name: &str, condition: &Value, format: &Value) -> Value {
    json!({
        "name": name,
        "filter": condition,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": format,
        },
    })
}

/// Returns the format for requests that the filter decided. The audit record is already JSON, and only a text format can embed
/// it without quotes. All other fields are numbers, or strings from Envoy without characters that JSON must escape. None of
/// these other fields contains client input.
fn decided() -> String {
    concat!(
        r#"{"time":"%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%","audit":%FILTER_STATE(wasm.portcullis:PLAIN)%,"#,
        r#""status":%RESPONSE_CODE%,"duration_ms":%DURATION%,"bytes_received":%BYTES_RECEIVED%,"#,
        r#""bytes_sent":%BYTES_SENT%,"flags":"%RESPONSE_FLAGS%","client":"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%","#,
        r#""upstream":"%UPSTREAM_HOST%"}"#,
        "\n"
    )
    .to_string()
}

/// Returns the format for requests that never reached the filter, such as malformed, too large or too slow requests. Envoy's
/// JSON formatter escapes the values.
fn undecided(id: &str) -> Value {
    json!({
        "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
        "audit": { "request_id": id, "method": "%REQ(:METHOD)%", "decision": "deny", "reason": "%RESPONSE_CODE_DETAILS%" },
        "status": "%RESPONSE_CODE%",
        "duration_ms": "%DURATION%",
        "bytes_received": "%BYTES_RECEIVED%",
        "bytes_sent": "%BYTES_SENT%",
        "flags": "%RESPONSE_FLAGS%",
        "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    })
}

/// A CEL expression that is true if the filter has stored its audit record. The filter stores the record before another filter
/// can end the request.
const RECORDED: &str = "'wasm.portcullis' in filter_state";
