//! Tests failures of the gateway itself: bad configurations, restarts, draining and overload.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use test_harness::client::Connection;
use test_harness::envoy::Host;
use test_harness::listeners::Listeners;
use test_harness::trial::{self, below, give, put};
use test_harness::{client, clock, envoy, generated, load, ports, program};

use crate::Plain;
use crate::allowed::{AllowedLosses, KEYLESS, SHED, WELL, all, either, slices};
use crate::pressure::Pressure;
use crate::site::{CLIENTS, PATIENCE, Site, more, until};

pub const CELLS: &[Plain] = &[
    ("configuration reloaded", reloaded),
    ("bad configuration pushed", bad_configuration),
    ("Envoy killed and started again", killed),
    ("Envoy drained", drained),
    ("Envoy overloaded", overloaded),
    ("more connections than allowed", too_many_connections),
];

/// Starts a gateway that reloads its listeners from a file. Returns the file, the gateway, and the generated configuration.
fn reloadable() -> Result<(Listeners, Site, Value)> {
    let listeners = Listeners::new()?;
    let mut good = Value::Null;
    let site = Site::with_changes(
        |_, _| Ok(()),
        |config| {
            good = config.clone();
            listeners.take(config)
        },
    )?;
    site.until("good", 200)?;
    Ok((listeners, site, good))
}

fn reloaded() -> Result<()> {
    let (listeners, site, mut good) = reloadable()?;
    site.during(WELL, |answered| {
        for version in 1..=3 {
            let mut policy = site.policy();
            let route = json!({ "path": format!("/version/{version}"), "auth": "none", "response": { "body": "new" } });
            below(&mut policy, "/routes")?.as_array_mut().context("no routes")?.push(route);
            give(&mut good, &policy)?;
            listeners.push(&mut good)?;
            let fresh = trial::get(&format!("/version/{version}"));
            let serves = || Ok(client::send(ports::loopback(site.port), &fresh, PATIENCE)?.status == 200);
            until("the new configuration to serve", serves)?;
            more(answered, 40)?;
        }
        Ok(())
    })?;
    Ok(())
}

fn bad_configuration() -> Result<()> {
    let (listeners, site, mut good) = reloadable()?;
    site.during(WELL, |answered| {
        for (count, fault) in ["/routes/1/upstreem", "/isuers", "/routes/0/methd"].iter().enumerate() {
            let mut policy = site.policy();
            put(&mut policy, fault, json!("x"))?;
            // If the gateway applied half of the configuration, this route would be public.
            put(&mut policy, "/routes/1/auth", json!("none"))?;
            give(&mut good, &policy)?;
            listeners.push(&mut good)?;
            let wanted = u64::try_from(count)? + 1;
            let rejected = || Ok(site.envoy()?.stat("listener_manager.lds.update_rejected")? >= wanted);
            until("the bad configuration to be rejected", rejected)?;
            more(answered, 40)?;
        }
        Ok(())
    })?;
    let logged = site.envoy()?.lines().iter().filter(|line| line.contains("configuration refused")).count();
    ensure!(logged >= 3, "expected at least 3 refused configurations in the log, found {logged}");
    Ok(())
}

/// Kills Envoy. Requests in progress and unwritten audit records are lost, but every response that arrives is correct.
fn killed() -> Result<()> {
    let mut site = Site::open()?;
    site.until("good", 200)?;
    site.under_load(WELL)?;
    let (sorts, port) = (site.sorts(), ports::loopback(site.port));
    let mut killed = None;
    let (before, mut sent) = load::during(port, CLIENTS, &sorts, |answered| {
        // This pause is longer than Envoy keeps records in memory, so most earlier records must be present.
        std::thread::sleep(UNWRITTEN * 3);
        let start = clock::now();
        site.kill();
        killed = Some(start.checked_sub(UNWRITTEN).unwrap_or(start)..clock::now());
        let before = answered.load(Ordering::Relaxed);
        site.start()?;
        more(answered, 40)?;
        site.until("good", 200)?;
        Ok(before)
    })?;
    ensure!(before >= 40, "only {before} requests were answered before Envoy was killed");
    // A client that could not connect has lost no request. Every other client can lose one request.
    sent.retain(|one| !one.answer.as_ref().is_err_and(|error| error.contains("cannot connect")));
    let allowed = either(WELL, KEYLESS);
    let counts = site.judge(&sent, &slices(&allowed), &AllowedLosses { under_way: CLIENTS, unwritten: killed })?;
    ensure!(
        counts.keys().any(|(sort, status, _)| (*sort, *status) == ("good", 200)),
        "no request with a valid token was forwarded: {counts:?}"
    );
    site.under_load(WELL)?;
    site.filter_never_failed()
}

