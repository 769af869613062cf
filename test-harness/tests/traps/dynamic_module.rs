//! Tests traps that only the dynamic module has: it runs in Envoy's process, and all workers share its state.

use std::collections::BTreeMap;
use std::thread;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use test_harness::client::Request;
use test_harness::clock::Deadline;
use test_harness::issuer::{Fault, KEY_SET_PATH};
use test_harness::listeners::Listeners;
use test_harness::token::TokenSpec;
use test_harness::trial::{self, Gate, HOST, PATIENCE, Servers, below, get, header, http, put};
use test_harness::{clock, envoy};

use crate::Trap;
use crate::configure::until;

pub const TRAPS: &[Trap] = &[
    ("this version of Envoy loads the module", loaded),
    ("a gRPC request that waited is refused with its gRPC status", grpc_after_waiting),
    ("a missing module refuses the start, and an update with one changes nothing", missing_module),
    ("four workers count one limit together", one_limit),
    ("four workers fetch keys once", one_fetch),
];

fn loaded() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::open(&servers)?;
    let token = servers.token(&json!({}))?;
    ensure!(gate.send(&trial::bearer(get("/orders/1"), &token))?.status == 200, "a valid token was refused");
    ensure!(gate.send(&get("/orders/1"))?.status == 401, "a request without a token was not refused");
    let expected = match envoy::version()? {
        (1, 38) => "is loaded for Envoy 1.38",
        (1, 39) => "is loaded for Envoy 1.39",
        _ => "is loaded for Envoy 1.40 or newer",
    };
    // Envoy writes its log shortly after the event.
    let logged = || gate.envoy.lines().iter().any(|line| line.contains(expected)).then_some(());
    Deadline::after(PATIENCE).poll(logged).with_context(|| format!("the log does not contain `{expected}`"))?;
    gate.never_failed()
}

/// Envoy itself would send the gRPC status 0, which means success.
fn grpc_after_waiting() -> Result<()> {
    let servers = Servers::start()?;
    servers.issuer.fail(Fault::Held);
    let mut policy = servers.policy();
    for (name, time) in [("wait", "1s"), ("timeout", "5s")] {
        put(&mut policy, &format!("/issuers/0/jwks/{name}"), json!(time))?;
    }
    let mut gate = Gate::with_changes(&policy, |_| Ok(()))?;
    let call = Request::new("POST", "/orders/1", HOST).header("te", "trailers");
    let call = trial::bearer(call.header("content-type", "application/grpc"), &servers.token(&json!({}))?);
    let answer = gate.send_h2(&call)?;
    let status = header(&answer, "grpc-status");
    ensure!(answer.status == 200 && status.as_deref() == Some("14"), "{} {status:?}", answer.status);
    servers.issuer.fail(Fault::None);
    ensure!(servers.upstream.received().take().is_empty(), "the refused call reached the upstream");
    gate.never_failed()
}

fn missing_module() -> Result<()> {
    let servers = Servers::start()?;
    let missing = |config: &mut Value| -> Result<()> {
        *below(http(config)?, FILE)? = json!("/nonexistent/libportcullis.so");
        Ok(())
    };
    let Err(refused) = Gate::with_changes(&servers.policy(), missing) else {
        bail!("Envoy started without the module")
    };
    ensure!(format!("{refused:#}").contains("Failed to load dynamic module"), "{refused:#}");
    let listeners = Listeners::new()?;
    let mut update = Value::Null;
    let mut gate = Gate::with_changes(&servers.policy(), |config| {
        update = config.clone();
        listeners.take(config)
    })?;
    missing(&mut update)?;
    listeners.push(&mut update)?;
    let rejected = || Ok(gate.envoy.stat("listener_manager.lds.update_rejected")? == 1);
    until("the update to be rejected", rejected)?;
    for _ in 0..10 {
        ensure!(gate.send(&get("/orders/1"))?.status == 401, "the filter does not decide any more");
        ensure!(gate.send(&get("/health"))?.status == 200, "the previous configuration is not active any more");
    }
    ensure!(servers.upstream.received().take().is_empty(), "a request reached the upstream");
    gate.never_failed()
}

