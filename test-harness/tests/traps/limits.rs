//! Tests the limits for header lists and shared data, and the settings of the generated listener.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Map, Value, json};
use test_harness::client::Request;
use test_harness::clock::{self, Deadline};
use test_harness::issuer::KEY_SET_PATH;
use test_harness::tap;
use test_harness::trial::{self, Gate, HOST, Servers, below, get, http, put, with_trailers};
use test_harness::{envoy, outcome};

use crate::Trap;

pub const TRAPS: &[Trap] = &[
    ("0.14 a request with too many headers for a host call is refused", too_many_pairs),
    ("0.14 a request with too many header bytes for a host call is refused", too_many_bytes),
    ("0.14 more trailers than a host call can return are not forwarded unchecked", too_many_trailers),
    ("0.14 the generated listener refuses such requests before the filter", generated_limits),
    ("0.14 no reply has more headers than a host call accepts", reply_headers),
    ("0.16 the generated listener has the settings of an edge proxy", edge_settings),
    ("0.16 the generated listener forwards the path that was matched", edge_paths),
    ("0.16 a client cannot control the proxy with headers", steering),
];
pub const WASM_TRAPS: &[Trap] = &[("0.15 names of shared data come only from the document", shared_names)];

fn too_many_pairs() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::with_changes(&servers.policy(), raise)?;
    for count in [500, 1_000, 1_015, 1_020, 1_024, 1_025, 1_030, 1_100, 5_000] {
        let filled = |request: Request| (0..count).fold(request, |request, i| request.header(&format!("x-{i}"), "1"));
        refused_or_read(&gate, &servers, &filled, &format!("{count} headers"))?;
    }
    gate.never_failed()
}

fn too_many_bytes() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::with_changes(&servers.policy(), raise)?;
    for kilobytes in [100, 1_000, 1_023, 1_024, 1_100, 3_000] {
        // The bytes are split over several headers, because Envoy also limits the size of one header.
        let piece = "a".repeat(16 * 1_024);
        let lines = kilobytes / 16;
        let filled =
            |request: Request| (0..lines).fold(request, |request, i| request.header(&format!("x-{i}"), &piece));
        refused_or_read(&gate, &servers, &filled, &format!("{kilobytes} KiB of headers"))?;
    }
    gate.never_failed()
}

/// Sends forged identity headers before and after many other headers. The filter must refuse the request or remove both.
fn refused_or_read(gate: &Gate, servers: &Servers, filled: &dyn Fn(Request) -> Request, what: &str) -> Result<()> {
    let request = filled(get("/sink/1").header("x-org-id", "forged")).header("x-user-id", "forged");
    let response = gate.send(&request)?;
    let forwarded = servers.tap.take();
    let forged = forwarded.iter().any(|request| tap::find(request, b"forged").is_some());
    ensure!(!forged, "{what}: forwarded with a forged header");
    let expected = if forwarded.is_empty() { 400 } else { 200 };
    ensure!(response.status == expected, "{what}: {} with {} forwarded", response.status, forwarded.len());
    let protected = gate.send(&filled(get("/tap/1")))?;
    let right = [400, 401].contains(&protected.status) && servers.tap.take().is_empty();
    ensure!(right, "{what}: {} without a token", protected.status);
    Ok(())
}

fn too_many_trailers() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::with_changes(&servers.policy(), |config| {
        raise(config)?;
        with_trailers(config)
    })?;
    for count in [10, 1_000, 1_023, 1_024, 1_025, 2_000] {
        let token = servers.token(&json!({}))?;
        let mut request = trial::bearer(Request::new("POST", "/tap/1", HOST), &token).body("body");
        request.trailers.push((b"x-org-id".to_vec(), b"forged".to_vec()));
        request.trailers.extend((0..count).map(|i| (format!("x-{i}").into_bytes(), b"1".to_vec())));
        request.trailers.push((b"x-user-id".to_vec(), b"forged".to_vec()));
        // The filter must refuse the request or remove the trailer. It may also close the connection, so the test ignores errors.
        let _answer = gate.send(&request);
        let arrived = Deadline::after(Duration::from_millis(200)).poll(|| servers.tap.take().pop());
        let forged = arrived.is_some_and(|request| tap::find(&request, b"forged").is_some());
        ensure!(!forged, "forged trailers arrived among {count} others");
    }
    gate.never_failed()
}

