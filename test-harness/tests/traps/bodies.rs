//! Tests that no byte of a request reaches an upstream before the filter has checked the whole body.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use test_harness::client::{self, Request, Response};
use test_harness::clock::Deadline;
use test_harness::issuer::Fault;
use test_harness::trial::{self, Gate, HOST, Servers, code, http, plugin, put, with_trailers};
use test_harness::{ports, tap};

use crate::Trap;

pub const TRAPS: &[Trap] = &[
    ("0.2 0.3 no part of a request reaches the upstream before its body was checked", judged_first),
    ("0.2 0.3 a body that arrives while its request waits for keys is checked too", judged_after_waiting),
    ("0.3 no part of a body is forwarded before the last part arrives", in_pieces),
    ("0.3 a body beyond the buffer limit is refused in the error format", outgrown),
    ("a stream is cut off where it has grown too large", cut_off),
    ("a length that was announced is a length that is kept", announced),
    ("a client that leaves in its body leaves nothing behind", leaves),
];
pub const WASM_TRAPS: &[Trap] = &[("0.3 a body that Envoy does not pass to the filter is refused", withheld)];

/// Sends valid and invalid bodies, with and without trailers, over each protocol.
fn judged_first() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::with_changes(&checked(&servers)?, with_trailers)?;
    let mut bad = vec![upload(b"{", false), upload(b"[[[[[]]]]]", true), upload(&[b' '; LARGEST + 1], true)];
    for request in bad.clone() {
        let trailers = vec![(b"x-checksum".to_vec(), b"42".to_vec())];
        bad.push(Request { trailers, ..request });
    }
    for request in &bad {
        for response in gate.send_both(request)? {
            ensure!([400, 413, 422].contains(&response.status), "{}: {}", response.status, code(&response));
        }
    }
    ensure!(servers.tap.bytes() == 0, "{} bytes of refused requests reached the upstream", servers.tap.bytes());
    let body = [b"[\"", vec![FILL; 150_000].as_slice(), b"\"]"].concat();
    let mut good = upload(&body, true);
    good.trailers.push((b"x-checksum".to_vec(), b"42".to_vec()));
    for response in gate.send_both(&good)? {
        ensure!(response.status == 200, "{} {}", response.status, code(&response));
    }
    for request in servers.tap.take() {
        let carried = request.iter().filter(|byte| **byte == FILL).count();
        ensure!(carried == 150_000, "{carried} of 150000 bytes arrived");
        ensure!(tap::find(&request, b"x-checksum: 42\r\n").is_some(), "the trailer did not arrive");
    }
    gate.never_failed()
}

/// Sends complete requests while the issuer holds its keys back, so that each body arrives before the caller is authorized.
fn judged_after_waiting() -> Result<()> {
    let servers = Servers::start()?;
    servers.issuer.fail(Fault::Held);
    let mut gate = Gate::with_changes(&trial::patient(checked(&servers)?)?, with_trailers)?;
    let token = servers.token(&json!({}))?;
    let to_tap = |body: &[u8], trailers: bool| {
        let mut request = trial::bearer(upload(body, true), &token);
        request.target = b"/tap/1".to_vec();
        request.trailers.extend(trailers.then(|| (b"x-user-id".to_vec(), b"forged".to_vec())));
        request
    };
    let requests = [to_tap(b"{", false), to_tap(b"{", true), to_tap(b"[7]", false), to_tap(b"[7]", true)];
    let answers = thread::scope(|scope| -> Result<Vec<Response>> {
        let gate = &gate;
        let both = requests
            .iter()
            .flat_map(|request| [scope.spawn(move || gate.send(request)), scope.spawn(move || gate.send_h2(request))]);
        let both: Vec<_> = both.collect();
        let active = || gate.envoy.stat("http.portcullis.downstream_rq_active").ok();
        let waiting = Deadline::after(Duration::from_secs(10)).poll(|| (active()? == 8).then_some(()));
        thread::sleep(Duration::from_millis(100));
        let early = servers.tap.bytes();
        servers.issuer.fail(Fault::None);
        let answers = both.into_iter().map(|sent| sent.join().map_err(|_| anyhow!("a client panicked"))?);
        let answers = answers.collect::<Result<Vec<_>>>()?;
        waiting.context("the requests do not wait")?;
        ensure!(early == 0, "{early} bytes reached the upstream before the filter decided");
        Ok(answers)
    })?;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    ensure!(statuses == [400, 400, 400, 400, 200, 200, 200, 200], "{statuses:?}");
    let arrived = servers.tap.take();
    ensure!(arrived.len() == 4, "{} requests reached the upstream instead of the four valid ones", arrived.len());
    for request in arrived {
        ensure!(tap::find(&request, b"x-user-id: user-1\r\n").is_some(), "the identity header is missing");
        ensure!(
            tap::find(&request, b"forged").is_none(),
            "a forged trailer that arrived while the request waited was forwarded"
        );
    }
    gate.never_failed()
}

