//! Generates the listener, with the limits and checks that Envoy does not have by default (envoy-facts §0.16, §2.13).

use serde_json::{Value, json};

use super::address::socket;
use super::version::RAISES_BUFFER_LIMIT;
use super::{EnvoyOptions, access_log, filter, local_reply};
use crate::cli::gateway::GatewayFile;
use crate::config::document::Audit;
use crate::gateway::body::{CONNECTION_BUFFER, STREAM_WINDOW, buffer_limit};
use crate::policy::respond::refusal::REPLIED_HEADER;

/// Returns the listener with the filter and its routes.
pub fn listener(gateway: &GatewayFile, options: &EnvoyOptions) -> Value {
    let mut chain = json!({ "filters": [{
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": connection_manager(gateway, options),
    }]});
    if let (Some(tls), Some(chain)) = (options.tls.transport_socket(), chain.as_object_mut()) {
        chain.insert("transport_socket".to_string(), tls);
        // Without this timeout, Envoy waits forever for the end of a handshake.
        chain.insert("transport_socket_connect_timeout".to_string(), json!("10s"));
    }
    json!({
        "name": "portcullis",
        "address": socket(&options.address, options.port),
        "per_connection_buffer_limit_bytes": raised_buffer_bytes(gateway, options).max(CONNECTION_BUFFER),
        "filter_chains": [chain],
    })
}

/// Returns the buffer limit in bytes that each connection needs so that Envoy can hold bodies for the filter. Returns 0 if the
/// filter needs no bodies, or if this Envoy version applies the `request_body_buffer_limit` of the virtual host.
fn raised_buffer_bytes(gateway: &GatewayFile, options: &EnvoyOptions) -> u64 {
    let held = gateway.policy.largest_buffered_body().filter(|_| options.envoy_version < RAISES_BUFFER_LIMIT);
    held.map_or(0, buffer_limit)
}

/// Returns a note on the raised buffer limit, if the Envoy version needs it.
pub fn note(gateway: &GatewayFile, options: &EnvoyOptions) -> Option<String> {
    let (version, bytes) = (options.envoy_version, raised_buffer_bytes(gateway, options));
    let how = "because the filter reads bodies of up to this size before Envoy forwards them";
    (bytes > 0)
        .then(|| format!("with Envoy {version}, every connection and stream can buffer up to {bytes} bytes, {how}"))
}

/// Returns the connection manager, which checks every request before the filter receives it.
fn connection_manager(gateway: &GatewayFile, options: &EnvoyOptions) -> Value {
    let loggers = if gateway.document.audit == Audit::AccessLog { access_log::loggers() } else { json!([]) };
    let router = json!({
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            "suppress_envoy_headers": true,
        },
    });
    let largest_body = gateway.policy.largest_buffered_body();
    let certificate_filter = options.tls.certificate_filter(options);
    let filters: Vec<Value> = certificate_filter.into_iter().chain([filter::entry(gateway, options), router]).collect();
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
                "mutations": untrusted_headers(options),
            },
        }],
        // Envoy removes `x-forwarded-client-cert`, which the client could forge, and does not add its own.
        "forward_client_cert_details": "SANITIZE",
        "generate_request_id": true,
        "http2_protocol_options": {
            "initial_connection_window_size": 1_048_576,
            "initial_stream_window_size": raised_buffer_bytes(gateway, options).max(STREAM_WINDOW),
            "max_concurrent_streams": options.traffic.max_streams,
            // A malformed request ends only its HTTP/2 stream. Over HTTP/1 the connection must end, because the start of the next
            // request is unknown.
            "override_stream_error_on_invalid_http_message": true,
        },
        "http_filters": filters,
        // With an empty list, Envoy would trust the RFC 1918 ranges, and clients in these ranges could set timeouts and retries
        // by header (CVE-2024-45806).
        "internal_address_config": { "cidr_ranges": [{ "address_prefix": "255.255.255.255", "prefix_len": 32 }] },
        "local_reply_config": local_reply::config(),
        "merge_slashes": true,
        "normalize_path": true,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "preserve_external_request_id": true,
        "request_headers_timeout": "10s",
        // With the default of `pack_trace_reason`, Envoy changes the client's request id, because Envoy encodes its tracing
        // decision in the id.
        "request_id_extension": { "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
            "pack_trace_reason": false,
        }},
        "request_timeout": options.traffic.request_timeout(largest_body.is_some()),
        "route_config": routes(largest_body),
        // Envoy adds no `server` header, and the route configuration removes the upstream's `server` header, so the client never
        // receives one.
        "server_header_transformation": "PASS_THROUGH",
        "stat_prefix": "portcullis",
        "stream_idle_timeout": options.traffic.idle_timeout(),
        "upgrade_configs": [{ "upgrade_type": "websocket" }],
        "use_remote_address": true,
        "xff_num_trusted_hops": options.trusted_hops,
    })
}

/// Returns the headers that Envoy removes from client requests: [`UPSTREAM_HEADER`], [`REPLIED_HEADER`], and [`FROM_PROXIES`]
/// if no proxy in front is trusted. The filter itself removes headers that override the method or the path.
fn untrusted_headers(options: &EnvoyOptions) -> Value {
    let proxies = if options.trusted_hops == 0 { FROM_PROXIES.as_slice() } else { &[] };
    [UPSTREAM_HEADER, REPLIED_HEADER].iter().chain(proxies).map(|name| json!({ "remove": name })).collect()
}

/// Returns the routes. The filter writes the cluster into [`UPSTREAM_HEADER`]. Envoy refuses a request without this header,
/// even if the filter did not run.
fn routes(largest_body: Option<u64>) -> Value {
    let refused = match largest_body {
        None => json!({ "name": "refused", "match": { "prefix": "/" }, "direct_response": { "status": 403 } }),
        // Envoy ignores the body limit on a direct response route. Without the filter's header, this route has no cluster and
        // responds with 404.
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
        // The limit is set on the virtual host, because no route is selected yet while Envoy holds a body.
        host.insert("request_body_buffer_limit".to_string(), json!(buffer_limit(bytes)));
    }
    json!({
        "name": "portcullis",
        // These headers reveal details of services and their sidecars.
        "response_headers_to_remove": [
            "server", "x-envoy-attempt-count", "x-envoy-decorator-operation", "x-envoy-upstream-service-time", "x-powered-by",
        ],
        "virtual_hosts": [host],
    })
}

/// The header in which the filter passes the name of the cluster. Envoy removes it from client requests before the filter runs.
const UPSTREAM_HEADER: &str = "x-portcullis-upstream";
pub(super) const FROM_PROXIES: [&str; 6] =
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix", "x-real-ip"];
