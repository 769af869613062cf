//! Tests many concurrent requests that need keys or share a limit: every request gets a response.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use test_harness::case::{Case, CaseFile};
use test_harness::client::{self, Request};
use test_harness::clock::Deadline;
use test_harness::issuer::{Fault, KEY_SET_PATH};
use test_harness::stage::Stage;
use test_harness::{clock, envoy, ports};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

#[test]
fn concurrent_requests_wait_for_the_first_key_set_with_one_fetch() {
    let mut crowd = Crowd::gather("late", "1h").unwrap();
    assert_eq!(crowd.statuses(0).unwrap(), [200; CROWD]);
    assert_eq!(crowd.fetches(), 1);
    crowd.stage.filter_never_failed().unwrap();
}

#[test]
fn requests_are_refused_while_the_key_endpoint_fails_and_served_after_it_recovers() {
    let mut crowd = Crowd::gather("slow", "1h").unwrap();
    assert_eq!(crowd.statuses(0).unwrap(), [503; CROWD]);
    crowd.stage.scene.issuer.fail(Fault::None);
    assert_eq!(crowd.statuses(0).unwrap(), [200; CROWD], "the requests must wait for the next fetch");
    crowd.stage.filter_never_failed().unwrap();
}

#[test]
fn concurrent_requests_with_a_new_key_need_one_fetch() {
    let mut crowd = Crowd::gather("none", "0s").unwrap();
    assert_eq!(crowd.statuses(0).unwrap(), [200; CROWD]);
    crowd.stage.scene.issuer.publish(&["rsa-1", "rsa-2"]);
    assert_eq!(crowd.statuses(1).unwrap(), [200; CROWD]);
    assert_eq!(crowd.fetches(), 2);
    crowd.stage.filter_never_failed().unwrap();
}

#[test]
fn forged_key_ids_cause_one_fetch_in_each_cool_down() {
    let mut crowd = Crowd::gather("none", "1s").unwrap();
    assert_eq!(crowd.statuses(0).unwrap(), [200; CROWD]);
    crowd.stage.scene.issuer.publish(&["rsa-1", "rsa-2"]);
    let (began, before) = (clock::unix_seconds(), crowd.fetches());
    Deadline::after(PATIENCE).poll(|| {
        assert_eq!(crowd.statuses(2).unwrap(), [401; CROWD]);
        (crowd.fetches() >= before + 2).then_some(())
    });
    assert_eq!(crowd.fetches(), before + 2);
    assert!(clock::unix_seconds() > began, "two fetches within one second");
    assert_eq!(crowd.statuses(1).unwrap(), [200; CROWD]);
    crowd.stage.filter_never_failed().unwrap();
}

#[test]
fn many_requests_that_wait_for_the_first_key_set_pass() {
    let mut crowd = Crowd::gather("late", "1h").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let statuses = runtime.block_on(crowd.load(0)).unwrap();
    // Envoy distributes connections over its workers unevenly, and a worker refuses requests above [`MAX_WAITING`]. Therefore
    // some requests may get 503.
    let passed = statuses.get(&200).copied().unwrap_or(0);
    let too_many = statuses.get(&503).copied().unwrap_or(0);
    assert_eq!(passed + too_many, CONNECTIONS * STREAMS, "{statuses:?}");
    assert!(passed >= MAX_WAITING, "{statuses:?}");
    crowd.stage.filter_never_failed().unwrap();
}

/// All workers count requests at the same time. Together, they must not allow more requests than the limit.
#[test]
fn concurrent_requests_get_exactly_the_limit() {
    let mut crowd = Crowd::of(LIMITED).unwrap();
    let began = clock::unix_seconds();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let statuses = runtime.block_on(crowd.load(0)).unwrap();
    let passed = statuses.get(&200).copied().unwrap_or(0);
    let came_back = usize::try_from((clock::unix_seconds() - began) / 6 + 1).unwrap();
    assert_eq!(passed + statuses.get(&429).copied().unwrap_or(0), CONNECTIONS * STREAMS, "{statuses:?}");
    assert!(
        (LIMIT..=LIMIT + came_back).contains(&passed),
        "{statuses:?}; the bucket gained up to {came_back} requests meanwhile"
    );
    for worker in ["worker_0", "worker_1"] {
        let name = format!("listener.127.0.0.1_{}.{worker}.downstream_cx_total", crowd.stage.port);
        assert!(
            crowd.stage.envoy.stat(&name).unwrap() > 0,
            "{worker} received no connection, but the test needs both workers"
        );
    }
    crowd.stage.filter_never_failed().unwrap();
}

