//! `make bench` measures the CPU time of Portcullis in a real Envoy and compares it with Envoy's own filters for the same task.

mod answers;
mod equal;
mod floor;
mod gateway;
mod limits;
mod listener;
mod load;
mod machine;
mod measure;
mod native;
mod plot;
mod process;
mod proxy_life;
mod report;
mod responses;
mod row;
mod site;
mod spread;
mod tables;
mod timer;
mod tokens;
mod upstream;
mod variant;

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use gateway::Gateway;
use machine::Machine;
use report::Page;
use row::Row;
use tables::{RunSize, TokenPool};
use test_harness::envoy;
use timer::Timer;
use upstream::Upstream;
use variant::BenchContext;

fn main() -> Result<()> {
    let (mut size, mut all) = (FULL, true);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--quick" => size = QUICK,
            "--responses" => all = false,
            other => bail!("expected nothing, `--quick` or `--responses`, found `{other}`"),
        }
    }
    // With `--responses`, the benchmark measures only response bodies, which need one token. So it mints no other tokens of RS256.
    let size = if all { size } else { RunSize { cold: 0, live: &[], ..size } };
    let timer = Timer::start();
    let envoy = envoy::find()?;
    let machine = Machine::look(&envoy)?;
    let tokens = TokenPool::mint(&size)?;
    let scratch = envoy::root().join("target/bench");
    fs::create_dir_all(&scratch)?;
    process::pin_self()?;
    let context = BenchContext::open(envoy, scratch, Upstream::start()?, gateway()?);
    let out = out_folder(&size);
    fs::create_dir_all(&out)?;
    let write = |page: Page, rows: &[Row], compared: usize| {
        let text = report::markdown(page, &machine, rows, compared);
        let figures = report::json(&machine, rows, compared);
        print!("{text}");
        fs::write(out.join(page.file).with_extension("md"), text)?;
        fs::write(out.join(page.file).with_extension("json"), format!("{figures:#}\n"))
    };
    if all {
        let rows = run(&context, &size, &tokens)?;
        write(LATEST, &rows, context.compared())?;
        fs::write(out.join("latest.svg"), plot::svg(&machine, &rows))?;
    }
    if context.gateway.is_some() {
        eprintln!("response bodies …");
        let before = context.compared();
        let rows = responses::table(&context, &size, &tokens)?;
        write(RESPONSES, &rows, context.compared() - before)?;
    }
    eprintln!("{:.0} s; written to {}", timer.milliseconds() / 1e3, out.display());
    Ok(())
}

fn run(context: &BenchContext, size: &RunSize, tokens: &TokenPool) -> Result<Vec<Row>> {
    let site = context.site(1);
    let mut rows = Vec::new();
    eprintln!("tokens …");
    rows.extend(tables::of_tokens(context, size, tokens)?);
    eprintln!("replies …");
    rows.extend(tables::of_replies(context, size, tokens)?);
    eprintln!("routes …");
    rows.extend(tables::of_routes(context, size, tokens)?);
    eprintln!("limits …");
    rows.extend(limits::table(context, size, tokens)?);
    eprintln!("start-up and memory …");
    rows.extend(proxy_life::start_up(context, &site, size.starts)?);
    rows.extend(proxy_life::memory(context, &site, tokens.any()?, size.starts)?);
    if let Some(gateway) = &context.gateway {
        rows.push(proxy_life::size(gateway)?);
    }
    Ok(rows)
}

/// Returns the path of the module that `make wasm` builds, and the path of `portcullis` in the folder of this program. If the
/// environment variable `RIVALS_ONLY` is set, returns `None`, and the benchmark measures only the baselines.
fn gateway() -> Result<Option<Gateway>> {
    if std::env::var_os("RIVALS_ONLY").is_some() {
        return Ok(None);
    }
    let own = std::env::current_exe()?;
    let gateway =
        Gateway { module: envoy::root().join("dist/portcullis.wasm"), program: own.with_file_name("portcullis") };
    let (full, dynamic) = (gateway.full_module(), gateway.dynamic_module());
    let dynamic = (&dynamic, "make dynamic-module");
    for (file, maker) in
        [(&gateway.module, "make wasm"), (&full, "make wasm"), dynamic, (&gateway.program, "make bench")]
    {
        ensure!(file.is_file(), "{} is missing; `{maker}` builds it", file.display());
    }
    Ok(Some(gateway))
}

/// Returns the folder for the results. The results of a quick run are not written to `docs/bench`, because they are too imprecise
/// to publish.
fn out_folder(size: &RunSize) -> PathBuf {
    envoy::root().join(if size.rounds == FULL.rounds { "docs/bench" } else { "target/bench" })
}

const LATEST: Page = Page { file: "latest", title: "What Portcullis costs", note: "" };
const RESPONSES: Page = Page {
    file: "responses",
    title: "What response bodies cost",
    note: "\nEnvoy calls the full module, `portcullis-full.wasm`, for every chunk of a response body, on every route. The last \
        call of a body from an HTTP/1 upstream reports only the end of the body; it counts as a chunk here. The small module, \
        `portcullis.wasm`, has no such calls. The compared effects include the body that the client receives.\n",
};
const FULL: RunSize = RunSize {
    rounds: 15,
    requests: 2_500,
    cold: 250,
    live: &[4_000, 10_000],
    routes: &[10, 100, 1_000, 5_000, 10_000],
    starts: 7,
};
const QUICK: RunSize =
    RunSize { rounds: 5, requests: 1_500, cold: 200, live: &[4_000], routes: &[10, 5_000], starts: 3 };
