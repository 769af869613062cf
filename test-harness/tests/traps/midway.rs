//! Tests requests that the filter resumes or Envoy aborts in the middle of the body.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use test_harness::client::{self, Request};
use test_harness::clock::Deadline;
use test_harness::issuer::Fault;
use test_harness::trial::{self, Gate, HOST, ORIGIN, Servers, below, http, put};
use test_harness::{ports, tap};

use crate::Trap;

pub const TRAPS: &[Trap] = &[
    ("0.3 body bytes that arrived while a request waited are counted", counted),
    ("0.3 body bytes that arrived while a request waited are forwarded once, also with retries", once),
    ("0.11 gRPC clients and the record get the reason for a failure in Envoy", given_up),
];

/// Checks that limits and inspection count the bytes that arrived while the request waited for keys.
fn counted() -> Result<()> {
    let servers = Servers::start()?;
    servers.issuer.fail(Fault::Held);
    let mut policy = trial::patient(servers.policy())?;
    put(&mut policy, "/routes/1/checks", json!({ "mode": "log", "json": { "max_depth": 4 } }))?;
    put(&mut policy, "/routes/3/checks", json!({ "max_body_bytes": MOST }))?;
    let mut gate = Gate::with_changes(&policy, |_| Ok(()))?;
    let token = servers.token(&json!({}))?;
    let upload = |target: &str, kind: &str, body: Vec<u8>| {
        let request = trial::bearer(Request::new("POST", target, HOST), &token).header("content-type", kind);
        Request { chunked: true, ..request.body(body) }
    };
    let mut large = SplitRequest::send(&gate, &upload("/tap/1", "application/grpc", vec![FILL; MOST + 10_000]), MOST)?;
    let mut fits = SplitRequest::send(&gate, &upload("/tap/1", "application/grpc", vec![FILL; MOST]), MOST / 2)?;
    let mut whole = SplitRequest::send(&gate, &upload("/orders/1", "application/json", b"{".to_vec()), usize::MAX)?;
    release(&gate, &servers, large.sent + fits.sent + whole.sent, &token)?;
    let answer = whole.finish()?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let noted = |line: &String| line.contains("\"would_refuse\":\"body_not_json\"").then_some(());
    let noted = Deadline::after(Duration::from_secs(5)).poll(|| gate.envoy.lines().iter().find_map(noted));
    noted.context("no audit record shows the check of a body that arrived while its request waited")?;
    let answer = large.finish()?;
    ensure!(answer.contains("\r\ngrpc-status: 8\r\n"), "a stream that exceeded the limit was not refused: {answer}");
    let answer = fits.finish()?;
    ensure!(answer.starts_with("HTTP/1.1 200 ") && !answer.contains("grpc-status"), "{answer}");
    ensure!(servers.tap.take().len() == 1, "expected exactly one complete stream at the upstream");
    gate.never_failed()
}

/// Checks that the upstream receives the bytes that arrived while the request waited, and receives them only once. The route has
/// a retry policy, so Envoy also buffers these bytes for a retry.
fn once() -> Result<()> {
    let servers = Servers::start()?;
    servers.issuer.fail(Fault::Held);
    let mut policy = trial::patient(servers.policy())?;
    put(&mut policy, "/routes/3/checks", json!({ "max_body_bytes": 1 << 20 }))?;
    let mut gate = Gate::with_changes(&policy, |config| {
        let hosts = below(http(config)?, "/route_config/virtual_hosts")?.as_array_mut();
        for host in hosts.into_iter().flatten() {
            put(host, "/retry_policy", json!({ "retry_on": "5xx,reset", "num_retries": 2 }))?;
        }
        Ok(())
    })?;
    let token = servers.token(&json!({}))?;
    let request = trial::bearer(Request::new("POST", "/tap/1", HOST), &token);
    let mut halves = SplitRequest::send(&gate, &request.body(vec![FILL; MOST]), MOST / 2)?;
    release(&gate, &servers, halves.sent, &token)?;
    let answer = halves.finish()?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let carried: Vec<usize> =
        servers.tap.take().iter().map(|request| request.iter().filter(|byte| **byte == FILL).count()).collect();
    ensure!(carried == [MOST], "{carried:?} bytes arrived of {MOST}");
    gate.never_failed()
}

/// Tests requests that Envoy aborts because it waits too long for keys, for the rest of the body or for the response, or because
/// the upstream is down. The filter must replace Envoy's error. The test runs with the audit record in the log and in the access
/// log.
fn given_up() -> Result<()> {
    thread::scope(|scope| {
        let both = ["log", "access_log"].map(|audit| scope.spawn(move || given_up_in(audit).context(audit)));
        both.into_iter().try_for_each(|trial| trial.join().map_err(|_| anyhow!("a trial panicked"))?)
    })
}