/// Drains Envoy. Requests in progress must complete.
fn drained() -> Result<()> {
    let mut site = Site::open()?;
    site.until("good", 200)?;
    let slow = trial::bearer(trial::get("/orders/1?delay_ms=600"), &site.token("rsa-1")?);
    let to = ports::loopback(site.port);
    std::thread::scope(|scope| {
        let open: Vec<_> = (0..20).map(|_| scope.spawn(|| client::send(to, &slow, PATIENCE))).collect();
        site.during(WELL, |answered| {
            more(answered, 20)?;
            site.envoy()?.admin_post("/healthcheck/fail")?;
            site.envoy()?.admin_post("/drain_listeners?graceful&skip_exit")?;
            more(answered, 20)
        })?;
        for request in open {
            let response = request.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
            ensure!(response.status == 200, "an open request ended with {}", response.status);
        }
        Ok(())
    })?;
    site.filter_never_failed()
}

fn overloaded() -> Result<()> {
    let pressure = Pressure::new()?;
    let mut site = Site::with_changes(|_, _| Ok(()), |config| pressure.take(config))?;
    site.until("good", 200)?;
    let nothing = all(&[SHED]);
    let both = either(WELL, &nothing);
    let both = slices(&both);
    site.during(&both, |_| {
        pressure.set("0.99")?;
        site.within(LOOK, "static", 503)
    })?;
    site.under_load(&nothing)?;
    ensure!(site.reached() == 0, "a request that was shed reached the upstream");
    site.during(&both, |_| {
        pressure.set("0.1")?;
        site.within(LOOK, "good", 200)
    })?;
    site.under_load(WELL)?;
    site.filter_never_failed()
}

/// Opens more connections than the limit allows. Envoy closes each excess connection without a response, and keeps the existing
/// connections.
fn too_many_connections() -> Result<()> {
    const MOST: usize = 8;
    let document = RefCell::new(Value::Null);
    let mut site = Site::with_changes(
        |policy, _| {
            document.replace(policy.clone());
            Ok(())
        },
        |config| {
            *below(config, "/overload_manager")? = overload_manager(&document.borrow(), MOST)?;
            Ok(())
        },
    )?;
    site.until("good", 200)?;
    let (to, health) = (ports::loopback(site.port), trial::get("/health"));
    let well = |connection: &mut Connection| connection.exchange(&health).is_ok_and(|response| response.status == 200);
    let mut open = Vec::new();
    // The test waits, because Envoy might not have closed the connections of the previous clients yet.
    until("the maximum number of connections to be open", || {
        let mut next = Connection::open(to, PATIENCE)?;
        if well(&mut next) {
            open.push(next);
        }
        Ok(open.len() == MOST)
    })?;
    for _ in 0..20 {
        let beyond = Connection::open(to, PATIENCE).and_then(|mut beyond| beyond.exchange(&health));
        ensure!(beyond.is_err(), "Envoy served a request on more than {MOST} connections");
        ensure!(open.iter_mut().all(well), "Envoy did not serve a request on one of the first {MOST} connections");
    }
    let closed = site.envoy()?.stat(&format!("listener.*_{}.downstream_global_cx_overflow", site.port))?;
    ensure!(closed >= 20, "expected at least 20 closed connections, but Envoy counted {closed}");
    drop(open);
    site.until("good", 200)?;
    site.under_load(WELL)?;
    site.filter_never_failed()
}

/// Returns the settings of the overload manager that `portcullis generate envoy --max-connections` writes.
fn overload_manager(document: &Value, most: usize) -> Result<Value> {
    let folder = envoy::fresh_folder()?;
    let file = folder.join("gateway.json");
    fs::write(&file, document.to_string())?;
    let text = |path: &Path| path.display().to_string();
    let (host, option) = generated::options(Host::chosen());
    let module = text(&envoy::module()?);
    let arguments =
        ["generate", "envoy", &text(&file), "--host", host, option, &module, "--max-connections", &most.to_string()];
    let written = program::output(&arguments.map(str::to_owned), &[])?;
    fs::remove_dir_all(folder)?;
    let mut config: Value = serde_saphyr::from_str(&written)?;
    Ok(below(&mut config, "/overload_manager")?.take())
}

/// The longest time for which Envoy may keep records in memory: ten times the flush interval of the harness.
const UNWRITTEN: Duration = Duration::from_millis(500);
/// The interval at which Envoy reads the memory pressure.
const LOOK: Duration = Duration::from_millis(250);