/// All workers count requests at the same time. Together, they must allow exactly as many requests as the limit.
fn one_limit() -> Result<()> {
    const LIMIT: usize = 60;
    let servers = Servers::start()?;
    let mut policy = servers.policy();
    let limit = json!({ "name": "everyone", "by": "route", "rate": format!("{LIMIT}/d") });
    put(&mut policy, "/routes/0/limits", json!([limit]))?;
    let mut gate = Gate::with_workers(&policy, WORKERS, |_| Ok(()))?;
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    for status in at_once(&gate, &vec![get("/health"); 200])? {
        *statuses.entry(status).or_default() += 1;
    }
    ensure!(statuses == BTreeMap::from([(200, LIMIT), (429, 200 - LIMIT)]), "{statuses:?}");
    every_worker_was_used(&gate)?;
    gate.never_failed()
}

/// The main thread fetches keys. Each worker would fetch them itself if it had its own copy.
fn one_fetch() -> Result<()> {
    let servers = Servers::start()?;
    servers.issuer.fail(Fault::Held);
    let mut policy = trial::patient(servers.policy())?;
    put(&mut policy, "/issuers/0/jwks/cool_down", json!("0s"))?;
    let mut gate = Gate::with_workers(&policy, WORKERS, |_| Ok(()))?;
    let signed_by = |key: &str| -> Result<Request> {
        let spec = TokenSpec { key: key.to_owned(), ..servers.spec(&json!({})) };
        Ok(trial::bearer(get("/orders/1"), &spec.mint(clock::unix_seconds(), &serde_json::Map::new())?))
    };
    let first = vec![signed_by("rsa-1")?; 80];
    let statuses = thread::scope(|scope| {
        let waiting = scope.spawn(|| at_once(&gate, &first));
        let active = || gate.envoy.stat("http.portcullis.downstream_rq_active").ok();
        let all_wait = Deadline::after(PATIENCE).poll(|| (active()? == 80).then_some(()));
        servers.issuer.fail(Fault::None);
        all_wait.context("the requests do not wait")?;
        waiting.join().map_err(|_| anyhow!("a client panicked"))?
    })?;
    ensure!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    every_worker_was_used(&gate)?;
    let fetched = || servers.issuer.requests(KEY_SET_PATH);
    ensure!(fetched() == 1, "{} fetches for the first keys", fetched());
    servers.issuer.publish(&["rsa-1", "rsa-2"]);
    let statuses = at_once(&gate, &vec![signed_by("rsa-2")?; 80])?;
    ensure!(statuses.iter().all(|status| *status == 200), "with a new key: {statuses:?}");
    // A request that is decided while the main thread installs the keys can cause one more fetch. Four workers with their own keys
    // would need five.
    ensure!((2..=3).contains(&fetched()), "{} fetches for a new key", fetched() - 1);
    gate.never_failed()
}

/// Sends all requests at the same time, each over its own connection.
fn at_once(gate: &Gate, requests: &[Request]) -> Result<Vec<u16>> {
    thread::scope(|scope| {
        let sent: Vec<_> = requests.iter().map(|request| scope.spawn(|| gate.send(request))).collect();
        sent.into_iter().map(|one| Ok(one.join().map_err(|_| anyhow!("a client panicked"))??.status)).collect()
    })
}

fn every_worker_was_used(gate: &Gate) -> Result<()> {
    for worker in 0..WORKERS {
        let name = format!("listener.127.0.0.1_{}.worker_{worker}.downstream_cx_total", gate.port);
        ensure!(gate.envoy.stat(&name)? > 0, "the worker {worker} received no connection");
    }
    Ok(())
}

const WORKERS: u32 = 4;
/// The path of the module in the settings of the HTTP connection manager.
const FILE: &str = "/http_filters/0/typed_config/dynamic_module_config/module/local/filename";
