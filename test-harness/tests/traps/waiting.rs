//! Tests requests that wait for keys: the filter holds all parts of them back, and fetches the keys once for all of them.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use test_harness::client::{self, Request, Response};
use test_harness::clock::Deadline;
use test_harness::issuer::{Fault, KEY_SET_PATH};
use test_harness::token::Tamper;
use test_harness::trial::{self, Gate, HOST, Servers, below, code, put, with_trailers};
use test_harness::{clock, ports, tap};

use crate::Trap;

pub const TRAPS: &[Trap] = &[
    ("0.2 0.3 body and trailers wait with headers that are held back", || held(true)),
    ("0.2 0.3 body and trailers wait with a request that is held back", || held(false)),
    ("0.2 trailers cannot contain forged identity headers", forged_trailers),
    ("0.3 a body that is too large to be held is refused in the error format", too_large_to_wait),
    ("0.3 uploads to a route without checks wait, also if another route holds bodies", unchecked_uploads_wait),
    ("0.6 no failure of the key endpoint leaves a request hanging", no_failure_hangs),
    ("0.6 a missing cluster for keys causes an immediate refusal", missing_cluster),
    ("0.6 a client that disconnects while it waits leaves no state", leaves_while_waiting),
    ("two workers, many requests, one fetch of the keys", one_fetch),
];

/// Sends a valid and an invalid request over each protocol. All four wait for keys; then only the two valid requests pass.
fn held(headers_alone: bool) -> Result<()> {
    let servers = Servers::start()?;
    servers.issuer.fail(Fault::Held);
    let mut policy = trial::patient(servers.policy())?;
    if headers_alone {
        // Envoy passes the bodies of waiting requests to the filter only if the route has checks.
        put(&mut policy, "/routes/3/checks", json!({ "max_body_bytes": 1 << 20 }))?;
    }
    let mut gate = Gate::with_changes(&policy, with_trailers)?;
    let good = upload(&servers.token(&json!({}))?);
    let mut forged = servers.spec(&json!({}));
    forged.tamper = Some(Tamper::Signature);
    let bad = upload(&forged.mint(clock::unix_seconds(), &serde_json::Map::new())?);
    let [one, two, three, four] = thread::scope(|scope| -> Result<[Response; 4]> {
        let gate = &gate;
        let sent = [
            scope.spawn(|| gate.send(&good)),
            scope.spawn(|| gate.send_h2(&good)),
            scope.spawn(|| gate.send(&bad)),
            scope.spawn(|| gate.send_h2(&bad)),
        ];
        // All bytes have arrived, so every callback that could forward them too early has run.
        let arrived = gate.has_received(4 * BODY);
        let early = servers.tap.bytes();
        servers.issuer.fail(Fault::None);
        let answers = sent.map(|thread| thread.join().map_err(|_| anyhow!("a client panicked"))?);
        arrived?;
        ensure!(early == 0, "{early} bytes reached the upstream before the filter decided");
        let [one, two, three, four] = answers;
        Ok([one?, two?, three?, four?])
    })?;
    ensure!((one.status, two.status) == (200, 200), "allowed: {} and {} over HTTP/2", one.status, two.status);
    ensure!((three.status, four.status) == (401, 401), "refused: {} and {} over HTTP/2", three.status, four.status);
    let arrived = servers.tap.take();
    ensure!(arrived.len() == 2, "{} requests reached the upstream instead of the two allowed ones", arrived.len());
    for request in &arrived {
        let carried = request.iter().filter(|byte| **byte == FILL).count();
        ensure!(carried >= BODY, "{carried} of {BODY} bytes of the body arrived");
        ensure!(tap::find(request, b"x-checksum: 42\r\n").is_some(), "the trailers did not arrive");
        ensure!(tap::find(request, b"x-user-id: user-1\r\n").is_some(), "the request has no identity header");
    }
    gate.never_failed()
}

