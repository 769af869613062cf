//! Tests refused configurations: at start, on reload under traffic, and if only some workers refuse them.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use test_harness::client::Request;
use test_harness::clock::Deadline;
use test_harness::envoy::{self, Host};
use test_harness::listeners::Listeners;
use test_harness::odd_module::{self, Misbehaviour};
use test_harness::ports;
use test_harness::trial::{self, Gate, Servers, below, get, give, http, plugin, put};

use crate::Trap;

pub const TRAPS: &[Trap] = &[
    ("0.1 all VMs accept the configuration, or all refuse it", every_vm_or_none),
    ("0.1 a request that bypassed the filter is refused", without_the_filter),
    ("0.1 an invalid configuration on reload changes nothing under traffic", reload),
    ("`--mode validate` refuses an invalid document", validation),
];
pub const WASM_TRAPS: &[Trap] = &[("0.1 a worker without the filter refuses every request", filter_on_no_worker)];

fn every_vm_or_none() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::open(&servers)?;
    for _ in 0..20 {
        let response = gate.send(&get("/orders/1"))?;
        ensure!(response.status == 401, "{} on one of the workers", response.status);
    }
    gate.never_failed()?;
    let mut policy = servers.policy();
    put(&mut policy, "/routes/0/paht\nforged\u{1b}[31m\u{202e}", json!("/x"))?;
    // The generator would refuse this document too, so the test puts the document into the finished configuration.
    let started = Gate::with_changes(&servers.policy(), |config| give(config, &policy));
    let Err(refused) = started else { bail!("envoy started with a configuration that has a problem") };
    let said = format!("{refused:#}");
    ensure!(said.contains("paht\\nforged\\u001b[31m\\u202e"), "the log does not have the problem on one line: {said}");
    Ok(())
}

fn validation() -> Result<()> {
    let servers = Servers::start()?;
    let mut config = trial::generate(&servers.policy(), 1, 2)?;
    ensure!(envoy::validate(&config.to_string(), &[]) == Ok(()), "Envoy refuses the generated configuration");
    let mut policy = servers.policy();
    put(&mut policy, "/routes/1/upstream", json!("orderz"))?;
    give(&mut config, &policy)?;
    let Err(said) = envoy::validate(&config.to_string(), &[]) else { bail!("the document was accepted") };
    ensure!(said.contains("configuration refused: routes[1].upstream: "), "the reason is missing: {said}");
    Ok(())
}

fn without_the_filter() -> Result<()> {
    let servers = Servers::start()?;
    let gate = Gate::with_changes(&servers.policy(), |config| {
        let filters = below(http(config)?, "/http_filters")?.as_array_mut().context("no list of filters")?;
        filters.remove(0);
        ensure!(filters.len() == 1, "expected only the router after the removal of the filter");
        Ok(())
    })?;
    nothing_passes(&gate, &servers)
}

fn filter_on_no_worker() -> Result<()> {
    let servers = Servers::start()?;
    let module = odd_module::File::write(Misbehaviour::RefusesOnWorkers)?;
    let mut gate = Gate::with_changes(&servers.policy(), |config| odd(config, module.path()))?;
    ensure!(gate.never_failed().is_err(), "the harness does not notice workers without a filter");
    let active = gate.envoy.stat("wasm.envoy.wasm.runtime.v8.active")?;
    ensure!(active == 2, "expected only the base VM and the VM of the main thread, found {active} VMs");
    nothing_passes(&gate, &servers)
}

/// Checks that the gateway refuses every request while it has no filter, even if the client forges the header that the filter
/// sets on allowed requests.
fn nothing_passes(gate: &Gate, servers: &Servers) -> Result<()> {
    let token = servers.token(&json!({}))?;
    for target in ["/orders/1", "/open/1", "/health", "/"] {
        for name in ["accept", "x-portcullis-upstream", "X-Portcullis-Upstream", "x_portcullis_upstream"] {
            let request = trial::bearer(get(target), &token).header(name, "orders");
            let twice = request.clone().header(name, "orders");
            let upgrade = request.clone().header("upgrade", "websocket").header("connection", "upgrade, x-portcullis");
            for request in [&request, &twice, &upgrade] {
                let response = gate.send(request)?;
                let refused = [403, 400].contains(&response.status);
                ensure!(refused, "{target} with {name}: {} without the filter", response.status);
            }
        }
        let response = gate.send_h2(&get(target).header("x-portcullis-upstream", "orders"))?;
        ensure!(response.status == 403, "{target}: {} without the filter, over HTTP/2", response.status);
    }
    ensure!(servers.upstream.received().take().is_empty(), "a request reached the upstream");
    Ok(())
}

