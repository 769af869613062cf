//! The access log that prints the filter's audit record with what only Envoy knows: one line of JSON for each request.

use serde_json::{Value, json};

use super::condition::{all, any, expression, replied, status};
use super::local_reply::{HAS_ID, ID, MADE_ID};

/// Three loggers whose conditions exclude each other, so that each request has exactly one line.
///
/// An expression takes microseconds, three of them as many as the whole decision. So it is asked last, and only about requests
/// of which nothing cheaper says that they were decided: the client left, or the reply is of a kind that Envoy makes as well.
pub fn loggers() -> Value {
    let failed = || any(vec![status("EQ", 0), status("GE", 400)]);
    let undecided_if = |condition: String| all(vec![failed(), unsure(), expression("audit", &condition)]);
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

/// Nothing below 400 is sent that the filter did not decide about: the routes refuse what has no upstream's name.
fn decided_if() -> Value {
    let refused =
        all(vec![replied(true), any(vec![all(vec![status("GE", 401), status("LE", 407)]), status("EQ", 429)])]);
    any(vec![all(vec![status("GE", 1), status("LE", 399)]), refused, expression("audit", RECORDED)])
}

/// Whether the mark of the filter's own refusals is missing, or stands on a reply that Envoy may make before it takes the mark
/// from a client's request.
fn unsure() -> Value {
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

/// The record is JSON already, and only a text format can take it in unquoted. Everything beside it is a number, or text
/// that Envoy makes itself out of letters, digits and signs that JSON needs not escape; nothing here is a client's.
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

/// Requests that never reached the filter: malformed, too large, too slow. Envoy's JSON formatter escapes what they hold.
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

/// The filter leaves its record there before anything else can end the request.
const RECORDED: &str = "'wasm.portcullis' in filter_state";