fn forged_trailers() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::with_changes(&servers.policy(), with_trailers)?;
    let mut request = upload(&servers.token(&json!({}))?);
    for name in ["x-org-id", "x_org_id", "X-User-Id", "x-portcullis-upstream"] {
        request.trailers.push((name.into(), b"forged".to_vec()));
    }
    // The generated listener refuses underscores, so they are removed to test the rest.
    let refused = gate.send(&request)?;
    ensure!(refused.status == 400, "{}: an underscore in a trailer is not refused", refused.status);
    request.trailers.retain(|(name, _)| !name.contains(&b'_'));
    for response in gate.send_both(&request)? {
        ensure!(response.status == 200, "{}", response.status);
    }
    let arrived = servers.tap.take();
    ensure!(arrived.len() == 2, "{} requests arrived", arrived.len());
    for request in &arrived {
        ensure!(tap::find(request, b"forged").is_none(), "forged trailers arrived");
        ensure!(tap::find(request, b"x-checksum: 42\r\n").is_some(), "the other trailer did not arrive");
    }
    gate.never_failed()
}

/// Sends a body above Envoy's buffer limit while the request waits. Envoy refuses the body before the filter decides.
fn too_large_to_wait() -> Result<()> {
    let servers = Servers::start()?;
    servers.issuer.fail(Fault::Held);
    let mut policy = trial::patient(servers.policy())?;
    put(&mut policy, "/routes/3/checks", json!({ "max_body_bytes": 2 << 20 }))?;
    let mut gate = Gate::with_changes(&policy, |_| Ok(()))?;
    let request = Request::new("POST", "/tap/1", HOST).header("origin", trial::ORIGIN);
    let request = trial::bearer(request, &servers.token(&json!({}))?).body(vec![FILL; 3 << 20]);
    let request = Request { chunked: true, ..request };
    let response = gate.send(&request)?;
    ensure!(response.status == 413 && code(&response) == "PAYLOAD_TOO_LARGE", "{response:?}");
    let allowed = trial::header(&response, "access-control-allow-origin");
    ensure!(allowed.as_deref() == Some(trial::ORIGIN), "the refusal of a waiting request has no CORS headers");
    servers.issuer.fail(Fault::None);
    let after = gate.send(&trial::bearer(trial::get("/orders/1"), &servers.token(&json!({}))?))?;
    ensure!(after.status == 200, "{} after the keys came", after.status);
    ensure!(servers.tap.bytes() == 0, "the refused request reached the upstream");
    gate.never_failed()
}

/// Sends large and small uploads that wait for keys, to a route without checks and to a route with checks. No upload must be
/// refused, because Envoy keeps large bodies without checks in the connection's buffers.
fn unchecked_uploads_wait() -> Result<()> {
    const LARGE: usize = 3 << 20;
    const SMALL: usize = 40;
    let servers = Servers::start()?;
    servers.issuer.fail(Fault::Held);
    let mut policy = trial::patient(servers.policy())?;
    put(&mut policy, "/bounds", json!({ "held_body_bytes": 8 << 20 }))?;
    put(&mut policy, "/routes/2/checks", json!({ "json": {} }))?;
    let mut gate = Gate::with_changes(&policy, |_| Ok(()))?;
    let token = servers.token(&json!({ "scope": "read:reports" }))?;
    let post = |target: &str, bytes: usize| {
        let request = trial::bearer(Request::new("POST", target, HOST), &token);
        Request { chunked: true, ..request.header("content-type", "application/json").body(vec![b'1'; bytes]) }
    };
    let (large, checked) = (post("/orders/1", LARGE), post("/reports/1", 3));
    let announced = Request { chunked: false, ..large.clone() };
    thread::scope(|scope| -> Result<()> {
        let gate = &gate;
        let mut sent = vec![
            scope.spawn(|| gate.send(&large)),
            scope.spawn(|| gate.send(&announced)),
            scope.spawn(|| gate.send_h2(&large)),
        ];
        let small = Request { chunked: false, ..post("/orders/1", 3) };
        sent.extend((0..SMALL).map(|_| {
            scope.spawn({
                let small = small.clone();
                move || gate.send(&small)
            })
        }));
        sent.extend((0..SMALL).map(|_| scope.spawn(|| gate.send(&checked))));
        thread::sleep(Duration::from_millis(500));
        servers.issuer.fail(Fault::None);
        for answer in sent {
            let answer = answer.join().map_err(|_| anyhow!("a client panicked"))??;
            ensure!(answer.status == 200, "{} {}", answer.status, code(&answer));
        }
        Ok(())
    })?;
    gate.never_failed()
}

