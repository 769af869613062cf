//! Gives the replies that Envoy makes without the filter the filter's own envelope; those of the filter stay as they are.

use serde_json::{Value, json};

use super::condition::{all, any, expression, replied, status};
use super::filter::FILTER;
use crate::policy::verdict::rejection::Kind;

/// The `local_reply_config`: first a mapper that leaves the filter's own replies as they are, which it knows by their status
/// (Envoy itself refuses only) or by their mark, and asks an expression last; two that give those to gRPC clients an id; then one
/// for each status of the table, and two for the rest. Replies to requests that could not be read, and so have no id, come first.
pub fn config() -> Value {
    let of = |kind: &Kind, condition: &str, id: &str| {
        let row = kind.appearance();
        mapper(&format!("response.code == {}{condition}", row.status), row.code, row.message, id)
    };
    let (client, gateway) = (Kind::BadRequest.appearance(), Kind::Internal.appearance());
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

/// A gRPC client reads the status from trailers, where an envelope would only be noise.
fn grpc(condition: &str, id: &str) -> Value {
    json!({ "filter": expression("local-reply", condition), "headers_to_add": [header("x-request-id", id)] })
}

/// A proxy that sheds load says when to come again.
fn overloaded(condition: &str, id: &str) -> Value {
    let row = Kind::ServiceUnavailable.appearance();
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
        // The JSON formatter escapes the client's request id, and its order by the alphabet is the envelope's own order.
        "body_format_override": { "json_format": {
            "error": { "code": code, "message": message, "request_id": id },
            "metadata": { "success": false, "timestamp": "%START_TIME(%Y-%m-%dT%H:%M:%SZ)%" },
        }},
        "headers_to_add": [header("cache-control", "no-store"), header("x-request-id", id)],
    })
}

/// True where the filter wrote the reply, and did not merely fail, or lack a policy to write one by.
fn written_by_the_filter() -> String {
    format!(
        "'{OWNER}' in filter_state && filter_state['{OWNER}'] == b'{FILTER}' \
         && !(response.code_details in ['wasm_fail_stream', 'no_policy'])"
    )
}

/// True where the client speaks gRPC; gRPC-Web is another thing to Envoy (envoy-facts §2.5).
const GRPC: &str = "'content-type' in request.headers && request.headers['content-type'].startsWith('application/grpc') \
     && !request.headers['content-type'].startsWith('application/grpc-web')";

/// True where the overload manager refused the request (envoy.overload_actions.stop_accepting_requests).
const OVERLOADED: &str = "response.code_details == 'overload'";
/// Pressure is looked at four times a second, and memory takes longer than that to be given back.
const RETRY_AFTER_SECONDS: &str = "2";

/// Where Envoy notes which filter sent a local reply (envoy-facts §2.6); the value is bytes.
const OWNER: &str = "envoy.filters.network.http_connection_manager.local_reply_owner";

/// Whether the request came as far as to have an id, of the form that the filter accepts from clients: anything else, a token
/// perhaps, is neither repeated nor written down.
pub const HAS_ID: &str = "'x-request-id' in request.headers && size(request.headers['x-request-id']) <= 128 \
     && request.headers['x-request-id'].matches('^[A-Za-z0-9._-]+$')";
/// The request's id.
pub const ID: &str = "%REQ(X-REQUEST-ID)%";
/// An id for a request that has none: the same in the reply and in the record, which the filter makes alike.
pub const MADE_ID: &str = "connection-%CONNECTION_ID%-%START_TIME(%s%3f)%";

/// Replies to requests that Envoy ends before it gives them an id, besides those that are malformed: a scheme that does not fit
/// the connection (403), no path, too slow, HTTP/1.0, too large, an unknown transfer coding.
const UNREAD: [Kind; 6] = [
    Kind::Forbidden,
    Kind::NotFound,
    Kind::RequestTimeout,
    Kind::UpgradeRequired,
    Kind::HeadersTooLarge,
    Kind::NotImplemented,
];

/// What the statuses of Envoy's own replies mean to a client.
const KINDS: [Kind; 12] = [
    Kind::BadRequest,
    Kind::Forbidden,
    Kind::NotFound,
    Kind::RequestTimeout,
    Kind::PayloadTooLarge,
    Kind::UpgradeRequired,
    Kind::HeadersTooLarge,
    Kind::Internal,
    Kind::NotImplemented,
    Kind::BadGateway,
    Kind::ServiceUnavailable,
    Kind::GatewayTimeout,
];