/// Sends the head and most of the body, pauses, and sends the rest.
fn in_pieces() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::with_changes(&checked(&servers)?, |_| Ok(()))?;
    for (body, status) in [(b"[1,2,3]".as_slice(), "200"), (b"[1,2,3)", "400")] {
        for chunked in [false, true] {
            let bytes = upload(body, chunked).header("connection", "close").on_the_wire();
            let (first, rest) = bytes.split_at(bytes.len() - 2);
            let mut stream = TcpStream::connect(ports::loopback(gate.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            stream.write_all(first)?;
            thread::sleep(Duration::from_millis(400));
            ensure!(servers.tap.bytes() == 0, "a part of the request was forwarded before its body had ended");
            stream.write_all(rest)?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            ensure!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            let arrived = servers.tap.take().len();
            ensure!(
                arrived == usize::from(status == "200"),
                "{arrived} requests reached the upstream, but the response has the status {status}"
            );
            servers.tap.forget();
        }
    }
    gate.never_failed()
}

/// Sets `allow_on_headers_stop_iteration: false`, as a handwritten configuration may do by mistake. Without this
/// setting, the filter cannot read a body while it holds the headers back. It must then refuse requests with a body to check, and
/// log a warning.
fn withheld() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::with_changes(&checked(&servers)?, |config| {
        put(plugin(config)?, "/allow_on_headers_stop_iteration", json!(false))?;
        Ok(())
    })?;
    for request in [upload(b"[1]", false), upload(b"[1]", true)] {
        for response in gate.send_both(&request)? {
            ensure!(
                response.status == 500 && code(&response) == "INTERNAL_ERROR",
                "{} {}",
                response.status,
                code(&response)
            );
        }
    }
    let bare = gate.send(&Request::new("GET", "/sink/1", HOST))?;
    ensure!(bare.status == 200, "{} for a request without a body", bare.status);
    let logged = gate.envoy.lines().iter().any(|line| line.contains("allow_on_headers_stop_iteration"));
    ensure!(logged, "the filter logs no warning");
    let only_bare = servers.tap.take().iter().all(|request| request.starts_with(b"GET "));
    ensure!(only_bare, "a request with an unchecked body reached the upstream");
    gate.never_failed()
}

/// Sends a body that exceeds its size limit and Envoy's buffer limit in the same read. Envoy then refuses the body before it
/// passes the new bytes to the filter. The client must still get the filter's reply, and the audit record must have the
/// filter's reason.
fn outgrown() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::with_changes(&checked(&servers)?, |config| {
        let held = json!(LARGEST + 1_000);
        put(config, "/static_resources/listeners/0/per_connection_buffer_limit_bytes", held.clone())?;
        put(http(config)?, "/route_config/virtual_hosts/0/request_body_buffer_limit", held)
    })?;
    let request = upload(&vec![FILL; LARGEST + 10_000], true).header("origin", trial::ORIGIN);
    let bytes = request.header("connection", "close").on_the_wire();
    let (first, rest) = bytes.split_at(bytes.len() - 10_500);
    let mut stream = client::connect(ports::loopback(gate.port), Duration::from_secs(10))?;
    stream.write_all(first)?;
    gate.has_received(first.len())?;
    stream.write_all(rest)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    for part in ["HTTP/1.1 413 ", "x-request-id: ", "access-control-allow-origin: ", "\"code\":\"PAYLOAD_TOO_LARGE\""] {
        ensure!(answer.contains(part), "no `{part}` in {answer}");
    }
    let record = |line: &String| line.contains("\"reason\":\"body_too_large\"").then_some(());
    let written = Deadline::after(Duration::from_secs(10)).poll(|| gate.envoy.lines().iter().find_map(record));
    written.context("no audit record has the reason `body_too_large`")?;
    ensure!(servers.tap.bytes() == 0, "the refused request reached the upstream");
    gate.never_failed()
}

