//! Formats Envoy's own local replies like the filter's error responses; the filter's own replies stay unchanged.

use serde_json::{Value, json};

use super::condition::{all, any, expression, replied, status};
use super::filter::FILTER;
use crate::policy::verdict::rejection::RejectionKind;

/// Returns the `local_reply_config`. The order of the mappers matters:
///
/// 1. The filter's own replies stay unchanged. Their request header ([`replied`]), their
///    owner ([`OWNER`]) or a status below 400 identifies them.
/// 2. Two mappers add a request id to replies for gRPC clients.
/// 3. Two mappers format the refusals of the overload manager.
/// 4. Replies to requests without an accepted id ([`HAS_ID`]) get a generated id.
/// 5. There is one mapper for each of [`KINDS`], and two mappers for all other statuses.
pub fn config() -> Value {
    let of = |kind: &RejectionKind, condition: &str, id: &str| {
        let row = kind.appearance();
        mapper(&format!("response.code == {}{condition}", row.status), row.code, row.message, id)
    };
    let (client, gateway) = (RejectionKind::BadRequest.appearance(), RejectionKind::Internal.appearance());
    let unread = format!("!({HAS_ID})");
    let mut mappers = vec![
        json!({ "filter": any(vec![
            all(vec![status("GE", 200), status("LE", 399)]),
            replied(true),
            expression("local-reply", &written_by_the_filter()),
        ]) }),
        grpc(&format!("{unread} && ({GRPC})"), MADE_ID),
        grpc(GRPC, ID),
    ];
    mappers.extend([overloaded(&format!(" && {unread}"), MADE_ID), overloaded("", ID)]);
    mappers.extend(UNREAD.iter().map(|kind| of(kind, &format!(" && {unread}"), MADE_ID)));
    mappers.push(mapper(&format!("response.code >= 500 && {unread}"), gateway.code, gateway.message, MADE_ID));
    mappers.push(mapper(&unread, client.code, client.message, MADE_ID));
    mappers.extend(KINDS.iter().map(|kind| of(kind, "", ID)));
    mappers.push(mapper("response.code < 500", client.code, client.message, ID));
    mappers.push(mapper("true", gateway.code, gateway.message, ID));
    json!({ "mappers": mappers })
}

/// Returns a mapper that only adds the id. A gRPC client reads the status from trailers and ignores the body.
fn grpc(condition: &str, id: &str) -> Value {
    json!({ "filter": expression("local-reply", condition), "headers_to_add": [header("x-request-id", id)] })
}

/// Returns a mapper for requests that the overload manager refuses. The mapper adds `retry-after`.
fn overloaded(condition: &str, id: &str) -> Value {
    let row = RejectionKind::ServiceUnavailable.appearance();
    let mut mapper = mapper(&format!("{OVERLOADED}{condition}"), row.code, row.message, id);
    if let Some(headers) = mapper.get_mut("headers_to_add").and_then(Value::as_array_mut) {
        headers.push(header("retry-after", RETRY_AFTER_SECONDS));
    }
    mapper
}

fn header(key: &str, value: &str) -> Value {
    json!({ "append_action": "OVERWRITE_IF_EXISTS_OR_ADD", "header": { "key": key, "value": value } })
}

fn mapper(condition: &str, code: &str, message: &str, id: &str) -> Value {
    json!({
        "filter": expression("local-reply", condition),
        // The JSON formatter escapes the request id of the client. It sorts the members alphabetically, which is also the order
        // in the filter's own error responses.
        "body_format_override": { "json_format": {
            "error": { "code": code, "message": message, "request_id": id },
            "metadata": { "success": false, "timestamp": "%START_TIME(%Y-%m-%dT%H:%M:%SZ)%" },
        }},
        "headers_to_add": [header("cache-control", "no-store"), header("x-request-id", id)],
    })
}

/// Returns a CEL expression that is true if the filter sent the reply on purpose. It is false if the filter failed or had no
/// policy.
fn written_by_the_filter() -> String {
    format!(
        "'{OWNER}' in filter_state && filter_state['{OWNER}'] == b'{FILTER}' \
         && !(response.code_details in ['wasm_fail_stream', 'no_policy', 'portcullis_panic', 'dynamic_module_filter_init_failed'])"
    )
}

/// A CEL expression that is true if the client uses gRPC. Envoy does not treat gRPC-Web as gRPC (envoy-facts §2.5).
const GRPC: &str = "'content-type' in request.headers && request.headers['content-type'].startsWith('application/grpc') \
     && !request.headers['content-type'].startsWith('application/grpc-web')";

/// A CEL expression that is true if the overload manager refused the request (envoy.overload_actions.stop_accepting_requests).
const OVERLOADED: &str = "response.code_details == 'overload'";
/// The value of `retry-after`. Envoy checks the memory pressure every 250 ms, but memory can take longer to become free.
const RETRY_AFTER_SECONDS: &str = "2";

/// The filter state in which Envoy records the filter that sent a local reply (envoy-facts §2.6); the value is bytes.
const OWNER: &str = "envoy.filters.network.http_connection_manager.local_reply_owner";

/// A CEL expression that is true if the client sent a request id that the filter would accept. Any other value might contain a
/// token, so replies and logs do not repeat it.
pub const HAS_ID: &str = "'x-request-id' in request.headers && size(request.headers['x-request-id']) <= 128 \
     && request.headers['x-request-id'].matches('^[A-Za-z0-9._-]+$')";
/// The Envoy command operator for the id of the request.
pub const ID: &str = "%REQ(X-REQUEST-ID)%";
/// The command operators that build an id for a request without an accepted id. The reply and the access log use the same form.
pub const MADE_ID: &str = "connection-%CONNECTION_ID%-%START_TIME(%s%3f)%";

/// The kinds of replies to requests that Envoy refuses before it assigns an id. The reasons are, in this order: the scheme does
/// not match the connection, there is no path, the request is too slow, it uses HTTP/1.0, its headers are too large, or its
/// transfer coding is unknown. Malformed requests are not listed, because the mapper for other statuses formats their replies.
const UNREAD: [RejectionKind; 6] = [
    RejectionKind::Forbidden,
    RejectionKind::NotFound,
    RejectionKind::RequestTimeout,
    RejectionKind::UpgradeRequired,
    RejectionKind::HeadersTooLarge,
    RejectionKind::NotImplemented,
];

/// The kinds of replies that Envoy itself sends, one for each status. Each kind has the error code and message of that status.
const KINDS: [RejectionKind; 12] = [
    RejectionKind::BadRequest,
    RejectionKind::Forbidden,
    RejectionKind::NotFound,
    RejectionKind::RequestTimeout,
    RejectionKind::PayloadTooLarge,
    RejectionKind::UpgradeRequired,
    RejectionKind::HeadersTooLarge,
    RejectionKind::Internal,
    RejectionKind::NotImplemented,
    RejectionKind::BadGateway,
    RejectionKind::ServiceUnavailable,
    RejectionKind::GatewayTimeout,
];
