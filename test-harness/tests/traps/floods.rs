//! Tests floods of request bodies: the filter's memory stays bounded, and other clients are served.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use http_body_util::BodyExt;
use hyper::body::Bytes;
use serde_json::{Value, json};
use test_harness::client::{self, Request};
use test_harness::clock::Deadline;
use test_harness::issuer::Fault;
use test_harness::server::{self, Server, reply};
use test_harness::trial::{self, Gate, HOST, Servers, bearer, clusters, code, get, put};
use test_harness::{latency, ports};

use crate::Trap;
use crate::upload::{PART, Upload};

pub const TRAPS: &[Trap] = &[
    ("many large bodies under checks that only write to the record leave the filter alive", copied),
    ("many bodies on few connections under such checks leave the filter alive", copied_over_http2),
    ("many held bodies do not block other requests", held),
    ("bodies that wait for keys leave room for others", || waiting(true)),
    ("bodies that Envoy keeps to itself while they wait for keys leave room for others", || waiting(false)),
    ("the densest bodies that may be read leave the filter alive", dense),
];

/// Sends 64 JSON strings of 10 MiB each. No client ends its body before all clients have sent theirs.
fn copied() -> Result<()> {
    let fixture = FloodFixture::start()?;
    let mut gate = fixture.gate(|_| Ok(()))?;
    let port = gate.port;
    let mut streams = fixture.attack(&gate, "copied bodies", "/seen/1", |target| {
        at_once((0..64).map(|_| || Upload::open(port, target, None)?.send_slowly(10 << 20, pause(64))).collect())
    })?;
    ensure!(
        streams.iter().all(|upload| upload.answer.is_none()),
        "a body was refused, although the checks only write to the record"
    );
    fixture.others_are_served(&gate)?;
    let statuses = at_once(streams.drain(..).map(|upload| move || upload.finish()).collect())?;
    ensure!(statuses.iter().all(|answer| answer.starts_with("HTTP/1.1 200 ")), "{statuses:?}");
    let dropped = || gate.envoy.lines().iter().filter(|line| line.contains(NOT_INSPECTED)).count();
    // Each of the two workers can copy one body.
    let written = Deadline::after(PATIENCE).poll(|| (dropped() >= 62).then_some(()));
    written.with_context(|| format!("only {} records say that a body was not inspected", dropped()))?;
    fixture.others_are_served(&gate)?;
    gate.never_failed()
}

fn copied_over_http2() -> Result<()> {
    const CONNECTIONS: usize = 10;
    const STREAMS: usize = 100;
    let fixture = FloodFixture::start()?;
    let mut gate = fixture.gate(|_| Ok(()))?;
    let to = ports::loopback(gate.port);
    let connection = |target: String| async move {
        let stream = tokio::net::TcpStream::connect(to).await?;
        let (client, connection) = h2::client::handshake(stream).await?;
        tokio::spawn(connection);
        let mut uploads = tokio::task::JoinSet::new();
        for _ in 0..STREAMS {
            let mut client = client.clone().ready().await?;
            let head =
                hyper::Request::post(format!("http://{HOST}{target}")).header("content-type", "application/json");
            let (response, mut body) = client.send_request(head.body(())?, false)?;
            uploads.spawn(async move {
                let sent = fill(&mut body, 1 << 19, pause(CONNECTIONS * STREAMS)).await;
                (response, body, sent)
            });
        }
        // The client must live as long as its streams.
        anyhow::Ok((client, uploads.join_all().await))
    };
    let runtime = server::runtime()?;
    let open = fixture.attack(&gate, "copied bodies over HTTP/2", "/seen/1", |target| {
        let open = runtime.block_on(async {
            let mut connections = tokio::task::JoinSet::new();
            (0..CONNECTIONS).for_each(|_| drop(connections.spawn(connection(target.to_owned()))));
            tokio::time::timeout(PATIENCE, connections.join_all()).await
        })?;
        open.into_iter().collect::<Result<Vec<_>>>()
    })?;
    let sent = open.iter().flat_map(|(_, uploads)| uploads).filter(|(_, _, sent)| sent.is_ok()).count();
    // The upstream accepts 200 concurrent requests from each of the two workers. The remaining requests wait.
    ensure!(sent >= 300, "only {sent} bodies were sent");
    fixture.others_are_served(&gate)?;
    drop(open);
    fixture.others_are_served(&gate)?;
    gate.never_failed()
}

