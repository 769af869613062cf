//! Tests a filter that fails: Envoy refuses requests, restarts the VM, and keeps running.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use test_harness::clock::Deadline;
use test_harness::odd_module::{self, Misbehaviour};
use test_harness::trial::{self, Gate, Servers, below, get, plugin};

use crate::Trap;
use crate::configure::odd;

pub const WASM_TRAPS: &[Trap] = &[
    ("0.4 0.5 the generated configuration reloads a failed filter after a delay", reload_is_configured),
    ("0.4 0.6 a filter that fails refuses every request", failed_filter_refuses),
    ("0.5 reloading a failed filter does not stop Envoy", reloading_ends_nothing),
];

fn reload_is_configured() -> Result<()> {
    let servers = Servers::start()?;
    let mut config = trial::generate(&servers.policy(), 1, 2)?;
    let plugin = plugin(&mut config)?;
    let policy = below(plugin, "/failure_policy")?;
    ensure!(*policy == json!("FAIL_RELOAD"), "the policy is {policy}");
    ensure!(plugin.get("fail_open").is_none(), "`fail_open` is set");
    let interval = below(plugin, "/reload_config/backoff/base_interval")?;
    let seconds = interval.as_str().and_then(|text| text.strip_suffix('s')?.parse::<f64>().ok());
    ensure!(seconds.context("no base interval in seconds")? >= 0.002, "{interval} is less than 2 ms");
    // Envoy identifies VMs and their shared data by these names. Filters with empty names would share a VM and its data.
    for name in ["/name", "/vm_config/vm_id"] {
        ensure!(below(plugin, name)?.as_str().is_some_and(|text| !text.is_empty()), "`{name}` is empty");
    }
    Ok(())
}

fn failed_filter_refuses() -> Result<()> {
    let servers = Servers::start()?;
    let module = odd_module::File::write(Misbehaviour::TrapsAtRequests)?;
    let gate = Gate::with_changes(&servers.policy(), |config| odd(config, module.path()))?;
    let token = servers.token(&json!({}))?;
    for target in ["/health", "/open/1", "/orders/1"] {
        let request = trial::bearer(get(target), &token).header("x-portcullis-upstream", "orders").body("body");
        for response in gate.send_both(&request)? {
            ensure!(response.status == 503, "{target}: {} from a filter that failed", response.status);
            ensure!(
                trial::code(&response) == "SERVICE_UNAVAILABLE",
                "{target}: the reply does not have the error format"
            );
        }
    }
    ensure!(servers.upstream.received().take().is_empty(), "a request reached the upstream past a failed filter");
    let failed = || gate.envoy.lines().iter().any(|line| line.contains("unreachable")).then_some(());
    Deadline::after(Duration::from_secs(5)).poll(failed).context("no filter failed")
}

fn reloading_ends_nothing() -> Result<()> {
    let servers = Servers::start()?;
    let module = odd_module::File::write(Misbehaviour::TrapsAtRequests)?;
    let mut gate = Gate::with_changes(&servers.policy(), |config| odd(config, module.path()))?;
    let reloaded = Deadline::after(Duration::from_secs(20)).poll(|| {
        let answered = gate.send(&get("/open/1")).and_then(|response| {
            ensure!(response.status == 503, "{} from a filter that was just reloaded", response.status);
            gate.envoy.stat("wasm.portcullis.vm_reload_success")
        });
        match answered {
            Ok(count) => (count > 1).then_some(Ok(())),
            Err(error) => Some(Err(error)),
        }
    });
    reloaded.unwrap_or_else(|| bail!("the failed filter was not reloaded twice within 20 s"))?;
    gate.envoy.still_runs()
}
