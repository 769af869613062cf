//! Runs every case file through a real Envoy with the filter over HTTP/1.1, and some case files also over HTTP/2.

use std::process::ExitCode;

use test_harness::case::{Case, CaseFile};
use test_harness::runner::{self, Check, Group};
use test_harness::stage::Stage;
use test_harness::{envoy, failure};

fn main() -> ExitCode {
    let ready = CaseFile::read_all().and_then(|files| Ok((files, envoy::module()?, envoy::find()?)));
    match ready {
        Ok((files, ..)) => {
            let again = files.iter().filter(|file| file.http2).cloned().map(|file| group(file, HTTP2));
            let groups = again.collect::<Vec<_>>().into_iter().chain(files.into_iter().map(|file| group(file, HTTP1)));
            runner::run(groups.collect(), 2)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A client for the cases: the prefix of the names of its groups (`PREFIX/FILE`), a function that returns whether the client can
/// send a case, and a function that prepares the stage.
type Client = (&'static str, fn(&Case) -> bool, fn(Stage) -> Stage);

fn group(file: CaseFile, (client, sends, set): Client) -> Group {
    let name = format!("{client}/{}", file.stem);
    let mut checks = failure::names(&file, sends);
    checks.extend(["the filter never failed", "no token or secret was logged"].map(str::to_owned));
    let set_up = move || {
        let mut stage = set(Stage::set(&file, &envoy::module()?)?);
        let cases: Vec<Case> = file.cases.into_iter().filter(sends).collect();
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

const HTTP1: Client = ("envoy", Case::for_envoy, |stage| stage);
const HTTP2: Client = ("http2", Case::for_http2, Stage::over_http2);
