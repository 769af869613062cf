//! Generates the complete Envoy configuration of a gateway: listener, filter, clusters, limits and a local admin port.

use serde_json::{Value, json};

use super::address::socket;
use super::traffic::TrafficOptions;
use super::{EnvoyOptions, FilterHost, clusters, listener};
use crate::cli::gateway::GatewayFile;
use crate::config::problem::Problems;
use crate::gateway::metrics::tag_rules;

/// Returns the Envoy bootstrap for one gateway document.
pub fn bootstrap(gateway: &GatewayFile, options: &EnvoyOptions, problems: &mut Problems) -> Value {
    let mut bootstrap = json!({
        "overload_manager": overload_manager(&options.traffic),
        "stats_config": { "stats_tags": stats_tags() },
        "static_resources": {
            "clusters": clusters::clusters(&gateway.document, options, problems),
            "listeners": [listener::listener(gateway, options)],
        },
    });
    if let (FilterHost::DynamicModule, Some(members)) = (options.host, bootstrap.as_object_mut()) {
        members.insert("layered_runtime".to_string(), runtime());
    }
    if let (false, Some(members)) = (options.no_admin, bootstrap.as_object_mut()) {
        // A client of the admin port can stop the proxy and read its configuration, so only the local host can connect.
        members.insert("admin".to_string(), json!({ "address": socket("127.0.0.1", options.admin_port) }));
    }
    bootstrap
}

/// Returns the rules by which Envoy converts labels in the names of the filter's statistics to tags.
fn stats_tags() -> Vec<Value> {
    tag_rules().map(|(label, rule)| json!({ "tag_name": label, "regex": rule })).collect()
}

/// Returns the runtime settings for a dynamic module. They remove the prefix `envoy_dynamicmodulescustom_` from its metrics in
/// Prometheus, so that these have the same names as the metrics of the wasm module (envoy-facts §5.5).
fn runtime() -> Value {
    let flags = json!({ "envoy.reloadable_features.dynamic_modules_strip_custom_stat_prefix": true });
    json!({ "layers": [{ "name": "portcullis", "static_layer": flags }] })
}

/// Returns the settings that shed load before the proxy runs out of memory or file descriptors. At 95 % of the heap limit,
/// Envoy refuses new requests.
///
/// From 75 % of the heap limit, Envoy resets the HTTP/2 streams with the largest buffers, and shortens the idle timeouts of
/// streams and connections. Envoy does not track the buffers of HTTP/1 streams.
fn overload_manager(traffic: &TrafficOptions) -> Value {
    let trigger = |value: f64| json!([{ "name": HEAP, "threshold": { "value": value } }]);
    let rising = json!([{ "name": HEAP, "scaled": { "scaling_threshold": 0.75, "saturation_threshold": 0.95 } }]);
    json!({
        "refresh_interval": "0.25s",
        "buffer_factory_config": { "minimum_account_to_track_power_of_two": TRACKED_FROM },
        "resource_monitors": [
            {
                "name": HEAP,
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                    "max_heap_size_bytes": traffic.max_heap_mib.saturating_mul(1 << 20),
                },
            },
            {
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                    "max_active_downstream_connections": traffic.max_connections,
                },
            },
        ],
        "actions": [
            { "name": "envoy.overload_actions.shrink_heap", "triggers": trigger(0.9) },
            {
                "name": "envoy.overload_actions.reduce_timeouts",
                "triggers": rising,
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.config.overload.v3.ScaleTimersOverloadActionConfig",
                    "timer_scale_factors": [
                        { "timer": "HTTP_DOWNSTREAM_CONNECTION_IDLE", "min_timeout": "5s" },
                        { "timer": "HTTP_DOWNSTREAM_STREAM_IDLE", "min_timeout": traffic.least_idle_timeout() },
                    ],
                },
            },
            { "name": "envoy.overload_actions.reset_high_memory_stream", "triggers": rising },
            { "name": "envoy.overload_actions.stop_accepting_requests", "triggers": trigger(0.95) },
        ],
    })
}

const HEAP: &str = "envoy.resource_monitors.fixed_heap";
/// Envoy can reset streams that buffer at least 2^17 bytes (128 KiB). This is less than the connection buffer of an upstream,
/// so Envoy can reset the streams of clients that do not read their responses.
const TRACKED_FROM: u32 = 17;
