//! `make bench` measures the CPU time of Portcullis in a real Envoy and compares it with Envoy's own filters for the same task.

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
use row::Row;
use tables::{Extent, Wallet};
use test_harness::envoy;
use timer::Timer;
use upstream::Upstream;
use variant::Workshop;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let extent = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => FULL,
        ["--quick"] => QUICK,
        other => bail!("expected nothing or `--quick`, found `{}`", other.join(" ")),
    };
    let timer = Timer::start();
    let envoy = envoy::find()?;
    let machine = Machine::look(&envoy)?;
    let wallet = Wallet::mint(&extent)?;
    let scratch = envoy::root().join("target/bench");
    fs::create_dir_all(&scratch)?;
    process::pin_self()?;
    let shop = Workshop::open(envoy, scratch, Upstream::start()?, gateway()?);
    let rows = run(&shop, &extent, &wallet)?;
    let compared = shop.compared();
    let (text, figures) = (report::markdown(&machine, &rows, compared), report::json(&machine, &rows, compared));
    let out = out_folder(&extent);
    fs::create_dir_all(&out)?;
    fs::write(out.join("latest.md"), &text)?;
    fs::write(out.join("latest.json"), format!("{figures:#}\n"))?;
    fs::write(out.join("latest.svg"), plot::svg(&machine, &rows))?;
    print!("{text}");
    eprintln!("{:.0} s; written to {}", timer.milliseconds() / 1e3, out.display());
    Ok(())
}

fn run(shop: &Workshop, extent: &Extent, wallet: &Wallet) -> Result<Vec<Row>> {
    let site = shop.site(1);
    let mut rows = Vec::new();
    eprintln!("tokens …");
    rows.extend(tables::of_tokens(shop, extent, wallet)?);
    eprintln!("replies …");
    rows.extend(tables::of_replies(shop, extent, wallet)?);
    eprintln!("routes …");
    rows.extend(tables::of_routes(shop, extent, wallet)?);
    eprintln!("limits …");
    rows.extend(limits::table(shop, extent, wallet)?);
    eprintln!("start-up and memory …");
    rows.push(proxy_life::start_up(shop, &site, extent.starts)?);
    rows.push(proxy_life::memory(shop, &site, wallet.any()?, extent.starts)?);
    if let Some(gateway) = &shop.gateway {
        rows.push(proxy_life::size(&gateway.module)?);
    }
    Ok(rows)
}

/// Returns the paths of the module that `make wasm` builds and of the command line in this program's folder. If `RIVALS_ONLY` is
/// set, returns `None`, and the benchmark measures only the baselines.
fn gateway() -> Result<Option<Gateway>> {
    if std::env::var_os("RIVALS_ONLY").is_some() {
        return Ok(None);
    }
    let own = std::env::current_exe()?;
    let gateway =
        Gateway { module: envoy::root().join("dist/portcullis.wasm"), program: own.with_file_name("portcullis") };
    for (file, maker) in [(&gateway.module, "make wasm"), (&gateway.program, "make bench")] {
        ensure!(file.is_file(), "{} is missing; `{maker}` builds it", file.display());
    }
    Ok(Some(gateway))
}

/// Returns the folder for the results. The results of a quick run are not written to `docs/bench`, because they are too imprecise
/// to publish.
fn out_folder(extent: &Extent) -> PathBuf {
    envoy::root().join(if extent.rounds == FULL.rounds { "docs/bench" } else { "target/bench" })
}

const FULL: Extent = Extent {
    rounds: 15,
    requests: 2_500,
    cold: 250,
    live: &[4_000, 10_000],
    routes: &[10, 100, 1_000, 5_000, 10_000],
    starts: 7,
};
const QUICK: Extent = Extent { rounds: 5, requests: 1_500, cold: 200, live: &[4_000], routes: &[10, 5_000], starts: 3 };