/// Sends bodies that never end to a route that holds each body until it is complete.
fn held() -> Result<()> {
    let fixture = FloodFixture::start()?;
    let mut gate = fixture.gate(|_| Ok(()))?;
    let port = gate.port;
    let uploads = fixture.attack(&gate, "held bodies", "/held/1", |target| {
        at_once((0..16).map(|_| || Upload::open(port, target, None)?.send(60 << 20)?.look()).collect())
    })?;
    let refused: Vec<&str> = uploads.iter().filter_map(|upload| upload.answer.as_deref()).collect();
    ensure!(
        (14..16).contains(&refused.len()),
        "expected 14 or 15 of 16 refused bodies, because a worker holds only one body of 60 MiB; found {}",
        refused.len()
    );
    // If a client continues to send, the gateway may close its connection before the client reads the response.
    let answers: Vec<&str> = refused.into_iter().filter(|answer| !answer.is_empty()).collect();
    ensure!(!answers.is_empty(), "no client got a response");
    for answer in answers {
        for part in ["HTTP/1.1 503 ", "retry-after: 5", "\"code\":\"SERVICE_UNAVAILABLE\"", "x-request-id: "] {
            ensure!(answer.contains(part), "no `{part}` in {answer}");
        }
    }
    fixture.others_are_served(&gate)?;
    recorded(&gate, "\"reason\":\"held_bytes_exceeded\"")?;
    drop(uploads);
    let free = || {
        let large = chunked("/held/1", vec![b' '; 30 << 20]);
        (0..4).all(|_| gate.send(&large).is_ok_and(|answer| answer.status == 200)).then_some(())
    };
    Deadline::after(PATIENCE).poll(free).context("the filter still holds the bytes of disconnected clients")?;
    gate.never_failed()
}

/// Sends bodies while the requests wait for keys, before any check runs. Without checks on the route, Envoy does not pass the
/// bodies to the filter.
fn waiting(shown: bool) -> Result<()> {
    let fixture = FloodFixture::start()?;
    fixture.servers.issuer.fail(Fault::Held);
    // The filter counts the length of a body that Envoy passes to it. For a body that Envoy does not pass, it counts the size of
    // the connection's buffers, 160 KiB.
    let held_body_bytes = if shown { 4 << 20 } else { 800 << 10 };
    let mut gate = fixture.gate(|policy| {
        put(policy, "/bounds", json!({ "held_body_bytes": held_body_bytes }))?;
        let routes = policy.pointer_mut("/routes").and_then(Value::as_array_mut).context("no routes")?;
        routes.retain(|route| route.get("checks").is_none());
        if shown {
            put(policy, "/routes/1/checks", json!({ "max_body_bytes": 4 << 20 }))?;
        }
        *policy = trial::patient(std::mem::take(policy))?;
        Ok(())
    })?;
    let (port, token) = (gate.port, fixture.servers.token(&json!({}))?);
    let bearer_token = token.as_str();
    let uploads = at_once(
        (0..16).map(|_| move || Upload::open(port, "/orders/1", Some(bearer_token))?.send(900 << 10)).collect(),
    )?;
    let mut waiting = at_once(uploads.into_iter().map(|upload| move || upload.look()).collect())?;
    let refused: Vec<String> = waiting.iter_mut().filter_map(|upload| upload.answer.take()).collect();
    let least = if shown { 8 } else { 6 };
    ensure!((least..16).contains(&refused.len()), "{} of 16 bodies are refused", refused.len());
    ensure!(refused.iter().all(|answer| answer.is_empty() || answer.starts_with("HTTP/1.1 503 ")), "{refused:?}");
    recorded(&gate, "\"reason\":\"held_bytes_exceeded\"")?;
    drop(waiting);
    fixture.servers.issuer.fail(Fault::None);
    let answer = gate.send(&bearer(get("/orders/1"), &token))?;
    ensure!(answer.status == 200, "{} {}", answer.status, code(&answer));
    fixture.others_are_served(&gate)?;
    gate.never_failed()
}

