//! Tests the replies of the filter in every phase of a request: their headers, gRPC statuses and response code details.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use test_harness::client::{Request, Response};
use test_harness::clock::Deadline;
use test_harness::outcome;
use test_harness::trial::{self, Gate, HOST, ORIGIN, Servers, code, get, header, http, put, with_trailers};

use crate::Trap;

pub const TRAPS: &[Trap] = &[
    ("0.8 late phases of a request do not read header maps that no longer exist", late_phases),
    ("0.9 repeated headers of a response keep their values", repeated_response_headers),
    ("0.11 gRPC clients get gRPC statuses, others HTTP statuses", grpc_statuses),
    ("0.12 response code details contain the exact reason", details),
    ("0.13 replies that replace a response have all headers of a reply", replies_from_the_response_phase),
];

/// Sends bodies and trailers with requests for every kind of decision. If the filter read a header in the wrong phase, the
/// filter of that worker would crash.
fn late_phases() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::with_changes(&servers.policy(), with_trailers)?;
    let token = servers.token(&json!({}))?;
    let post = |target: &str| Request::new("POST", target, HOST).header("origin", ORIGIN);
    for (request, status) in [
        (post("/health"), 200),
        (post("/orders/1"), 401),
        (trial::bearer(post("/orders/1"), &token), 200),
        (trial::bearer(post("/orders/1?body_bytes=300000"), &token), 200),
        (trial::bearer(post("/reports/1"), &token), 403),
        (post("/open/1?status=503"), 503),
        (post("/open/1?reset=1"), 503),
        (post("/gone/1"), 503),
        (post("/nowhere"), 404),
    ] {
        let target = String::from_utf8_lossy(&request.target).into_owned();
        let mut whole = request.clone().body(vec![b'x'; 100_000]);
        let alone = gate.send_both(&request)?;
        let with_body = gate.send_both(&whole)?;
        whole.trailers.push((b"x-checksum".to_vec(), b"42".to_vec()));
        let with_trailers = gate.send_both(&whole)?;
        for response in alone.iter().chain(&with_body).chain(&with_trailers) {
            ensure!(response.status == status, "{target}: {} instead of {status}", response.status);
        }
    }
    // Envoy ends some of these requests before the filter receives headers, and one request has no path
    // (envoy-facts §2.6, §2.12).
    let mut nameless = get("/health");
    nameless.headers.clear();
    for request in [nameless, Request::new("CONNECT", "api.example.com:443", HOST), get("no-path"), get("*")] {
        let response = gate.send(&request)?;
        ensure!((400..=405).contains(&response.status), "{request:?}: {}", response.status);
    }
    // If a client disconnects early, Envoy has already deleted the request when it calls the filter's log callback. The filter
    // must not crash.
    for target in ["/open/1?delay_ms=500", "/health"] {
        let impatient = Duration::from_millis(20);
        let _left = test_harness::client::send(test_harness::ports::loopback(gate.port), &get(target), impatient);
    }
    let idle = || (gate.envoy.stat("http.portcullis.downstream_rq_active").ok()? == 0).then_some(());
    ensure!(
        Deadline::after(Duration::from_secs(5)).poll(idle).is_some(),
        "Envoy still has requests of disconnected clients"
    );
    gate.never_failed()
}

fn repeated_response_headers() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::open(&servers)?;
    let target = "/open/1?h.set-cookie=a=1&h.set-cookie=b=2&h.vary=accept&h.vary=accept-language\
                  &h.access-control-allow-origin=*&h.access-control-allow-origin=https://evil.example";
    for response in gate.send_both(&get(target))? {
        ensure!(outcome::values(&response.headers, "set-cookie") == ["a=1", "b=2"], "set-cookie");
        let origins = outcome::values(&response.headers, "access-control-allow-origin");
        ensure!(origins == [ORIGIN], "the client got the upstream's CORS headers: {origins:?}");
        let vary = outcome::values(&response.headers, "vary").join(",").to_ascii_lowercase();
        for member in ["accept", "accept-language", "origin"] {
            ensure!(vary.split(',').any(|have| have.trim() == member), "`vary: {vary}` lacks {member}");
        }
    }
    gate.never_failed()
}

