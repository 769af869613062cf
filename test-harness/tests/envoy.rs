//! Runs every case file through a real Envoy with the filter over HTTP/1.1, and some case files also over HTTP/2.
//!
//! The case files run with the wasm module, and again with the dynamic module if the installed Envoy can load it.

use std::process::ExitCode;

use test_harness::case::{Case, CaseFile};
use test_harness::envoy::{self, Host};
use test_harness::failure;
use test_harness::runner::{self, Check, Group};
use test_harness::stage::Stage;

fn main() -> ExitCode {
    let ready = CaseFile::read_all().and_then(|files| {
        let hosts = Host::all()?;
        hosts.iter().try_for_each(|host| envoy::module_of(*host).map(drop))?;
        Ok((files, hosts))
    });
    match ready {
        Ok((files, hosts)) => {
            let clients = hosts.into_iter().flat_map(|host| [(host, HTTP2), (host, HTTP1)]);
            let groups = clients.flat_map(|(host, client)| {
                let files = files.iter().filter(move |file| file.http2 || client.name == HTTP1.name);
                files.map(move |file| group(file.clone(), host, client))
            });
            // Six groups run at the same time even on few cores, because the groups mostly wait for fetches and timeouts.
            runner::run(groups.collect(), 6)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A client that sends the cases.
#[derive(Clone, Copy)]
struct Client {
    /// The first part of the names of its groups.
    name: &'static str,
    /// Returns whether the client can send a case.
    sends: fn(&Case) -> bool,
    /// Prepares the stage for the client.
    set: fn(Stage) -> Stage,
}

fn group(file: CaseFile, host: Host, client: Client) -> Group {
    let prefix = if host == Host::DynamicModule { "dynamic-" } else { "" };
    let name = format!("{prefix}{}/{}", client.name, file.stem);
    let mut checks = failure::names(&file, client.sends);
    checks.extend(["the filter never failed", "no token or secret was logged"].map(str::to_owned));
    let set_up = move || {
        let mut stage = (client.set)(Stage::set(&file, &envoy::module_of(host)?)?);
        let cases: Vec<Case> = file.cases.into_iter().filter(client.sends).collect();
        let check: Check = Box::new(move |index| match cases.get(index) {
            Some(case) => {
                let ran = stage.run(case);
                let log = || format!("\nenvoy:\n{}\n", stage.envoy.log_tail(15));
                failure::judge(case, &stage.scene, ran, log)
            }
            None if index == cases.len() => stage.filter_never_failed().map_err(|error| format!("{error:#}")),
            None => stage.nothing_secret_was_logged().map_err(|error| format!("{error:#}")),
        });
        Ok(check)
    };
    Group { name, checks, set_up: Box::new(set_up) }
}

const HTTP1: Client = Client { name: "envoy", sends: Case::for_envoy, set: |stage| stage };
const HTTP2: Client = Client { name: "http2", sends: Case::for_http2, set: Stage::over_http2 };