/// Makes the key endpoint fail in each possible way while a request waits for it. Each request must get 503.
fn no_failure_hangs() -> Result<()> {
    let servers = Servers::start()?;
    let mut policy = servers.policy();
    let keys = json!({ "wait": "3s", "timeout": "2s", "cool_down": "1s" });
    extend(below(&mut policy, "/issuers/0/jwks")?, &keys);
    // The filter may fetch keys before the first request. That fetch must not return keys.
    servers.issuer.fail(Fault::Held);
    let mut gate = Gate::with_changes(&policy, |_| Ok(()))?;
    let token = servers.token(&json!({}))?;
    for fault in [Fault::Down, Fault::Slow, Fault::Error, Fault::Garbage, Fault::Huge, Fault::Truncated, Fault::Empty] {
        servers.issuer.fail(Fault::Held);
        let asked = servers.issuer.requests(KEY_SET_PATH);
        let answer = thread::scope(|scope| {
            let waiting = scope.spawn(|| gate.send(&trial::bearer(trial::get("/orders/1"), &token)));
            // The endpoint must fail during the fetch of this request, not during an earlier fetch.
            let fetching = Deadline::after(Duration::from_secs(5));
            fetching.poll(|| (servers.issuer.requests(KEY_SET_PATH) > asked).then_some(()));
            servers.issuer.fail(fault);
            waiting.join().map_err(|_| anyhow!("the client panicked"))?
        });
        let answer = answer.with_context(|| format!("with a key endpoint that is {fault:?}"))?;
        let right = answer.status == 503 && code(&answer) == "AUTH_UNAVAILABLE";
        ensure!(right, "{fault:?}: {} {}", answer.status, code(&answer));
    }
    servers.issuer.fail(Fault::None);
    let served = Deadline::after(Duration::from_secs(10)).poll(|| {
        let answer = gate.send(&trial::bearer(trial::get("/orders/1"), &token)).ok()?;
        (answer.status == 200).then_some(())
    });
    served.context("the gateway did not recover after its key endpoint")?;
    ensure!(gate.envoy.stat("http.portcullis.downstream_rq_active")? == 0, "a request is still waiting");
    gate.never_failed()
}

/// Closes the connection while the request waits, so that the keys arrive after the stream has ended (compare CVE-2026-48090).
fn leaves_while_waiting() -> Result<()> {
    let servers = Servers::start()?;
    servers.issuer.fail(Fault::Held);
    let mut gate = Gate::with_changes(&trial::patient(servers.policy())?, |_| Ok(()))?;
    let request = trial::bearer(trial::get("/tap/1"), &servers.token(&json!({}))?);
    let active = || gate.envoy.stat("http.portcullis.downstream_rq_active").ok();
    let until = |count: u64| Deadline::after(Duration::from_secs(5)).poll(|| (active()? == count).then_some(()));
    let leave = || client::send(ports::loopback(gate.port), &request, Duration::from_secs(1));
    thread::scope(|scope| -> Result<()> {
        let leaving: Vec<_> = (0..20).map(|_| scope.spawn(leave)).collect();
        until(20).context("the clients do not wait")?;
        for client in leaving {
            ensure!(client.join().is_ok_and(|answer| answer.is_err()), "a client got a response without keys");
        }
        Ok(())
    })?;
    until(0).context("Envoy still has requests of disconnected clients")?;
    servers.issuer.fail(Fault::None);
    let stays = gate.send(&request)?;
    ensure!(stays.status == 200, "{} for the client that stayed", stays.status);
    let arrived = servers.tap.take().len();
    ensure!(arrived == 1, "{arrived} requests reached the upstream instead of one");
    gate.never_failed()
}

