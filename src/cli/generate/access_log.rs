//! The access log that prints the filter's audit record with what only Envoy knows: one line of JSON for each request.

use serde_json::{Value, json};

use super::local_reply::{HAS_ID, ID, MADE_ID, expression_filter};

/// Three loggers whose conditions exclude each other, so that each request has exactly one line.
pub fn loggers() -> Value {
    json!([
        logger("decided", RECORDED, &json!({ "text_format_source": { "inline_string": decided() } })),
        logger("undecided", &format!("!({RECORDED}) && {HAS_ID}"), &json!({ "json_format": undecided(ID) })),
        logger("unread", &format!("!({RECORDED}) && !({HAS_ID})"), &json!({ "json_format": undecided(MADE_ID) })),
    ])
}

fn logger(name: &str, condition: &str, format: &Value) -> Value {
    json!({
        "name": name,
        "filter": expression_filter(name, condition),
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