fn given_up_in(audit: &str) -> Result<()> {
    let servers = Servers::start()?;
    servers.issuer.fail(Fault::Held);
    let mut policy = trial::patient(servers.policy())?;
    put(&mut policy, "/audit", json!({ "to": audit }))?;
    put(&mut policy, "/routes/5/checks", json!({ "json": {} }))?;
    let mut gate = Gate::with_changes(&policy, |config| put(http(config)?, "/stream_idle_timeout", json!("1s")))?;
    let token = servers.token(&json!({}))?;
    let stalled = [
        ("/tap/1", "4", "deny", "stream_idle_timeout"),
        ("/sink/1", "4", "deny", "stream_idle_timeout"),
        ("/open/1?delay_ms=3000", "4", "allow", "stream_idle_timeout"),
        ("/gone/1", "14", "allow", "upstream_reset_before_response_started"),
    ];
    let begun = stalled.map(|(target, ..)| {
        let id = format!("given-up-{}", target.trim_matches('/').split('/').next().unwrap_or_default());
        let request = trial::bearer(Request::new("POST", target, HOST), &token).header("origin", ORIGIN);
        let request = request.header("content-type", "application/grpc+json").header("x-request-id", &id);
        SplitRequest::send(&gate, &Request { chunked: true, ..request.body(b"[1,2,3]") }, 4).map(|halves| (id, halves))
    });
    for ((target, status, decision, failure), begun) in stalled.into_iter().zip(begun) {
        let (id, mut halves) = begun?;
        let answer = halves.answer()?.to_ascii_lowercase();
        for part in [
            "http/1.1 200 ",
            &format!("\r\ngrpc-status: {status}\r\n"),
            &format!("\r\nx-request-id: {id}\r\n"),
            "\r\naccess-control-allow-origin: ",
            "\r\ncache-control: no-store\r\n",
        ] {
            ensure!(answer.contains(part), "{target}: no `{part}` in {answer}");
        }
        ensure!(
            !answer.contains("stream timeout") && !answer.contains("upstream"),
            "{target}: the response contains Envoy's error text: {answer}"
        );
        let records = || gate.envoy.lines().into_iter().filter(|line| line.contains(&id)).collect::<Vec<_>>();
        Deadline::after(Duration::from_secs(5)).poll(|| (!records().is_empty()).then_some(()));
        let records = records();
        let [record] = records.as_slice() else {
            bail!("{target}: expected one record, found {}: {records:?}", records.len())
        };
        let read: Value = serde_json::from_str(record.get(record.find('{').unwrap_or(0)..).unwrap_or_default())?;
        let field = |name| read.get("audit").unwrap_or(&read).get(name).and_then(Value::as_str).unwrap_or_default();
        ensure!(field("decision") == decision && field("failure").starts_with(failure), "{target}: {record}");
    }
    let unnamed = gate.envoy.lines().into_iter().find(|line| line.contains("\"audit\":-"));
    ensure!(unnamed.is_none(), "an access log line has no audit record: {unnamed:?}");
    gate.never_failed()
}

/// A request that the client sends in two parts.
struct SplitRequest {
    stream: TcpStream,
    rest: Vec<u8>,
    sent: usize,
}

impl SplitRequest {
    /// Sends the head and the next `body` bytes. With chunked encoding, these bytes include the chunk sizes.
    fn send(gate: &Gate, request: &Request, body: usize) -> Result<Self> {
        let mut bytes = request.clone().header("connection", "close").on_the_wire();
        let head = tap::find(&bytes, b"\r\n\r\n").context("no head")? + 4;
        let rest = bytes.split_off(bytes.len().min(head.saturating_add(body)));
        let mut stream = client::connect(ports::loopback(gate.port), Duration::from_secs(10))?;
        stream.write_all(&bytes)?;
        Ok(Self { stream, rest, sent: bytes.len() })
    }

    fn finish(&mut self) -> Result<String> {
        // If the gateway refused the request, it may have closed the connection.
        let _refused = self.stream.write_all(&self.rest);
        self.answer()
    }

    fn answer(&mut self) -> Result<String> {
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

/// Waits until `sent` bytes have arrived, releases the keys, and waits until each worker has resumed its requests.
fn release(gate: &Gate, servers: &Servers, sent: usize, token: &str) -> Result<()> {
    gate.has_received(sent)?;
    servers.issuer.fail(Fault::None);
    ensure!(gate.send(&trial::bearer(trial::get("/orders/1"), token))?.status == 200, "no keys");
    // Each worker checks every 100 ms whether another worker has fetched a key set.
    thread::sleep(Duration::from_millis(400));
    Ok(())
}

const FILL: u8 = b'~';
/// The size limit of a body: less than Envoy buffers for one request, and more than one read returns.
const MOST: usize = 100_000;
