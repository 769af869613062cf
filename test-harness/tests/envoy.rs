//! Runs every case file through a real Envoy with the filter.

use std::process::ExitCode;

use test_harness::case::{Case, CaseFile};
use test_harness::runner::{self, Check, Group};
use test_harness::stage::Stage;
use test_harness::{envoy, failure};

fn main() -> ExitCode {
    let ready = CaseFile::read_all().and_then(|files| Ok((files, envoy::module()?, envoy::find()?)));
    match ready {
        Ok((files, ..)) => runner::run(files.into_iter().map(group).collect(), 2),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn group(file: CaseFile) -> Group {
    let name = format!("envoy/{}", file.stem);
    let mut checks = failure::names(&file, Case::for_envoy);
    checks.extend(["the filter never failed", "no token or secret was logged"].map(str::to_owned));
    let set_up = move || {
        let mut stage = Stage::set(&file, &envoy::module()?)?;
        let cases: Vec<Case> = file.cases.into_iter().filter(Case::for_envoy).collect();
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