fn generated_limits() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::open(&servers)?;
    let many = (0..200).fold(get("/open/1"), |request, i| request.header(&format!("x-{i}"), "1"));
    let large = get("/open/1").header("x-large", &"a".repeat(100 * 1_024));
    for (request, what) in [(many, "200 headers"), (large, "100 KiB of headers")] {
        let response = gate.send(&request)?;
        ensure!(response.status == 431, "{what}: {}", response.status);
        ensure!(trial::code(&response) == "HEADERS_TOO_LARGE", "{what}: the reply does not have the error format");
    }
    ensure!(servers.upstream.received().take().is_empty(), "a refused request reached the upstream");
    gate.never_failed()
}

fn reply_headers() -> Result<()> {
    let servers = Servers::start()?;
    let with = |count: usize, length: usize| -> Result<Value> {
        let mut policy = servers.policy();
        let value = Value::from("a".repeat(length));
        let headers: Map<String, Value> = (0..count).map(|i| (format!("x-{i}"), value.clone())).collect();
        put(&mut policy, "/routes/0/response/headers", headers.into())?;
        Ok(policy)
    };
    for (count, length) in [(101, 1), (1_100, 1), (1, 1 << 20), (100, 20_000)] {
        let problem = trial::generate(&with(count, length)?, 1, 2);
        ensure!(
            problem.is_err(),
            "the generator accepts {count} headers of {length} bytes, but Envoy would drop them all"
        );
    }
    let mut gate = Gate::with_changes(&with(100, 600)?, |_| Ok(()))?;
    for response in gate.send_both(&get("/health"))? {
        let arrived = response.headers.iter().filter(|(_, value)| value.len() == 600).count();
        ensure!(arrived == 100, "{arrived} of 100 headers arrived");
    }
    gate.never_failed()
}

/// Checks that clients cannot choose the names of entries in the shared data. Envoy's trace log has the size of the name in
/// each host call, and only two sizes may appear.
fn shared_names() -> Result<()> {
    let servers = Servers::start()?;
    let mut policy = servers.policy();
    put(&mut policy, "/issuers/0/jwks/cool_down", json!("1s"))?;
    let mut gate = Gate::with_changes(&policy, |_| Ok(()))?;
    let admin = Request::new("POST", "/logging?wasm=trace", "admin");
    test_harness::client::send(test_harness::ports::loopback(gate.envoy.admin_port()), &admin, Duration::from_secs(5))?;
    for index in 0..150 {
        let claims = json!({ "sub": format!("user-{index}"), "org_id": "x".repeat(index), "jti": index });
        let mut spec = servers.spec(&claims);
        if index % 3 == 0 {
            spec.header = json!({ "kid": "k".repeat(index + 1) }).as_object().cloned().unwrap_or_default();
        }
        let token = spec.mint(clock::unix_seconds(), &Map::new())?;
        let path = format!("/orders/{}?q={index}", "p".repeat(index + 1));
        let request = trial::bearer(get(&path), &token).header("x-request-id", &format!("id-{index}"));
        gate.send(&request.header("accept", &"a".repeat(index)))?;
    }
    let key = format!("portcullis/keys/{}{KEY_SET_PATH}@issuer/", servers.issuer.url().replace("http://", ""));
    let allowed: BTreeSet<usize> = ["state", "document"].iter().map(|part| key.len() + part.len()).collect();
    let lines = gate.envoy.lines();
    let calls: Vec<usize> = lines.iter().filter_map(|line| name_size(line)).collect();
    ensure!(!calls.is_empty(), "the trace log has no call that sets shared data, although keys were fetched");
    let others: BTreeSet<_> = calls.iter().filter(|size| !allowed.contains(size)).collect();
    ensure!(
        others.is_empty(),
        "the names in the shared data have the lengths {others:?}, but only {allowed:?} are expected"
    );
    gate.never_failed()
}

/// Returns the second argument of `[vm->host] env.proxy_set_shared_data(name, size, …)`.
fn name_size(line: &str) -> Option<usize> {
    let (_, arguments) = line.split_once("[vm->host]")?.1.split_once("proxy_set_shared_data(")?;
    arguments.split(',').nth(1)?.trim().parse().ok()
}

