//! Tests each row of the failure tables in `docs/failures.md` with a real Envoy under load.

mod allowed;
mod clock;
mod documents;
mod filter;
mod gateway;
mod given;
mod limits;
mod pressure;
mod site;
mod uploads;
mod upstream;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use test_harness::envoy::{self, Host};
use test_harness::manual::Page;
use test_harness::runner::{self, Check, Group};

/// The test of a row in `docs/failures.md`: the name of the row, and the function that causes the failure and checks the outcome.
type Cell = (String, Box<dyn Fn() -> Result<()> + Send>);

/// A [`Cell`] as a constant: its name is static, and its function captures nothing.
type Plain = (&'static str, fn() -> Result<()>);

fn main() -> ExitCode {
    if let Err(error) = envoy::module().and_then(|_| envoy::find()) {
        eprintln!("error: {error:#}");
        return ExitCode::FAILURE;
    }
    let plain = [limits::CELLS, upstream::CELLS, filter::WASM_CELLS, gateway::CELLS, uploads::CELLS].concat();
    let plain = plain.into_iter().map(|(name, cell)| (name.to_owned(), Box::new(cell) as _));
    let mut cells: Vec<Cell> = documents::cells().into_iter().chain(plain).chain(clock::cells()).collect();
    let mut names: BTreeSet<String> = cells.iter().map(|(name, _)| name.clone()).collect();
    let is_for_wasm = |cell: &Cell| filter::WASM_CELLS.iter().any(|(name, _)| *name == cell.0);
    cells.retain(|cell| Host::chosen() == Host::Wasm || !is_for_wasm(cell));
    let mut groups: Vec<_> = cells.into_iter().map(group).collect();
    groups.push(Group {
        name: "failures".to_owned(),
        checks: vec!["every row of the matrix has its test, and every test its row".to_owned()],
        set_up: Box::new(move || {
            let check = move |_| same_rows(std::mem::take(&mut names)).map_err(|error| format!("{error:#}"));
            Ok(Box::new(check) as Check)
        }),
    });
    // One group at a time: some tests stop an Envoy and start it again on the same port, which another test could take.
    runner::run(groups, 1)
}

fn group((name, cell): Cell) -> Group {
    let run = move |_| cell().map_err(|error| format!("{error:#}"));
    Group { name: "failures".to_owned(), checks: vec![name], set_up: Box::new(move || Ok(Box::new(run) as Check)) }
}

fn same_rows(tests: BTreeSet<String>) -> Result<()> {
    let tables = Page::read(Path::new("docs/failures.md"))?.tables();
    let rows = tables.iter().filter_map(|table| table.column("What fails")).flatten();
    let rows: BTreeSet<String> = rows.map(str::to_owned).collect();
    ensure!(!rows.is_empty(), "docs/failures.md has no rows");
    let difference: Vec<_> = rows.symmetric_difference(&tests).collect();
    let none = difference.is_empty().then_some(());
    none.with_context(|| format!("these names are a row of docs/failures.md or a test, but not both: {difference:?}"))
}
