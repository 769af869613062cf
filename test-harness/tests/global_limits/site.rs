//! Starts a gateway, its servers and a rate limit service for the tests of shared limits.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use test_harness::client::{Request, Response};
use test_harness::clock::Deadline;
use test_harness::rate_limits::{RateLimits, limit};
use test_harness::trial::{self, Gate, HOST, Servers, bearer};

/// A gateway, its servers and a rate limit service.
pub struct Site {
    /// The issuer and the upstreams.
    pub servers: Servers,
    /// The rate limit service.
    pub limits: RateLimits,
    /// The gateway.
    pub gate: Gate,
    settings: Value,
    /// The time for which the gateway waits for the rate limit service.
    timeout: &'static str,
}

impl Site {
    /// Starts a gateway with the limit `per-client`, and merges `settings` into the limit.
    pub fn open(limits: RateLimits, settings: &Value) -> Result<Self> {
        Self::patient(limits, settings, "200ms")
    }

    /// Starts a gateway as [`Site::open`] does, but with another timeout for calls to the rate limit service.
    pub fn patient(limits: RateLimits, settings: &Value, timeout: &'static str) -> Result<Self> {
        let servers = Servers::start()?;
        let gate = Gate::with_changes(&policy(&servers, &limits, settings, timeout), |_| Ok(()))?;
        Ok(Self { servers, limits, gate, settings: settings.clone(), timeout })
    }

    /// Replaces the gateway with a new gateway, and merges `settings` into the limit instead of the previous settings.
    pub fn reopen(&mut self, settings: &Value) -> Result<()> {
        self.gate.never_failed()?;
        self.settings = settings.clone();
        self.gate = self.another_gate()?;
        Ok(())
    }

    /// Starts a second gateway with the document of the first.
    pub fn another_gate(&self) -> Result<Gate> {
        Gate::with_changes(&policy(&self.servers, &self.limits, &self.settings, self.timeout), |_| Ok(()))
    }

    /// Returns a request with a valid token of this client.
    pub fn request(&self, client: &str) -> Result<Request> {
        let token = self.servers.token(&json!({ "client_id": client }))?;
        Ok(bearer(Request::new("GET", "/orders/1", HOST), &token))
    }

    /// Sends the request of [`Site::request`].
    pub fn ask(&self, client: &str) -> Result<Response> {
        self.gate.send(&self.request(client)?)
    }

    /// Sends the request of [`Site::request`] `count` times and returns the statuses.
    pub fn statuses(&self, client: &str, count: usize) -> Result<Vec<u16>> {
        let request = self.request(client)?;
        (0..count).map(|_| Ok(self.gate.send(&request)?.status)).collect()
    }

    /// Waits until three requests of a client in sequence get this status.
    pub fn until(&self, client: &str, status: u16) -> Result<()> {
        let all = || self.statuses(client, 3).ok().filter(|got| got.iter().all(|got| *got == status));
        let reached = Deadline::after(Duration::from_secs(20)).poll(all);
        anyhow::ensure!(reached.is_some(), "client {client} did not get {status} in time");
        Ok(())
    }
}

fn policy(servers: &Servers, limits: &RateLimits, settings: &Value, timeout: &str) -> Value {
    let mut policy = servers.policy();
    let mut limit = json!({ "name": "per-client", "by": "client", "rate": "3/10s", "store": "global" });
    if let (Some(limit), Some(settings)) = (limit.as_object_mut(), settings.as_object()) {
        limit.extend(settings.clone());
    }
    if let Some(policy) = policy.as_object_mut() {
        policy.insert("limits".to_owned(), json!([limit]));
        let url = format!("http://127.0.0.1:{}", limits.port);
        policy.insert("rate_limit_service".to_owned(), json!({ "cluster": "limits", "url": url, "timeout": timeout }));
    }
    policy
}

/// Starts a rate limit service that allows each client three hits in ten seconds.
pub fn three_in_ten_seconds() -> Result<RateLimits> {
    limits(3, 10)
}

/// Starts a rate limit service with one limit for each client.
pub fn limits(hits: u64, seconds: u64) -> Result<RateLimits> {
    RateLimits::start(&json!([limit("per-client", hits, seconds, "client")]))
}

/// Starts an Envoy with its own rate limit filter instead of Portcullis.
pub fn envoy_rate_limit_filter(servers: &Servers, limits: &RateLimits) -> Result<Gate> {
    Gate::with_changes(&servers.policy(), |config| {
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
