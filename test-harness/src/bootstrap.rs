//! A minimal Envoy configuration with the filter, which keeps Envoy's defaults for the normalization of requests.
//!
//! With these defaults, Envoy passes ambiguous paths and header names with underscores to the filter, which must refuse them.

use std::path::Path;

use serde_json::{Value, json};

use crate::envoy::Host;

/// The values that the configuration is generated from.
#[derive(Debug, Clone)]
pub struct Bootstrap<'a> {
    /// The port that Envoy listens on.
    pub port: u16,
    /// The port of the admin interface.
    pub admin: u16,
    /// The path of the filter's module. With `None`, Envoy forwards requests without a filter.
    pub module: Option<&'a Path>,
    /// The filter's configuration as JSON.
    pub policy: &'a Value,
    /// The name and the port of each cluster. All clusters are on 127.0.0.1.
    pub clusters: Vec<(String, u16)>,
    /// The names of the environment variables that the filter may read.
    pub env: Vec<&'a str>,
}

impl Bootstrap<'_> {
    /// Returns the configuration as JSON. Envoy reads it as YAML, because JSON is valid YAML.
    pub fn text(&self) -> String {
        let clusters: Vec<_> = self.clusters.iter().map(|(name, port)| cluster(name, *port)).collect();
        json!({
            "admin": { "address": address(self.admin) },
            "static_resources": { "listeners": [self.listener()], "clusters": clusters },
        })
        .to_string()
    }

    fn listener(&self) -> Value {
        json!({
            "name": "gateway",
            "address": address(self.port),
            "filter_chains": [{ "filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": self.connection_manager(),
            }] }],
        })
    }

    // These settings do not normalize paths or reject header names with underscores, because Envoy does neither by default
    // (envoy-facts §0.16).
    fn connection_manager(&self) -> Value {
        let mut filters: Vec<_> = self.module.map(|module| self.filter(module)).into_iter().collect();
        let router =
            json!({ "name": "envoy.filters.http.router", "typed_config": { "@type": kind("http.router.v3.Router") } });
        filters.push(router);
        json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "gateway",
            "http_protocol_options": { "enable_trailers": true },
            "route_config": { "name": "gateway", "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [{
                "match": { "prefix": "/" },
                "route": { "cluster_header": "x-portcullis-upstream", "timeout": "15s" },
                "request_headers_to_remove": ["x-portcullis-upstream"],
            }] }] },
            "http_filters": filters,
        })
    }

    fn filter(&self, module: &Path) -> Value {
        if Host::of(module) == Host::DynamicModule {
            return json!({ "name": "portcullis", "typed_config": {
                "@type": kind("http.dynamic_modules.v3.DynamicModuleFilter"),
                "dynamic_module_config": { "module": { "local": { "filename": module } }, "do_not_close": true },
                "filter_name": format!("portcullis-{}", self.port),
                "filter_config": { "@type": "type.googleapis.com/google.protobuf.StringValue", "value": self.policy.to_string() },
            } });
        }
        let id = format!("portcullis-{}", self.port);
        json!({ "name": "portcullis", "typed_config": { "@type": kind("http.wasm.v3.Wasm"), "config": {
            "name": id,
            "failure_policy": "FAIL_RELOAD",
            "reload_config": { "backoff": { "base_interval": "1s", "max_interval": "10s" } },
            "configuration": { "@type": "type.googleapis.com/google.protobuf.StringValue", "value": self.policy.to_string() },
            "vm_config": {
                "vm_id": id,
                "runtime": "envoy.wasm.runtime.v8",
                "code": { "local": { "filename": module } },
                "environment_variables": { "host_env_keys": self.env },
            },
        } } })
    }
}

fn cluster(name: &str, port: u16) -> Value {
    let trailers = json!({ "explicit_http_config": { "http_protocol_options": { "enable_trailers": true } },
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions" });
    let options = json!({ "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": trailers });
    json!({ "name": name, "type": "STATIC", "connect_timeout": "1s", "typed_extension_protocol_options": options, "load_assignment": { "cluster_name": name,
        "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address(port) } }] }] } })
}

fn address(port: u16) -> Value {
    json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } })
}

fn kind(name: &str) -> String {
    format!("type.googleapis.com/envoy.extensions.filters.{name}")
}
