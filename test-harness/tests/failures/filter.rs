//! Tests a filter that fails on every request until a new configuration replaces it, and a filter that fails once.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use test_harness::client::Request;
use test_harness::listeners::Listeners;
use test_harness::odd_module::{self, Misbehaviour};
use test_harness::trial::{below, get, plugin};
use test_harness::{client, envoy, flawed_module, ports};

use crate::Plain;
use crate::allowed::{FAILED, KEYLESS, UNDER_WAY, WELL, all, either, over, slices};
use crate::site::{PATIENCE, Site, until, within};

/// The wasm module is in a sandbox, so Envoy survives these failures.
pub const WASM_CELLS: &[Plain] = &[
    ("filter traps", || faulty_filter(Misbehaviour::TrapsAtRequests)),
    ("filter runs out of memory", || faulty_filter(Misbehaviour::EatsMemory)),
    ("filter traps once", traps_once),
];

/// Starts with a filter that fails on every request, and replaces it with a good filter while requests run.
fn faulty_filter(misbehaviour: Misbehaviour) -> Result<()> {
    let module = odd_module::File::write(misbehaviour)?;
    let listeners = Listeners::new()?;
    let mut good = Value::Null;
    let mut site = Site::with_changes(
        |_, _| Ok(()),
        |config| {
            good = config.clone();
            *below(plugin(config)?, "/vm_config/code/local/filename")? = json!(module.path());
            listeners.take(config)
        },
    )?;
    let nothing = all(&[FAILED]);
    site.under_load(&nothing)?;
    let failed = || {
        Ok(site.envoy()?.lines().iter().any(|line| line.contains("unreachable") || line.contains("wasm_fail_stream")))
    };
    until("the filter to fail", failed)?;
    // The old outcomes are allowed until all workers use the new filter. The new filter may receive its first requests before
    // it has fetched the keys.
    let fresh = either(WELL, KEYLESS);
    site.during(&slices(&either(&slices(&fresh), &nothing)), |_| {
        listeners.push(&mut good)?;
        site.until("good", 200)
    })?;
    site.under_load(WELL)?;
    site.envoy.as_mut().context("Envoy is not running")?.still_runs()
}

/// Runs the product's filter with a flaw that one request triggers. Envoy must reload the failed filter once.
fn traps_once() -> Result<()> {
    let module = odd_module::File::of(&flawed_module::build(&fs::read(envoy::module()?)?)?)?;
    let mut site = Site::with_changes(
        |_, _| Ok(()),
        |config| {
            *below(plugin(config)?, "/vm_config/code/local/filename")? = json!(module.path());
            Ok(())
        },
    )?;
    site.until("good", 200)?;
    site.under_load(WELL)?;
    let many = 0..flawed_module::MAX_HEADERS;
    let trap = many.fold(get("/health"), |request, i| request.header(&format!("x-{i}"), "1"));
    let ask =
        |request: &Request| -> Result<u16> { Ok(client::send(ports::loopback(site.port), request, PATIENCE)?.status) };
    let fresh = either(WELL, KEYLESS);
    let refused = all(&[FAILED]);
    let failed = over(&[("good", &[FAILED, UNDER_WAY])], &refused);
    site.during(&slices(&either(&slices(&fresh), &failed)), |_| {
        ensure!(ask(&trap)? == 503, "the request did not make the filter trap");
        let mut statuses = Vec::new();
        until("the other worker to serve while one has failed", || {
            statuses.push(ask(&get("/health"))?);
            // Envoy reloads the failed filter only once, and the reloaded filter does not fail again. Therefore, a 200
            // between two 503 responses comes from the worker whose filter did not fail.
            Ok(served_between(&statuses))
        })?;
        // The responses do not show the reload, because they may come from the worker whose filter did not fail. Envoy's counter
        // shows it.
        within(RELOAD, "the filter to be loaded again", || Ok(site.envoy()?.stat(RELOADED)? == 1))?;
        site.until("good", 200)
    })?;
    site.under_load(WELL)?;
    let traps = site.envoy()?.lines().iter().filter(|line| line.contains("failed: Uncaught")).count();
    ensure!(traps == 1, "expected one trap, found {traps}");
    let reloads = site.envoy()?.stat(RELOADED)?;
    ensure!(reloads == 1, "expected one reload, found {reloads}");
    site.envoy.as_mut().context("Envoy is not running")?.still_runs()
}

/// Returns whether a 200 comes between two responses with 503.
fn served_between(statuses: &[u16]) -> bool {
    let refused = |status: &u16| *status == 503;
    let (first, last) = (statuses.iter().position(refused), statuses.iter().rposition(refused));
    first.zip(last).is_some_and(|(first, last)| statuses.iter().take(last).skip(first).any(|status| *status == 200))
}

const RELOADED: &str = "wasm.portcullis.vm_reload_success";
/// The delay before a reload, including Envoy's jitter.
const RELOAD: Duration = Duration::from_secs(2);
