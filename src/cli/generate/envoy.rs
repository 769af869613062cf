//! The whole Envoy configuration of a gateway: listener, filter, clusters, limits, and an admin port nobody else can reach.

use serde_json::{Value, json};

use super::{EnvoyOptions, clusters, listener};
use crate::cli::gateway::Gateway;
use crate::config::problem::Problems;

/// The bootstrap for one document.
pub fn bootstrap(gateway: &Gateway, options: &EnvoyOptions, problems: &mut Problems) -> Value {
    let mut bootstrap = json!({
        "overload_manager": overload_manager(options),
        "static_resources": {
            "clusters": clusters::clusters(&gateway.document, options, problems),
            "listeners": [listener::listener(gateway, options)],
        },
    });
    if let (false, Some(members)) = (options.no_admin, bootstrap.as_object_mut()) {
        // Whoever reaches the admin port can stop the proxy and read its configuration: the host itself only.
        members.insert("admin".to_string(), json!({ "address": socket("127.0.0.1", options.admin_port) }));
    }
    bootstrap
}

/// An address as Envoy writes it.
pub fn socket(address: &str, port: u16) -> Value {
    json!({ "socket_address": { "address": address, "port_value": port } })
}

/// Sheds load before the proxy dies of it: new requests first, and never more connections than there are descriptors for.
fn overload_manager(options: &EnvoyOptions) -> Value {
    let trigger = |value: f64| json!([{ "name": HEAP, "threshold": { "value": value } }]);
    json!({
        "refresh_interval": "0.25s",
        "resource_monitors": [
            {
                "name": HEAP,
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                    "max_heap_size_bytes": options.max_heap_mib.saturating_mul(1 << 20),
                },
            },
            {
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                    "max_active_downstream_connections": options.max_connections,
                },
            },
        ],
        "actions": [
            { "name": "envoy.overload_actions.shrink_heap", "triggers": trigger(0.9) },
            { "name": "envoy.overload_actions.stop_accepting_requests", "triggers": trigger(0.95) },
        ],
    })
}

const HEAP: &str = "envoy.resource_monitors.fixed_heap";
