//! Tests reloads of the dynamic module's configuration: they lose no request, no fetch and no memory.

use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use test_harness::clock::Deadline;
use test_harness::issuer::{Fault, KEY_SET_PATH};
use test_harness::listeners::Listeners;
use test_harness::trial::{self, Gate, PATIENCE, Servers, below, get, give, put};

use crate::Trap;
use crate::configure::until;

pub const TRAPS: &[Trap] = &[
    ("a reload loses no request that waits", waiting_requests),
    ("a reload during a fetch delays the next fetch by at most its timeout", fetch_in_progress),
    ("memory does not grow over 50 reloads", memory),
];

/// A gateway whose listener can be reloaded.
struct Reloadable {
    listeners: Listeners,
    /// The configuration of the listener.
    config: Value,
    gate: Gate,
}

/// Reloads the listener while requests wait for keys. Envoy must destroy the old configuration only after these requests.
fn waiting_requests() -> Result<()> {
    const WAITING: u64 = 40;
    let servers = Servers::start()?;
    servers.issuer.fail(Fault::Held);
    let policy = trial::patient(servers.policy())?;
    let mut site = Reloadable::open(&policy)?;
    let request = trial::bearer(get("/tap/1"), &servers.token(&json!({}))?);
    let statuses = thread::scope(|scope| {
        let gate = &site.gate;
        let sent: Vec<_> = (0..WAITING).map(|_| scope.spawn(|| gate.send(&request))).collect();
        let active = || gate.envoy.stat("http.portcullis.downstream_rq_active").ok();
        let all_wait = Deadline::after(PATIENCE).poll(|| (active()? == WAITING).then_some(()));
        let reloaded = all_wait.context("the requests do not wait").and_then(|()| {
            let pushed = Reloadable::push(&site.listeners, &mut site.config.clone(), gate, &policy, 1);
            pushed.and_then(|()| gate.envoy.stat(DRAINING))
        });
        servers.issuer.fail(Fault::None);
        let answers: Result<Vec<u16>> =
            sent.into_iter().map(|one| Ok(one.join().map_err(|_| anyhow!("a client panicked"))??.status)).collect();
        ensure!(reloaded? == 1, "the old configuration was destroyed while its requests waited");
        answers
    })?;
    ensure!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    let arrived = servers.tap.take().len();
    ensure!(arrived == statuses.len(), "{arrived} of {} requests reached the upstream", statuses.len());
    site.drained()?;
    ensure!(site.gate.send(&request)?.status == 200, "the new configuration does not serve");
    site.gate.never_failed()
}

/// Reloads the listener while a fetch hangs. Envoy cancels the fetch when it destroys the old configuration, and the new one must
/// fetch the keys itself. It does so when the fetch would have timed out, because all configurations share the state of a fetch.
fn fetch_in_progress() -> Result<()> {
    let servers = Servers::start()?;
    servers.issuer.fail(Fault::Held);
    let mut policy = trial::patient(servers.policy())?;
    put(&mut policy, "/issuers/0/jwks/timeout", json!("8s"))?;
    let mut site = Reloadable::open(&policy)?;
    until("the first fetch", || Ok(servers.issuer.requests(KEY_SET_PATH) == 1))?;
    site.reload(&policy, 1)?;
    site.drained()?;
    servers.issuer.fail(Fault::None);
    let request = trial::bearer(get("/orders/1"), &servers.token(&json!({}))?);
    ensure!(site.gate.send(&request)?.status == 200, "the keys were not fetched again");
    site.gate.never_failed()
}

/// Each configuration takes about a megabyte, so a few of them are more than the memory may grow.
fn memory() -> Result<()> {
    const ROUTES: usize = 1_000;
    const RELOADS: usize = 50;
    const ALLOWED: u64 = 4 << 20;
    let servers = Servers::start()?;
    let mut policy = servers.policy();
    let route = |number: usize| json!({ "path": format!("/r{number}/{{id}}/items/{{.+}}"), "upstream": "orders" });
    below(&mut policy, "/routes")?.as_array_mut().context("no routes")?.extend((0..ROUTES).map(route));
    let mut site = Reloadable::open(&policy)?;
    // The first reloads fill the free lists of the allocator.
    for number in 0..10 {
        site.reload(&policy, number)?;
    }
    let before = site.allocated()?;
    for number in 10..10 + RELOADS {
        site.reload(&policy, number)?;
    }
    let after = site.allocated()?;
    ensure!(after <= before + ALLOWED, "the memory grew from {before} to {after} bytes over {RELOADS} reloads");
    let token = servers.token(&json!({}))?;
    ensure!(site.gate.send(&trial::bearer(get("/r7/1/items/2"), &token))?.status == 200, "the gateway does not serve");
    site.gate.never_failed()
}

impl Reloadable {
    fn open(policy: &Value) -> Result<Self> {
        let listeners = Listeners::new()?;
        let mut config = Value::Null;
        let gate = Gate::with_changes(policy, |generated| {
            config = generated.clone();
            listeners.take(generated)
        })?;
        Ok(Self { listeners, config, gate })
    }

    /// Replaces the document by itself with one more route, and waits until both workers use it.
    fn reload(&mut self, policy: &Value, number: usize) -> Result<()> {
        Self::push(&self.listeners, &mut self.config, &self.gate, policy, number)
    }

    fn push(listeners: &Listeners, config: &mut Value, gate: &Gate, policy: &Value, number: usize) -> Result<()> {
        let mut next = policy.clone();
        let path = format!("/version/{number}");
        let route = json!({ "path": path, "auth": "none", "response": { "body": "new" } });
        below(&mut next, "/routes")?.as_array_mut().context("no routes")?.push(route);
        give(config, &next)?;
        listeners.push(config)?;
        let serves = || anyhow::Ok(gate.send(&get(&path))?.status == 200);
        until("the new configuration to serve", || Ok(serves()? && serves()? && serves()?))
    }

    /// Returns the allocated bytes, after Envoy has destroyed the previous configurations. Each worker frees its own state of them
    /// at its next request.
    fn allocated(&self) -> Result<u64> {
        self.drained()?;
        for _ in 0..40 {
            self.gate.send(&get("/health"))?;
        }
        // The module uses Envoy's allocator.
        let memory: Value = serde_json::from_str(&self.gate.envoy.admin("/memory")?)?;
        let allocated = memory.get("allocated").and_then(|bytes| bytes.as_str()?.parse().ok());
        allocated.context("/memory has no member `allocated`")
    }

    /// Waits until Envoy has destroyed the previous configurations.
    fn drained(&self) -> Result<()> {
        until("the old configurations to be destroyed", || Ok(self.gate.envoy.stat(DRAINING)? == 0))
    }
}

/// The number of previous configurations that Envoy has not destroyed yet.
const DRAINING: &str = "listener_manager.total_filter_chains_draining";