fn missing_cluster() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::with_changes(&servers.policy(), |config| {
        trial::clusters(config)?.retain(|cluster| cluster.get("name") != Some(&json!("issuer")));
        Ok(())
    })?;
    let answer = gate.send(&trial::bearer(trial::get("/orders/1"), &servers.token(&json!({}))?))?;
    ensure!(answer.status == 503 && code(&answer) == "AUTH_UNAVAILABLE", "{} {}", answer.status, code(&answer));
    gate.never_failed()
}

fn one_fetch() -> Result<()> {
    let servers = Servers::start()?;
    servers.issuer.fail(Fault::Held);
    let mut gate = Gate::with_changes(&trial::patient(servers.policy())?, |_| Ok(()))?;
    let token = servers.token(&json!({}))?;
    let wave = |header: &Value, count: usize| -> Result<Vec<u16>> {
        let mut spec = servers.spec(&json!({}));
        let requests = (0..count).map(|index| -> Result<Request> {
            spec.header = header.as_object().cloned().unwrap_or_default();
            let kid = spec.header.get("kid").and_then(Value::as_str).map(|kid| format!("{kid}-{index}"));
            spec.header.extend(kid.map(|kid| ("kid".to_owned(), kid.into())));
            Ok(trial::bearer(trial::get("/orders/1"), &spec.mint(clock::unix_seconds(), &serde_json::Map::new())?))
        });
        let requests = requests.collect::<Result<Vec<_>>>()?;
        thread::scope(|scope| {
            let threads: Vec<_> = requests.iter().map(|request| scope.spawn(|| gate.send(request))).collect();
            let waiting = Deadline::after(Duration::from_secs(5));
            let held = u64::try_from(count)?;
            waiting.poll(|| (gate.envoy.stat("http.portcullis.downstream_rq_active").ok()? >= held).then_some(()));
            servers.issuer.fail(Fault::None);
            threads.into_iter().map(|t| Ok(t.join().map_err(|_| anyhow!("a client panicked"))??.status)).collect()
        })
    };
    let first = wave(&json!({}), 40)?;
    ensure!(first.iter().all(|status| *status == 200), "{first:?}");
    let fetched = servers.issuer.requests(KEY_SET_PATH);
    ensure!(fetched == 1, "{fetched} fetches for the first keys of two workers and 40 requests");
    // Unknown key ids cause at most one fetch per cool-down. RFC 7517 does not say how to handle an unknown key id.
    let forged = wave(&json!({ "kid": "forged" }), 40)?;
    ensure!(forged.iter().all(|status| *status == 401), "{forged:?}");
    let fetched = servers.issuer.requests(KEY_SET_PATH);
    ensure!(fetched <= 2, "{fetched} fetches after 40 forged key ids");
    ensure!(gate.send(&trial::bearer(trial::get("/orders/1"), &token))?.status == 200, "a valid token was refused");
    gate.never_failed()
}

fn extend(object: &mut Value, members: &Value) {
    if let (Some(object), Some(members)) = (object.as_object_mut(), members.as_object()) {
        object.extend(members.clone());
    }
}

/// Returns an upload with trailers, so its body is chunked over HTTP/1.
fn upload(token: &str) -> Request {
    let mut request = trial::bearer(Request::new("POST", "/tap/1", HOST), token).body(vec![FILL; BODY]);
    request.trailers.push((b"x-checksum".to_vec(), b"42".to_vec()));
    request
}

const FILL: u8 = b'~';
/// The size of an upload. It fits the initial window of an HTTP/2 stream, so that all bytes can arrive while the request waits.
const BODY: usize = 40_000;