fn edge_settings() -> Result<()> {
    let servers = Servers::start()?;
    let mut config = trial::generate(&servers.policy(), 1, 2)?;
    let http = http(&mut config)?;
    for (place, expected) in [
        ("/use_remote_address", json!(true)),
        ("/xff_num_trusted_hops", json!(0)),
        ("/normalize_path", json!(true)),
        ("/merge_slashes", json!(true)),
        ("/path_with_escaped_slashes_action", json!("REJECT_REQUEST")),
        ("/common_http_protocol_options/headers_with_underscores_action", json!("REJECT_REQUEST")),
        ("/http2_protocol_options/max_concurrent_streams", json!(100)),
    ] {
        let found = below(http, place)?;
        ensure!(*found == expected, "`{place}` is {found}, not {expected}");
    }
    for place in ["/request_headers_timeout", "/request_timeout", "/stream_idle_timeout", "/internal_address_config"] {
        ensure!(!below(http, place)?.is_null(), "`{place}` is not set");
    }
    let limit = below(&mut config, "/static_resources/listeners/0/per_connection_buffer_limit_bytes")?;
    ensure!(limit.as_u64().is_some_and(|bytes| bytes <= 1 << 15), "buffers of {limit} bytes");
    let admin = below(&mut config, "/admin/address/socket_address/address")?;
    ensure!(*admin == json!("127.0.0.1"), "the admin interface listens on {admin}");
    Ok(())
}

fn edge_paths() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::open(&servers)?;
    for (sent, status, arrives) in [
        ("/p/../open//a%2fb", 400, None),
        ("/p/../open//a%5cb", 400, None),
        ("/open/a\\b", 200, Some("/open/a/b")),
        // From version 1.39, Envoy also resolves a dot segment that has parameters.
        ("/open/..;/orders/1", if envoy::version()? < (1, 39) { 400 } else { 401 }, None),
        ("/open/a;b/c", 400, None),
        ("/open/%2e%2e/orders/1", 401, None),
        ("/open/../orders/1", 401, None),
        ("//orders/1", 401, None),
        ("/open/../health", 200, None),
        ("/p/../open//a", 200, Some("/open/a")),
        ("/open/./a?x=/../b", 200, Some("/open/a?x=/../b")),
        ("/open/%61", 200, Some("/open/a")),
        ("/OPEN/a", 404, None),
    ] {
        let response = gate.send(&get(sent))?;
        let arrived = servers.upstream.received().take().pop().map(|forwarded| forwarded.path);
        ensure!(response.status == status, "{sent}: {} instead of {status}", response.status);
        ensure!(arrived.as_deref() == arrives, "{sent}: {arrived:?} arrived instead of {arrives:?}");
    }
    gate.never_failed()
}

fn steering() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::open(&servers)?;
    let request = get("/open/1?delay_ms=300")
        .header("x-forwarded-for", "203.0.113.9")
        .header("x-envoy-upstream-rq-timeout-ms", "1")
        .header("x-envoy-original-path", "/orders/1")
        .header("x-portcullis-upstream", "gone");
    for response in gate.send_both(&request)? {
        ensure!(
            response.status == 200,
            "{}: a header of the client changed the behaviour of the proxy",
            response.status
        );
    }
    for forwarded in servers.upstream.received().take() {
        let hops = outcome::values(&forwarded.headers, "x-forwarded-for").join(",");
        ensure!(
            !hops.is_empty() && !hops.contains("203.0.113.9"),
            "the client's own address header reached the upstream: {hops}"
        );
        for name in ["x-envoy-original-path", "x-portcullis-upstream"] {
            ensure!(outcome::values(&forwarded.headers, name).is_empty(), "the client's {name} arrived");
        }
    }
    let underscore = gate.send(&get("/open/1").header("x_org_id", "forged"))?;
    ensure!(underscore.status == 400, "{} with an underscore in a name", underscore.status);
    gate.never_failed()
}

/// Raises Envoy's limits above the limits of a host call, as an operator might do.
fn raise(config: &mut Value) -> Result<()> {
    let http = http(config)?;
    put(http, "/max_request_headers_kb", json!(8_192))?;
    put(http, "/common_http_protocol_options/max_headers_count", json!(20_000))?;
    Ok(())
}
