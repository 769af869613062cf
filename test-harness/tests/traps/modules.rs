//! Tests that the generator selects the module that a document needs, and that the smaller module refuses the document.

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};
use test_harness::client::Request;
use test_harness::trial::{self, Gate, HOST, Servers, below, give, plugin, put};

use crate::Trap;
use crate::configure::odd;

pub const WASM_TRAPS: &[Trap] = &[
    ("0.1 a module without a required feature refuses the whole document", refused_whole),
    ("the generator takes the module that has what a document needs", picked),
    ("the fuller module takes what the smaller one does", takes_all),
];

/// Returns a document with a schema for the bodies of one route.
fn with_schema(servers: &Servers) -> Result<Value> {
    let mut policy = servers.policy();
    let checks = json!({ "json": { "required": true, "schema": { "type": "object", "required": ["id"] } } });
    put(&mut policy, "/routes/4/checks", checks)?;
    Ok(policy)
}

fn refused_whole() -> Result<()> {
    let servers = Servers::start()?;
    let policy = with_schema(&servers)?;
    // The generator would select the full module, so the test puts the document into a configuration with the smaller module.
    let started = Gate::with_changes(&servers.policy(), |config| give(config, &policy));
    let Err(refused) = started else { bail!("Envoy started with a document whose schemas the module cannot check") };
    let said = format!("{refused:#}");
    let place = "configuration refused: routes[4].checks.json.schema: a JSON Schema needs the full module";
    ensure!(said.contains(place), "the log does not contain the reason: {said}");
    Ok(())
}

fn picked() -> Result<()> {
    let servers = Servers::start()?;
    let mut named = Value::Null;
    let mut gate = Gate::with_changes(&with_schema(&servers)?, |config| {
        named = below(plugin(config)?, "/vm_config/code/local/filename")?.clone();
        Ok(())
    })?;
    ensure!(
        named.as_str().is_some_and(|file| file.ends_with("portcullis-full.wasm")),
        "the generator selected {named}"
    );
    for (body, status) in [("{\"id\":1}", 200), ("{}", 422), ("", 400)] {
        let mut request = Request::new("POST", "/open/1", HOST).header("content-type", "application/json");
        request = request.header("content-length", &body.len().to_string());
        request.body = body.as_bytes().to_vec();
        let got = gate.send(&request)?.status;
        ensure!(got == status, "{body}: {got}");
    }
    gate.never_failed()
}

fn takes_all() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::with_changes(&servers.policy(), |config| {
        let file = below(plugin(config)?, "/vm_config/code/local/filename")?.as_str().unwrap_or_default().to_owned();
        let fuller = file.replace("portcullis.wasm", "portcullis-full.wasm");
        ensure!(file != fuller, "the generator selected {file} for a document without schemas");
        odd(config, fuller.as_ref())
    })?;
    let token = servers.token(&json!({}))?;
    ensure!(gate.send(&trial::bearer(trial::get("/orders/1"), &token))?.status == 200, "a valid token was refused");
    ensure!(gate.send(&trial::get("/orders/1"))?.status == 401, "a request without a token was not refused");
    gate.never_failed()
}