fn grpc_statuses() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::open(&servers)?;
    let token = servers.token(&json!({}))?;
    let call = |target: &str| Request::new("POST", target, HOST).header("origin", ORIGIN);
    // The third value is the gRPC status (google.golang.org/grpc/codes). It must agree with the table of codes in
    // `docs/configuration.md`.
    for (request, http, grpc) in [
        (call("/orders/1"), 401, 16),
        (trial::bearer(call("/orders/1"), "no.token.atall"), 401, 16),
        (trial::bearer(call("/reports/1"), &token), 403, 7),
        (call("/nowhere"), 404, 5),
        (call("/orders/%2f"), 400, 3),
        (call("/gone/1"), 503, 14),
        (call("/open/1?reset=1"), 503, 14),
    ] {
        let target = String::from_utf8_lossy(&request.target).into_owned();
        for response in gate.send_both(&request)? {
            ensure!(response.status == http, "{target}: {} instead of {http}", response.status);
            ensure!(header(&response, "grpc-status").is_none(), "{target}: a client without gRPC got a gRPC status");
            ensure!(!code(&response).is_empty(), "{target}: a client without gRPC got no error code");
        }
        if target.contains("%2f") {
            // Envoy refuses this request before any filter runs, and does not send a gRPC reply.
            continue;
        }
        for kind in ["application/grpc", "application/grpc+proto"] {
            let response = gate.send_h2(&request.clone().header("content-type", kind).header("te", "trailers"))?;
            let status = header(&response, "grpc-status");
            ensure!(response.status == 200, "{target}: {} for a gRPC client", response.status);
            ensure!(status == Some(grpc.to_string()), "{target}: grpc-status {status:?} instead of {grpc}");
            let message = header(&response, "grpc-message").unwrap_or_default();
            ensure!(!message.is_empty() && !message.contains('{'), "{target}: grpc-message `{message}`");
            ensure!(response.body.is_empty(), "{target}: a body in a trailers-only reply");
        }
    }
    gate.never_failed()
}

fn details() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::with_changes(&servers.policy(), |config| {
        let logger = json!({ "name": "details", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": { "text_format_source": {
                "inline_string": "details of %REQ(X-REQUEST-ID)%: %RESPONSE_CODE_DETAILS%\n" } } } });
        put(http(config)?, "/access_log", json!([logger]))?;
        Ok(())
    })?;
    let expired = servers.token(&json!({ "exp": 1_000_000, "iat": 999_000 }))?;
    let token = servers.token(&json!({}))?;
    for (index, (request, details)) in [
        (get("/orders/1"), "token_missing"),
        (trial::bearer(get("/orders/1"), &expired), "token_expired"),
        (trial::bearer(get("/reports/1"), &token), "scope"),
        (get("/nowhere"), "no_route"),
        (get("/health"), "static_route"),
        (get("/gone/1"), "upstream_unavailable"),
        (get("/open/1"), "via_upstream"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("details-{index}");
        gate.send(&request.header("x-request-id", &id))?;
        let line = format!("details of {id}: ");
        let find = || gate.envoy.lines().into_iter().find_map(|have| have.strip_prefix(&line).map(str::to_owned));
        let found = Deadline::after(Duration::from_secs(5)).poll(find).unwrap_or_default();
        let one_word = !found.is_empty() && !found.contains(' ');
        ensure!(one_word && found.contains(details), "the details are `{found}`, but must contain `{details}`");
    }
    gate.never_failed()
}

/// Tests upstreams that are down, cut off their response or time out, and clusters that do not exist.
fn replies_from_the_response_phase() -> Result<()> {
    let servers = Servers::start()?;
    let mut policy = servers.policy();
    put(&mut policy, "/routes/4/timeout", json!("300ms"))?;
    let mut gate = Gate::with_changes(&policy, |config| {
        // The cluster of one upstream is missing, as after a mistake of an operator.
        let is_tap = |cluster: &&mut Value| cluster.get("name") == Some(&json!("tap"));
        for cluster in trial::clusters(config)?.iter_mut().filter(is_tap) {
            put(cluster, "/name", json!("misnamed"))?;
            put(cluster, "/load_assignment/cluster_name", json!("misnamed"))?;
        }
        Ok(())
    })?;
    for (target, status, expected) in [
        ("/gone/1", 503, "SERVICE_UNAVAILABLE"),
        ("/open/1?reset=1", 503, "SERVICE_UNAVAILABLE"),
        ("/open/1?delay_ms=3000", 504, "GATEWAY_TIMEOUT"),
        ("/sink/1", 503, "SERVICE_UNAVAILABLE"),
    ] {
        let request = get(target).header("x-request-id", "known-id");
        for response in gate.send_both(&request)? {
            ensure!(response.status == status, "{target}: {} instead of {status}", response.status);
            complete(&response, expected).map_err(|error| error.context(target))?;
        }
    }
    // The filter forwards an error of the upstream unchanged.
    let own = gate.send(&get("/open/1?status=503"))?;
    ensure!(own.status == 503 && code(&own).is_empty(), "the upstream's own 503 was replaced");
    gate.never_failed()
}

fn complete(response: &Response, expected: &str) -> Result<()> {
    ensure!(code(response) == expected, "the code is `{}`", code(response));
    ensure!(header(response, "content-type").as_deref() == Some("application/json"), "the content type is not JSON");
    for (name, value) in [
        ("access-control-allow-origin", ORIGIN),
        ("access-control-allow-credentials", "true"),
        ("x-request-id", "known-id"),
        ("cache-control", "no-store"),
    ] {
        let found = outcome::values(&response.headers, name);
        ensure!(found == [value], "`{name}` is {found:?}");
    }
    let vary = outcome::values(&response.headers, "vary").join(",").to_ascii_lowercase();
    ensure!(vary.contains("origin"), "`vary` is `{vary}`");
    let body: Value = serde_json::from_slice(&response.body)?;
    let named = body.pointer("/error/request_id");
    ensure!(named == Some(&json!("known-id")), "the request id in the body is {named:?}");
    Ok(())
}