/// Tests guarantee 5 in `README.md`: reloads the listeners from a file while requests run, first with bad configurations, then
/// with a good one.
fn reload() -> Result<()> {
    let servers = Servers::start()?;
    let [port, admin] = ports::free()?;
    let mut config = trial::generate(&servers.policy(), port, admin)?;
    let listeners = Listeners::new()?;
    listeners.take(&mut config)?;
    let launch = envoy::Launch { bootstrap: &config.to_string(), admin, workers: trial::WORKERS, env: Vec::new() };
    let gate = Gate::of(envoy::Envoy::start(&launch)?, port);
    let token = servers.token(&json!({}))?;
    let asked = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let traffic = scope.spawn(|| traffic(&gate, &token, &asked));
        let written = trial::generate(&servers.policy(), port, admin);
        let done = written.and_then(|written| pushes(&gate, &servers, &listeners, &written, &asked));
        asked.store(ENOUGH, Ordering::Relaxed);
        traffic.join().map_err(|_| anyhow::anyhow!("the traffic panicked"))??;
        done
    })
}

fn pushes(gate: &Gate, servers: &Servers, listeners: &Listeners, written: &Value, asked: &AtomicUsize) -> Result<()> {
    let more = || {
        let before = asked.load(Ordering::Relaxed);
        until("requests to be answered", || Ok(asked.load(Ordering::Relaxed) > before + 30))
    };
    more()?;
    let fresh = || gate.send(&get("/fresh")).map(|response| response.status);
    ensure!(fresh()? == 404, "the new route exists before it was pushed");
    // The first document has an error. The second one needs a feature that the smaller wasm module does not have, and is wrong for
    // the other modules.
    let schemas = if Host::chosen() == Host::Wasm { json!({ "any": true }) } else { json!(true) };
    for (rejected, pointer, value) in [(1, "/routes/1/upstream", json!("orderz")), (2, "/schemas", schemas)] {
        let mut bad = servers.policy();
        put(&mut bad, pointer, value)?;
        put(&mut bad, "/routes/0/path", json!("/fresh"))?;
        let mut config = written.clone();
        give(&mut config, &bad)?;
        listeners.push(&mut config)?;
        let count = || gate.envoy.stat("listener_manager.lds.update_rejected");
        until("the bad configuration to be rejected", || Ok(count()? >= rejected))?;
        ensure!(
            fresh()? == 404 && gate.send(&get("/health"))?.status == 200,
            "the previous configuration is not active any more"
        );
        more()?;
    }
    let mut good = servers.policy();
    let route = json!({ "path": "/fresh", "auth": "none", "response": { "body": "new" } });
    below(&mut good, "/routes")?.as_array_mut().context("no routes")?.push(route);
    let mut config = written.clone();
    give(&mut config, &good)?;
    listeners.push(&mut config)?;
    until("the good configuration to serve", || Ok(fresh()? == 200))?;
    more()?;
    // The last digest in the log belongs to the active configuration.
    let digest =
        |line: &String| line.split_once("policy ")?.1.split_once(" is active").map(|(digest, _)| digest.to_owned());
    let digests = || -> Vec<String> { gate.envoy.lines().iter().filter_map(digest).collect() };
    until("the log to contain the new digest", || Ok(digests().first() != digests().last()))?;
    if Host::chosen() == Host::Wasm {
        let active = gate.envoy.stat("wasm.envoy.wasm.runtime.v8.active")?;
        ensure!(active >= u64::from(trial::WORKERS) + 2, "{active} VMs: a worker runs without the filter");
    }
    Ok(())
}

/// Sends valid and invalid requests continuously. Each response must have the status that it has without a reload.
fn traffic(gate: &Gate, token: &str, asked: &AtomicUsize) -> Result<()> {
    let expected: [(Request, u16); 3] =
        [(get("/orders/1"), 401), (trial::bearer(get("/orders/1"), token), 200), (get("/health"), 200)];
    while asked.load(Ordering::Relaxed) < ENOUGH {
        for (request, status) in &expected {
            let got = gate.send(request)?.status;
            ensure!(got == *status, "{got} instead of {status} during a reload");
            asked.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Makes the filter load the given wasm module instead of the product's module.
pub fn odd(config: &mut Value, module: &Path) -> Result<()> {
    *below(plugin(config)?, "/vm_config/code/local/filename")? = json!(module);
    Ok(())
}

/// Waits until a condition is true. `what` describes the condition in the error message.
pub fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let reached = Deadline::after(Duration::from_secs(20)).poll(|| match holds() {
        Ok(false) => None,
        Ok(true) => Some(Ok(())),
        Err(error) => Some(Err(error)),
    });
    reached.unwrap_or_else(|| bail!("timed out after 20 s while waiting for {what}"))
}

/// A number of requests that [`traffic`] never reaches. The test sets the counter to this number to end the traffic.
const ENOUGH: usize = 1 << 30;
