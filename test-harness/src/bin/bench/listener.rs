//! The part of the bootstrap that the baselines share: one hardened listener and one upstream cluster.

use serde_json::{Value, json};

/// Returns an Envoy bootstrap with the virtual host `host`. The HTTP filters in `filters` run before the router. If `log` is
/// `Some`, Envoy writes an access log with these JSON fields.
pub fn bootstrap(port: u16, upstream: u16, log: Option<Value>, mut filters: Vec<Value>, host: &Value) -> Value {
    filters.push(filter("router", "router.v3.Router", json!({ "suppress_envoy_headers": true })));
    let access_log = log.map(|fields| {
        let sink = json!({
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": { "json_format": fields },
        });
        json!({ "name": "audit", "typed_config": sink })
    });
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "access_log": access_log.into_iter().collect::<Vec<_>>(),
        // The baselines use the same hardening as the listener that `portcullis generate envoy` writes.
        "early_header_mutation_extensions": [{
            "name": "envoy.http.early_header_mutation.header_mutation",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
                "mutations": UNBELIEVABLE.map(|name| json!({ "remove": name })),
            },
        }],
        "internal_address_config": { "cidr_ranges": [{ "address_prefix": "255.255.255.255", "prefix_len": 32 }] },
        "preserve_external_request_id": true,
        "request_id_extension": { "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
            "pack_trace_reason": false,
        }},
        "request_headers_timeout": "10s",
        "server_header_transformation": "PASS_THROUGH",
        "use_remote_address": true,
        "normalize_path": true,
        "merge_slashes": true,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "common_http_protocol_options": { "headers_with_underscores_action": "REJECT_REQUEST" },
        "stream_idle_timeout": "300s",
        "request_timeout": "300s",
        "http_filters": filters,
        "route_config": { "name": "bench", "response_headers_to_remove": REMOVED_RESPONSE_HEADERS, "virtual_hosts": [host] },
    });
    let chain =
        json!({ "filters": [{ "name": "envoy.filters.network.http_connection_manager", "typed_config": manager }] });
    json!({
        "static_resources": {
            "listeners": [{
                "name": "gateway", "address": address(port), "per_connection_buffer_limit_bytes": 32_768,
                "filter_chains": [chain],
            }],
            "clusters": [{
                "name": CLUSTER, "type": "STATIC", "connect_timeout": "5s",
                "load_assignment": {
                    "cluster_name": CLUSTER,
                    "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address(upstream) } }] }],
                },
            }],
        },
    })
}

/// Returns the filter chain entry for one of Envoy's own HTTP filters.
pub fn filter(name: &str, message: &str, mut config: Value) -> Value {
    if let Some(members) = config.as_object_mut() {
        members.insert("@type".to_owned(), json!(type_url(message)));
    }
    json!({ "name": format!("envoy.filters.http.{name}"), "typed_config": config })
}

/// Returns the type URL of a protobuf message of Envoy's HTTP filters.
pub fn type_url(message: &str) -> String {
    format!("type.googleapis.com/envoy.extensions.filters.http.{message}")
}

fn address(port: u16) -> Value {
    json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } })
}

/// The name of the upstream cluster.
pub const CLUSTER: &str = "upstream";
const UNBELIEVABLE: [&str; 8] = [
    "x-original-url",
    "x-rewrite-url",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-real-ip",
];
const REMOVED_RESPONSE_HEADERS: [&str; 5] =
    ["server", "x-envoy-attempt-count", "x-envoy-decorator-operation", "x-envoy-upstream-service-time", "x-powered-by"];
