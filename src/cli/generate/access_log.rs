//! The access log: one line of JSON per request, with the filter's audit record and fields that only Envoy knows.

use serde_json::{Value, json};

use super::condition::{all, any, expression, replied, status};
use super::local_reply::{HAS_ID, ID, MADE_ID};

/// Three loggers with mutually exclusive conditions, so that each request has exactly one line.
///
/// An expression takes microseconds; three of them cost as much as the whole decision. So expressions come last, and only for
/// requests that the cheap conditions cannot classify: the client disconnected, or the reply is of a kind that Envoy also sends.
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

/// Every response below 400 was decided by the filter: the routes refuse requests without an upstream name.
fn decided_if() -> Value {
    let refused =
        all(vec![replied(true), any(vec![all(vec![status("GE", 401), status("LE", 407)]), status("EQ", 429)])]);
    any(vec![all(vec![status("GE", 1), status("LE", 399)]), refused, expression("audit", RECORDED)])
}

/// Matches replies that may not come from the filter: replies without its refusal mark, and statuses that Envoy can send before it
/// removes a forged mark from the request.
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

/// The record is already JSON, and only a text format can embed it unquoted. All other fields are numbers, or text from Envoy
/// without characters that JSON must escape. No field contains client input.
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

/// Requests that never reached the filter: malformed, too large, too slow. Envoy's JSON formatter escapes their values.
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

/// The filter stores its record here before anything else can end the request.
const RECORDED: &str = "'wasm.portcullis' in filter_state";
