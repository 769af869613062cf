//! Limits that several proxies share, counted by a real rate limit service in a real Redis.

use anyhow::Result;
use serde_json::{Value, json};
use test_harness::client::Request;
use test_harness::rate_limits::{RateLimits, limit};
use test_harness::trial::{self, Gate, HOST};
use test_harness::upstream::{Received, Upstream};

#[test]
fn the_service_of_these_tests_speaks_the_protocol_of_envoys_own_filter() {
    let limits = RateLimits::start(&json!([limit("per-client", 3, 10, "client")])).unwrap();
    let upstream = Upstream::start("orders", 0, Received::default()).unwrap();
    let gate = envoys_own(&upstream, &limits).unwrap();
    assert_eq!(statuses(&gate, "c1", 5).unwrap(), [200, 200, 200, 429, 429]);
    assert_eq!(statuses(&gate, "c2", 1).unwrap(), [200], "another client has a limit of its own");
    let calls = limits.calls().unwrap();
    assert_eq!(calls.len(), 6);
    let first = calls.first().unwrap();
    assert_eq!((first.about.as_str(), first.hits), ("portcullis/limit=per-client,client=c1", 1));
}

/// Envoy with its own rate limit filter in the place of ours.
fn envoys_own(upstream: &Upstream, limits: &RateLimits) -> Result<Gate> {
    let policy = json!({
        "version": "1.0",
        "upstreams": { "orders": { "url": upstream.url() } },
        "routes": [{ "path": "/orders", "auth": "none", "upstream": "orders" }],
    });
    Gate::bent(&policy, |config| {
        let filter = json!({
            "name": "envoy.filters.http.ratelimit",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit",
                "domain": "portcullis",
                "failure_mode_deny": true,
                "timeout": "5s",
                "rate_limit_service": {
                    "transport_api_version": "V3", "grpc_service": { "envoy_grpc": { "cluster_name": "limits" } },
                },
            },
        });
        *trial::below(trial::http(config)?, "/http_filters/0")? = filter;
        let actions = json!([
            { "generic_key": { "descriptor_key": "limit", "descriptor_value": "per-client" } },
            { "request_headers": { "header_name": "x-client", "descriptor_key": "client" } },
        ]);
        let route = json!([{
            "match": { "prefix": "/" },
            "route": { "cluster": "orders", "rate_limits": [{ "actions": actions }] },
        }]);
        trial::put(trial::http(config)?, "/route_config/virtual_hosts/0/routes", route)?;
        trial::clusters(config)?.push(cluster(limits));
        Ok(())
    })
}

fn cluster(limits: &RateLimits) -> Value {
    let kind = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    json!({
        "name": "limits",
        "type": "STATIC",
        "typed_extension_protocol_options": { kind: {
            "@type": format!("type.googleapis.com/{kind}"), "explicit_http_config": { "http2_protocol_options": {} },
        }},
        "load_assignment": { "cluster_name": "limits", "endpoints": [{ "lb_endpoints": [{
            "endpoint": { "address": { "socket_address": { "address": "127.0.0.1", "port_value": limits.port } } },
        }]}]},
    })
}

fn statuses(gate: &Gate, client: &str, count: usize) -> Result<Vec<u16>> {
    let request = Request::new("GET", "/orders", HOST).header("x-client", client);
    (0..count).map(|_| Ok(gate.send(&request)?.status)).collect()
}