/// Sends bodies with a million values each, the limit of a document. A parsed body of this kind needs many times its length in
/// memory.
fn dense() -> Result<()> {
    const VALUES: usize = 1_000_000;
    let fixture = FloodFixture::start()?;
    let mut gate = fixture.gate(|_| Ok(()))?;
    let list = |item: &str, values: usize| format!("[{}]", vec![item; (VALUES - 1) / values].join(","));
    let deep = [r#"{"":"#.repeat(100), "0".to_owned(), "}".repeat(100)].concat();
    for (name, body) in [
        ("empty lists", list("[]", 1)),
        ("lists of one", list("[0]", 2)),
        ("objects of one member", list(r#"{"":0}"#, 2)),
        ("objects in objects", list(&deep, 101)),
        ("lists in lists", list(&["[".repeat(100), "]".repeat(100)].concat(), 100)),
    ] {
        for _ in 0..2 {
            let request = chunked("/dense/1", body.clone().into_bytes()).header("content-type", "application/json");
            let answer = gate.send(&request)?;
            ensure!(answer.status == 200, "{name}: {} {}", answer.status, code(&answer));
        }
    }
    fixture.others_are_served(&gate)?;
    gate.never_failed()
}

/// The usual servers of a test, and an upstream `drain` that reads bodies and discards them.
struct FloodFixture {
    servers: Servers,
    drain: Server,
}

impl FloodFixture {
    fn start() -> Result<Self> {
        let drain = Server::start(0, |mut request| async move {
            while request.body_mut().frame().await.is_some_and(|frame| frame.is_ok()) {}
            reply(200, "text/plain", "drained")
        })?;
        Ok(Self { servers: Servers::start()?, drain })
    }

    fn gate(&self, change: impl FnOnce(&mut Value) -> Result<()>) -> Result<Gate> {
        let mut policy = self.servers.policy();
        put(&mut policy, "/upstreams/drain", json!({ "url": self.drain.url() }))?;
        let route =
            |path: &str, checks: Value| json!({ "path": path, "auth": "none", "upstream": "drain", "checks": checks });
        if let Some(routes) = policy.pointer_mut("/routes").and_then(Value::as_array_mut) {
            let most = 10 << 20;
            routes.push(json!({ "path": "/unchecked/{.+}", "auth": "none", "upstream": "drain" }));
            routes.push(route("/seen/{.+}", json!({ "mode": "log", "max_body_bytes": most, "json": {} })));
            routes.push(route("/held/{.+}", json!({ "max_body_bytes": 64 << 20 })));
            let json = json!({ "max_depth": 127, "max_values": 1_000_000 });
            routes.push(route("/dense/{.+}", json!({ "max_body_bytes": most, "json": json })));
        }
        change(&mut policy)?;
        // The filter reaches this upstream over HTTP/2, so that one connection carries all requests.
        Gate::with_changes(&policy, |config| {
            let kind = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
            let options = json!({ "@type": format!("type.googleapis.com/{kind}"),
                "explicit_http_config": { "http2_protocol_options": {} } });
            let named = |cluster: &&mut Value| cluster.get("name") == Some(&json!("drain"));
            let drain = clusters(config)?.iter_mut().find(named).context("the configuration has no cluster `drain`")?;
            put(drain, "/typed_extension_protocol_options", json!({ kind: options }))
        })
    }

    /// Attacks the gateway while another client sends requests, each of which must get 200. The same attack on a route without
    /// checks runs first. It shows how much of the delay comes from the load of the machine.
    fn attack<T>(&self, gate: &Gate, name: &str, target: &str, attack: impl Fn(&str) -> Result<T>) -> Result<T> {
        let to = ports::loopback(gate.port);
        let other = || {
            let answer = client::send(to, &get("/open/1"), PATIENCE)?;
            ensure!(answer.status == 200, "another caller: {} {}", answer.status, code(&answer));
            Ok(())
        };
        let alone = latency::p99(other)?;
        let (unchecked, among_unchecked) = latency::p99_during(other, || attack("/unchecked/1"))?;
        drop(unchecked);
        let (attacked, during) = latency::p99_during(other, || attack(target))?;
        latency::report(&format!("{name} on a route without checks"), alone, among_unchecked);
        latency::report(name, alone, during);
        Ok(attacked)
    }

    /// Checks that every worker still answers requests of other clients.
    fn others_are_served(&self, gate: &Gate) -> Result<()> {
        for target in ["/health", "/open/1"].repeat(6) {
            let answer = gate.send(&get(target))?;
            ensure!(answer.status == 200, "{target}: {} {}", answer.status, code(&answer));
        }
        Ok(())
    }
}

/// Sends the first bytes of a JSON document, about `bytes` in total.
async fn fill(body: &mut h2::SendStream<Bytes>, bytes: usize, pause: Duration) -> Result<()> {
    body.send_data(Bytes::from_static(b"[\""), false)?;
    let mut left = bytes - 100;
    while left > 0 {
        body.reserve_capacity(left);
        let capacity =
            std::future::poll_fn(|task| body.poll_capacity(task)).await.context("the stream was closed")??;
        let part = capacity.min(left);
        body.send_data(vec![b'x'; part].into(), false)?;
        left -= part;
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

/// Returns how long each client must pause after a [`PART`], so that all clients together send one gigabit per second.
fn pause(clients: usize) -> Duration {
    Duration::from_secs_f64((clients * PART) as f64 / 125e6)
}

fn chunked(target: &str, body: Vec<u8>) -> Request {
    Request { chunked: true, ..Request::new("POST", target, HOST).body(body) }
}

fn recorded(gate: &Gate, text: &str) -> Result<()> {
    let written = || gate.envoy.lines().iter().any(|line| line.contains(text)).then_some(());
    Deadline::after(PATIENCE).poll(written).with_context(|| format!("no record has {text}"))
}

/// Runs all functions concurrently.
fn at_once<T: Send>(work: Vec<impl FnOnce() -> Result<T> + Send>) -> Result<Vec<T>> {
    thread::scope(|scope| {
        let threads: Vec<_> = work.into_iter().map(|work| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a client panicked"))?).collect()
    })
}

const NOT_INSPECTED: &str = "\"not_inspected\":\"copied_bytes_exceeded\"";
const PATIENCE: Duration = Duration::from_secs(20);
