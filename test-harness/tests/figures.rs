//! The figures in the README are those that `make bench` published.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use test_harness::envoy::root;
use test_harness::manual::Page;

#[test]
fn the_readme_quotes_what_the_bench_published() -> Result<()> {
    let published: Value = serde_json::from_str(&fs::read_to_string(root().join("docs/bench/latest.json"))?)?;
    let page = Page::read(Path::new("README.md"))?;
    let tables = page.tables();
    let table = tables.iter().find(|table| table.column("Median").is_some()).context("no table of figures")?;
    let column = |title| table.column(title).with_context(|| format!("no column `{title}`"));
    let (goals, measured, limits, medians) =
        (column("Goal")?, column("Measured")?, column("Limit")?, column("Median")?);
    let mut quoted = BTreeSet::new();
    for (((goal, measured), limit), median) in goals.iter().zip(&measured).zip(&limits).zip(&medians) {
        let verdict =
            verdict(&published, goal, measured).with_context(|| format!("nobody measured {goal} by `{measured}`"))?;
        let figure = |at| verdict.pointer(at).and_then(Value::as_f64).unwrap_or(f64::NAN);
        let (wanted, right) = (figure("/limit").to_string(), format!("{:.2}", figure("/value/median")));
        ensure!((*limit, *median) == (wanted.as_str(), right.as_str()), "{goal}, {measured}: {right}, not {median}");
        quoted.extend(goal.split(' ').next());
    }
    ensure!(quoted.is_superset(&["P1", "P2", "P2b", "P3", "P4", "P5", "P6", "P7", "P8"].into()), "only {quoted:?}");
    Ok(())
}

/// Returns the result of this goal in the row `table, row`.
fn verdict<'v>(published: &'v Value, goal: &str, measured: &str) -> Option<&'v Value> {
    let text = |value: &'v Value, key| value.get(key).and_then(Value::as_str).unwrap_or_default();
    let rows = published.get("rows")?.as_array()?;
    let row = rows.iter().filter(|row| format!("{}, {}", text(row, "table"), text(row, "row")) == measured);
    row.filter_map(|row| row.get("goals")?.as_array()).flatten().find(|verdict| text(verdict, "goal") == goal)
}
