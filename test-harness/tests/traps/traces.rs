//! Tests that traces and access logs contain no token or API key from the query of a request.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use test_harness::client::{self, Request};
use test_harness::clock::Deadline;
use test_harness::issuer::Fault;
use test_harness::trial::{self, Gate, Servers, get, http, put};
use test_harness::{ports, tap};

use crate::Trap;

pub const TRAPS: &[Trap] = &[
    ("no trace and no access log contains a credential of an answered request", answered),
    ("no trace and no access log holds a credential of a request whose client left", left),
    ("a route with forward_token gets the whole query after its request was held", forwarded_whole),
];

/// Sends requests that are refused, answered or forwarded, some of them after a wait for keys.
fn answered() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = traced(&servers)?;
    let token = servers.token(&json!({ "jti": SECRET }))?;
    let with = |target: &str, token: &str| get(&format!("{target}?q=1&access_token={token}&api%5fkey={SECRET}"));
    let alone = |target: &str, token: &str| get(&format!("{target}?access_token={token}&q=1"));
    let preflight = Request { method: b"OPTIONS".to_vec(), ..with("/orders/1", &token) };
    servers.issuer.fail(Fault::Late);
    let requests = [
        // The first request waits for the keys.
        (alone("/orders/1", &token), 200),
        (alone("/reports/1", &token), 403),
        (alone("/orders/1", SECRET), 401),
        (with("/nowhere", &token), 404),
        (with("/orders/a;b", SECRET), 400),
        (with("/health", &token), 200),
        (with("/open/1", SECRET), 200),
        (with("/gone/1", SECRET), 503),
        (preflight.header("access-control-request-method", "GET"), 204),
        (Request { method: b"POST".to_vec(), ..with("/checked", SECRET) }.body("no JSON"), 400),
        (Request { method: b"POST".to_vec(), ..with("/checked", SECRET) }.body("[1]"), 200),
    ];
    for (request, status) in &requests {
        let request = request.clone().header("content-type", "application/json");
        for response in gate.send_both(&request)? {
            let target = String::from_utf8_lossy(&request.target).into_owned();
            ensure!(response.status == *status, "{target}: {} instead of {status}", response.status);
        }
    }
    written_without_secrets(&servers, &gate, requests.len() * 2, &token)?;
    gate.never_failed()
}

/// Sends requests whose client disconnects before the filter decides. Their traces and log lines must not contain a secret.
fn left() -> Result<()> {
    let servers = Servers::start()?;
    servers.issuer.fail(Fault::Held);
    let mut gate = traced(&servers)?;
    let token = servers.token(&json!({ "jti": SECRET }))?;
    let target = format!("/orders/1?q=1&access_token={token}");
    let upload = Request { method: b"POST".to_vec(), ..get(&format!("/checked?q=1&api_key={SECRET}")) };
    let unfinished = upload.header("content-type", "application/json").header("content-length", "1000000").body("[1");
    let to = ports::loopback(gate.port);
    for request in [get(&target), unfinished] {
        let left = client::send(to, &request, Duration::from_millis(300));
        ensure!(left.is_err(), "the request was answered");
    }
    written_without_secrets(&servers, &gate, 2, &token)?;
    servers.issuer.fail(Fault::None);
    gate.never_failed()
}

fn forwarded_whole() -> Result<()> {
    let servers = Servers::start()?;
    let mut policy = trial::patient(servers.policy())?;
    put(&mut policy, "/routes/1/forward_token", json!(true))?;
    let mut gate = Gate::with_changes(&policy, |_| Ok(()))?;
    let token = servers.token(&json!({}))?;
    let target = format!("/orders/1?access_token={token}&q=1");
    servers.issuer.fail(Fault::Late);
    // The first request waits for the keys. The later requests use the fetched keys.
    for _ in 0..4 {
        ensure!(gate.send(&get(&target))?.status == 200, "the token was refused");
        let arrived = servers.upstream.received().take();
        let path = arrived.first().map(|request| request.path.as_str());
        ensure!(path == Some(target.as_str()), "the upstream received {path:?} instead of the whole query");
    }
    gate.never_failed()
}

/// Starts a gateway that sends every span immediately and logs the path of each request.
fn traced(servers: &Servers) -> Result<Gate> {
    let mut policy = trial::patient(servers.policy())?;
    put(&mut policy, "/environment", json!("test"))?;
    put(&mut policy, "/api_keys", json!({ "from": [{ "insecure_query": "api_key" }] }))?;
    let checked = json!({ "path": "/checked", "auth": "none", "upstream": "orders", "checks": { "json": {} } });
    trial::below(&mut policy, "/routes")?.as_array_mut().context("no routes")?.push(checked);
    Gate::with_changes(&policy, |config| {
        let collector = json!({
            "@type": "type.googleapis.com/envoy.config.trace.v3.ZipkinConfig",
            "collector_cluster": "tap", "collector_endpoint": "/spans", "collector_endpoint_version": "HTTP_JSON",
        });
        let provider = json!({ "name": "envoy.tracers.zipkin", "typed_config": collector });
        put(http(config)?, "/tracing", json!({ "provider": provider, "random_sampling": { "value": 100 } }))?;
        let layer = json!({ "name": "trial", "static_layer": { "tracing.zipkin.min_flush_spans": 1 } });
        put(config, "/layered_runtime", json!({ "layers": [layer] }))?;
        let logger = json!({ "name": "paths", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": { "text_format_source": { "inline_string": "path: %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%\n" } } } });
        put(http(config)?, "/access_log", json!([logger]))
    })
}

/// Waits for a span and a log line of each request. Returns an error if one of them contains the token or [`SECRET`].
fn written_without_secrets(servers: &Servers, gate: &Gate, requests: usize, token: &str) -> Result<()> {
    let mut spans = Vec::new();
    let complete = || {
        spans.extend(servers.tap.take());
        let lines = gate.envoy.lines().iter().filter(|line| line.starts_with("path: ")).count();
        let urls = spans.iter().map(|span| count(span, b"\"http.url\"")).sum::<usize>();
        (urls >= requests && lines >= requests).then_some(())
    };
    let complete = Deadline::after(Duration::from_secs(20)).poll(complete);
    let spans: Vec<String> = spans.iter().map(|span| String::from_utf8_lossy(span).into_owned()).collect();
    complete
        .with_context(|| format!("not every request has a span and a line: {spans:#?} {:#?}", gate.envoy.lines()))?;
    for written in spans.iter().chain(&gate.envoy.lines()) {
        ensure!(
            !written.contains(SECRET) && !written.contains(token),
            "a span or a log line contains a credential: {written}"
        );
    }
    // Control: the spans contain the other parts of the query, so they would also show a credential.
    ensure!(spans.iter().any(|span| span.contains("q=1")), "no span has a query: {spans:#?}");
    Ok(())
}

fn count(text: &[u8], part: &[u8]) -> usize {
    std::iter::successors(tap::find(text, part), |at| {
        let rest = at + part.len();
        tap::find(text.get(rest..)?, part).map(|next| rest + next)
    })
    .count()
}

const SECRET: &str = "a-secret-that-nobody-may-write-down";