struct Crowd {
    stage: Stage,
    cases: Vec<Case>,
}

impl Crowd {
    fn gather(issuer: &str, cool_down: &str) -> Result<Crowd> {
        Crowd::of(&FILE.replace("FAULT", issuer).replace("COOL_DOWN", cool_down))
    }

    fn of(file: &str) -> Result<Crowd> {
        let mut file: CaseFile = serde_saphyr::from_str(file).context("a file of tests/crowd.rs")?;
        let cases = std::mem::take(&mut file.cases);
        Ok(Crowd { stage: Stage::set(&file, &envoy::module()?)?, cases })
    }

    /// Sends the request of one case [`CROWD`] times concurrently.
    fn statuses(&self, case: usize) -> Result<Vec<u16>> {
        let case = self.cases.get(case).context("there is no such case")?;
        let request = self.stage.scene.request(case)?;
        let to = ports::loopback(self.stage.port);
        let send = |request: Request| thread::spawn(move || client::send(to, &request, PATIENCE));
        let sent: Vec<_> = (0..CROWD).map(|_| send(request.clone())).collect();
        let answers = sent.into_iter().map(|thread| {
            let answer = thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))?;
            Ok(answer?.status)
        });
        answers.collect()
    }

    /// Sends the request of one case thousands of times concurrently over HTTP/2. Returns the number of responses for each
    /// status.
    async fn load(&self, case: usize) -> Result<BTreeMap<u16, usize>> {
        let case = self.cases.get(case).context("there is no such case")?;
        let request = self.stage.scene.request(case)?;
        let mut sent = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let stream = TcpStream::connect(ports::loopback(self.stage.port)).await?;
            let (mut client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            for _ in 0..STREAMS {
                let mut builder = hyper::Request::get("http://api.example.com/orders");
                for (name, value) in request.headers.iter().filter(|(name, _)| name != b"host") {
                    builder = builder.header(name.as_slice(), value.as_slice());
                }
                client.ready().await?;
                sent.spawn(client.send_request(builder.body(String::new())?));
            }
        }
        let mut statuses = BTreeMap::new();
        while let Some(answer) = timeout(PATIENCE, sent.join_next()).await? {
            *statuses.entry(answer??.status().as_u16()).or_default() += 1;
        }
        Ok(statuses)
    }

    fn fetches(&self) -> usize {
        self.stage.scene.issuer.requests(KEY_SET_PATH)
    }
}

/// The maximum number of requests that one worker holds while it fetches keys.
const MAX_WAITING: usize = 2_000;

const CROWD: usize = 100;
/// The number of connections. With [`STREAMS`] requests each, they send more requests than a worker resumes in one callback.
/// There are few connections with many requests each, because the number of open files is limited.
const CONNECTIONS: usize = 41;
const STREAMS: usize = 90;
const PATIENCE: Duration = Duration::from_secs(20);
const FILE: &str = r#"
about: Many requests at once.
policy:
  version: "1.0"
  issuers:
    - name: accounts
      issuer: ${ISSUER}
      audiences: [orders-api]
      jwks: { uri: "${JWKS}", cluster: issuer, cool_down: COOL_DOWN, timeout: 2s, wait: 8s }
  upstreams: { orders: { url: "${UPSTREAM.orders}" } }
  routes: [{ path: /orders, upstream: orders }]
publish: [rsa-1]
issuer: FAULT
cases:
  - { name: known, request: { path: /orders, token: { key: rsa-1 } }, expect: { status: 200 } }
  - { name: new, request: { path: /orders, token: { key: rsa-2 } }, expect: { status: 200 } }
  - { name: forged, request: { path: /orders, token: { key: rsa-stranger } }, expect: { status: 401 } }
"#;
/// The hourly limit in [`LIMITED`]. The bucket gains one request every six seconds.
const LIMIT: usize = 600;
const LIMITED: &str = r#"
about: Many requests at once under one limit.
policy:
  version: "1.0"
  limits: [{ name: everyone, by: route, rate: 600/h }]
  routes: [{ path: /orders, auth: none, response: {} }]
cases:
  - { name: one, request: { path: /orders }, expect: { status: 200 } }
"#;
