//! Runs every case file against the core in this process.

use std::process::ExitCode;

use test_harness::case::{Case, CaseFile};
use test_harness::native::NativeStage;
use test_harness::runner::{self, Check, Group};
use test_harness::scene::Scene;
use test_harness::{clock, core_gateway, failure};

fn main() -> ExitCode {
    match CaseFile::read_all() {
        Ok(files) => runner::run(files.into_iter().map(group).collect(), 2),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn group(file: CaseFile) -> Group {
    let name = format!("native/{}", file.stem);
    let checks = failure::names(&file, Case::for_native);
    let set_up = move || {
        let scene = Scene::set(&file)?.at(clock::within_month);
        let mut stage = NativeStage::set(scene, &file, core_gateway::open)?;
        let cases: Vec<Case> = file.cases.into_iter().filter(Case::for_native).collect();
        let check: Check = Box::new(move |index| {
            let case = cases.get(index).ok_or("there is no such case")?;
            let ran = stage.run(case);
            failure::judge(case, &stage.scene, ran, String::new)
        });
        Ok(check)
    };
    Group { name, checks, set_up: Box::new(set_up) }
}