/// Sends bodies of gRPC calls. The filter cannot hold such a body until it ends, because a call can be a stream, but the size
/// limit still applies.
fn cut_off() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::with_changes(&checked(&servers)?, |_| Ok(()))?;
    let stream = |bytes: usize| {
        let request = Request::new("POST", "/raw/1", HOST).header("content-type", "application/grpc");
        Request { chunked: true, ..request.body(vec![FILL; bytes]) }
    };
    for response in gate.send_both(&stream(LARGEST))? {
        let status = trial::header(&response, "grpc-status");
        ensure!(response.status == 200 && status.is_none(), "{} {status:?}", response.status);
    }
    servers.tap.take();
    let before = servers.tap.bytes();
    for response in gate.send_both(&stream(4 << 20))? {
        let status = trial::header(&response, "grpc-status");
        ensure!(status.as_deref() == Some("8"), "{} {status:?}", response.status);
    }
    let passed = servers.tap.bytes() - before;
    ensure!(passed <= 2 * (LARGEST + 65_536), "{passed} bytes passed");
    ensure!(servers.tap.take().is_empty(), "a stream that was cut off reached the upstream completely");
    gate.never_failed()
}

/// Sends a body that is longer than its `content-length`. Envoy ends the stream, and the upstream gets no byte of the body beyond
/// the declared length.
fn announced() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::with_changes(&checked(&servers)?, |_| Ok(()))?;
    let request = Request::new("POST", "/raw/1", HOST).header("content-length", "10").body(vec![FILL; LARGEST + 1]);
    let answer = gate.send_h2(&request);
    ensure!(
        answer.as_ref().map_or(true, |answer| answer.status != 200),
        "the request with a wrong length succeeded: {answer:?}"
    );
    let most = servers.tap.take().iter().map(|request| request.iter().filter(|byte| **byte == FILL).count()).max();
    ensure!(most.unwrap_or(0) <= 10, "{most:?} bytes of a body with the declared length 10 arrived");
    gate.never_failed()
}

fn leaves() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::with_changes(&checked(&servers)?, |_| Ok(()))?;
    let bytes = upload(b"[1,2,3]", true).on_the_wire();
    let active = || gate.envoy.stat("http.portcullis.downstream_rq_active").ok();
    let until = |count: u64| Deadline::after(Duration::from_secs(5)).poll(|| (active()? == count).then_some(()));
    let clients: Vec<TcpStream> = (0..20)
        .map(|_| -> Result<TcpStream> {
            let mut stream = TcpStream::connect(ports::loopback(gate.port))?;
            stream.write_all(bytes.get(..bytes.len() - 5).unwrap_or_default())?;
            Ok(stream)
        })
        .collect::<Result<_>>()?;
    until(20).context("the requests are not held")?;
    drop(clients);
    until(0).context("Envoy still has requests of disconnected clients")?;
    ensure!(gate.send(&upload(b"[1]", true))?.status == 200, "the next request failed");
    ensure!(servers.tap.take().len() == 1, "requests of disconnected clients reached the upstream");
    gate.never_failed()
}

/// Returns the document of [`Servers::policy`], with checks on the routes to [`Servers::tap`].
fn checked(servers: &Servers) -> Result<Value> {
    let mut policy = servers.policy();
    let checks = json!({ "max_body_bytes": LARGEST, "json": { "max_depth": 4 } });
    for route in policy.pointer_mut("/routes").and_then(Value::as_array_mut).into_iter().flatten() {
        if route.get("upstream") == Some(&json!("tap")) {
            put(route, "/checks", checks.clone())?;
        }
    }
    let raw =
        json!({ "path": "/raw/{.+}", "auth": "none", "upstream": "tap", "checks": { "max_body_bytes": LARGEST } });
    if let Some(routes) = policy.pointer_mut("/routes").and_then(Value::as_array_mut) {
        routes.push(raw);
    }
    Ok(policy)
}

fn upload(body: &[u8], chunked: bool) -> Request {
    let request = Request::new("POST", "/sink/1", HOST).header("content-type", "application/json");
    Request { chunked, ..request.body(body) }
}

const FILL: u8 = b'~';
/// The size limit of a checked body. It exceeds the initial window of an HTTP/2 stream, so Envoy must enlarge the window while
/// it holds the request.
const LARGEST: usize = 200_000;
