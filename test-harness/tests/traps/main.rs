//! Tests with a real Envoy that the filter avoids the known traps of Envoy and proxy-wasm (envoy-facts §0).
//!
//! A trap is a behaviour of Envoy or proxy-wasm that can make a gateway filter unsafe or unreliable.

mod bodies;
mod certificates;
mod configure;
mod dynamic_module;
mod failure;
mod floods;
mod headers;
mod limits;
mod metrics;
mod midway;
mod modules;
mod outage;
mod permissions;
mod reloads;
mod replies;
mod streams;
mod traces;
mod upload;
mod waiting;

use std::process::ExitCode;

use anyhow::Result;
use test_harness::envoy::{self, Host};
use test_harness::runner::{self, Check, Group};

/// The name of a trap test, and the function that runs it.
type Trap = (&'static str, fn() -> Result<()>);

fn main() -> ExitCode {
    if let Err(error) = envoy::module().and_then(|_| envoy::find()) {
        eprintln!("error: {error:#}");
        return ExitCode::FAILURE;
    }
    let both = [
        ("bodies", bodies::TRAPS),
        ("certificates", certificates::TRAPS),
        ("configure", configure::TRAPS),
        ("floods", floods::TRAPS),
        ("headers", headers::TRAPS),
        ("limits", limits::TRAPS),
        ("metrics", metrics::TRAPS),
        ("midway", midway::TRAPS),
        ("outage", outage::TRAPS),
        ("permissions", permissions::TRAPS),
        ("replies", replies::TRAPS),
        ("streams", streams::TRAPS),
        ("traces", traces::TRAPS),
        ("waiting", waiting::TRAPS),
    ];
    let wasm = [
        ("bodies", bodies::WASM_TRAPS),
        ("configure", configure::WASM_TRAPS),
        ("failure", failure::WASM_TRAPS),
        ("limits", limits::WASM_TRAPS),
        ("modules", modules::WASM_TRAPS),
    ];
    let dynamic_module = [("dynamic_module", dynamic_module::TRAPS), ("reloads", reloads::TRAPS)];
    let of_the_host = match Host::chosen() {
        Host::Wasm => wasm.as_slice(),
        Host::DynamicModule => dynamic_module.as_slice(),
    };
    let rooms = both.iter().chain(of_the_host);
    // One group at a time: some tests stop an Envoy and start it again on the same port, which another test could take.
    runner::run(rooms.map(|(name, traps)| group(name, traps)).collect(), 1)
}

fn group(name: &str, traps: &'static [Trap]) -> Group {
    let run = |index: usize| match traps.get(index) {
        Some((_, trap)) => trap().map_err(|error| format!("{error:#}")),
        None => Err("no such check".to_owned()),
    };
    Group {
        name: format!("traps/{name}"),
        checks: traps.iter().map(|(sentence, _)| (*sentence).to_owned()).collect(),
        set_up: Box::new(move || Ok(Box::new(run) as Check)),
    }
}
