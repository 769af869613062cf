//! The listener: an HTTP edge with every limit and refusal that Envoy leaves to its operator (envoy-facts §0.16, §2.13).

use serde_json::{Value, json};

use super::address::socket;
use super::version::LIFTS_LIMITS;
use super::{EnvoyOptions, access_log, filter, local_reply};
use crate::cli::gateway::GatewayFile;
use crate::config::document::Audit;
use crate::policy::respond::refusal::REPLIED_HEADER;

/// The listener with the filter and the routes behind it.
pub fn listener(gateway: &GatewayFile, options: &EnvoyOptions) -> Value {
    let mut chain = json!({ "filters": [{
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": connection_manager(gateway, options),
    }]});
    if let (Some(tls), Some(chain)) = (options.tls.transport_socket(), chain.as_object_mut()) {
        chain.insert("transport_socket".to_string(), tls);
        // Envoy would wait for the end of a handshake for ever.
        chain.insert("transport_socket_connect_timeout".to_string(), json!("10s"));
    }
    json!({
        "name": "portcullis",
        "address": socket(&options.address, options.port),
        "per_connection_buffer_limit_bytes": lifted(gateway, options).max(BUFFER_BYTES),
        "filter_chains": [chain],
    })
}

/// What the limits of every connection are lifted to, where Envoy holds no body beyond them whatever its virtual host says.
fn lifted(gateway: &GatewayFile, options: &EnvoyOptions) -> u64 {
    let held = gateway.policy.largest_held_body().filter(|_| options.envoy_version < LIFTS_LIMITS);
    held.map_or(0, |bytes| bytes + ROOM_TO_READ)
}

/// What that means, for whoever asked for such a version.
pub fn note(gateway: &GatewayFile, options: &EnvoyOptions) -> Option<String> {
    let (version, bytes) = (options.envoy_version, lifted(gateway, options));
    let how = "as many as the largest body that is held back needs";
    (bytes > 0)
        .then(|| format!("with Envoy {version} every connection and stream may fill {bytes} bytes of buffers, {how}"))
}

/// What any request must look like before the filter sees it.
fn connection_manager(gateway: &GatewayFile, options: &EnvoyOptions) -> Value {
    let loggers = if gateway.document.audit == Audit::AccessLog { access_log::loggers() } else { json!([]) };
    let router = json!({
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            "suppress_envoy_headers": true,
        },
    });
    let largest_body = gateway.policy.largest_held_body();
    let witness = options.tls.witness(options.envoy_version);
    let filters: Vec<Value> = witness.into_iter().chain([filter::wasm(gateway, options), router]).collect();
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "access_log": loggers,
        "always_set_request_id_in_response": false,
        "codec_type": "AUTO",
        "common_http_protocol_options": {
            "headers_with_underscores_action": "REJECT_REQUEST",
            "idle_timeout": "900s",
        },
        "early_header_mutation_extensions": [{
            "name": "envoy.http.early_header_mutation.header_mutation",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
                "mutations": unbelievable(options),
            },
        }],
        // What a client says about its certificate is removed, and nothing is put in its place.
        "forward_client_cert_details": "SANITIZE",
        "generate_request_id": true,
        "http2_protocol_options": {
            "initial_connection_window_size": 1_048_576,
            "initial_stream_window_size": lifted(gateway, options).max(STREAM_BYTES),
            "max_concurrent_streams": options.traffic.max_streams,
            // One malformed request ends its stream, not the connection with everybody else's. Over HTTP/1 nobody knows where the
            // next request begins behind one that is malformed, so the connection has to end.
            "override_stream_error_on_invalid_http_message": true,
        },
        "http_filters": filters,
        // An empty list would mean RFC 1918, whose members could then set timeouts and retries by header (CVE-2024-45806).
        "internal_address_config": { "cidr_ranges": [{ "address_prefix": "255.255.255.255", "prefix_len": 32 }] },
        "local_reply_config": local_reply::config(),
        "merge_slashes": true,
        "normalize_path": true,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "preserve_external_request_id": true,
        "request_headers_timeout": "10s",
        // Envoy would note its tracing decision in the id that the client chose.
        "request_id_extension": { "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
            "pack_trace_reason": false,
        }},
        "request_timeout": options.traffic.request_timeout(largest_body.is_some()),
        "route_config": routes(largest_body),
        // With the route table's removal of the upstream's own header no `server` reaches the client at all.
        "server_header_transformation": "PASS_THROUGH",
        "stat_prefix": "portcullis",
        "stream_idle_timeout": options.traffic.idle_timeout(),
        "upgrade_configs": [{ "upgrade_type": "websocket" }],
        "use_remote_address": true,
        "xff_num_trusted_hops": options.trusted_hops,
    })
}

/// Headers that are never taken from a client: the choice of the cluster, the mark of a refusal, and without trusted proxies in
/// front the client's address. The filter removes those that override the request line.
fn unbelievable(options: &EnvoyOptions) -> Value {
    let proxies = if options.trusted_hops == 0 { FROM_PROXIES.as_slice() } else { &[] };
    [UPSTREAM_HEADER, REPLIED_HEADER].iter().chain(proxies).map(|name| json!({ "remove": name })).collect()
}

/// The filter names the cluster; what has no name was not let through, and is refused even where the filter did not run.
fn routes(largest_body: Option<u64>) -> Value {
    let refused = match largest_body {
        None => json!({ "name": "refused", "match": { "prefix": "/" }, "direct_response": { "status": 403 } }),
        // Envoy takes no limit from a route that answers by itself. This one leads nowhere without the filter's header.
        Some(_) => json!({ "name": "refused", "match": { "prefix": "/" }, "route": {
            "cluster_header": UPSTREAM_HEADER, "cluster_not_found_response_code": "NOT_FOUND",
        }}),
    };
    let mut host = json!({
        "name": "portcullis",
        "domains": ["*"],
        "routes": [
            {
                "name": "allowed",
                "match": { "prefix": "/", "headers": [{ "name": UPSTREAM_HEADER, "present_match": true }] },
                "request_headers_to_remove": [UPSTREAM_HEADER],
                "route": { "cluster_header": UPSTREAM_HEADER, "timeout": "15s" },
            },
            refused,
        ],
    });
    if let (Some(bytes), Some(host)) = (largest_body, host.as_object_mut()) {
        // On the host, because no route is chosen yet while a body is held. What is read from the network at a time comes on
        // top: without room for it Envoy would refuse a body that the filter is about to accept (envoy-facts §2.7).
        host.insert("request_body_buffer_limit".to_string(), json!(bytes + ROOM_TO_READ));
    }
    json!({
        "name": "portcullis",
        // What services and the sidecars beside them tell about themselves.
        "response_headers_to_remove": [
            "server", "x-envoy-attempt-count", "x-envoy-decorator-operation", "x-envoy-upstream-service-time", "x-powered-by",
        ],
        "virtual_hosts": [host],
    })
}

const BUFFER_BYTES: u64 = 1 << 20;
const STREAM_BYTES: u64 = 1 << 16;
const ROOM_TO_READ: u64 = 1 << 18;
/// Set by the filter, removed from whatever a client sends before the filter runs.
const UPSTREAM_HEADER: &str = "x-portcullis-upstream";
pub(super) const FROM_PROXIES: [&str; 6] =
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix", "x-real-ip"];
