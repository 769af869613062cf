//! Checks that the tables of figures and metrics in the documentation agree with the benchmark and the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use portcullis::gateway::metrics::{METRICS, tag_rules};
use serde_json::Value;
use test_harness::envoy::root;
use test_harness::manual::Page;

#[test]
fn the_readme_quotes_the_published_benchmark() -> Result<()> {
    let published: Value = serde_json::from_str(&fs::read_to_string(root().join("docs/bench/latest.json"))?)?;
    let page = Page::read(Path::new("README.md"))?;
    let tables = page.tables();
    let table = tables.iter().find(|table| table.column("Median").is_some()).context("no table of figures")?;
    let column = |title| table.column(title).with_context(|| format!("no column `{title}`"));
    let (goals, measured, limits, medians) =
        (column("Goal")?, column("Measured")?, column("Limit")?, column("Median")?);
    let mut quoted = BTreeSet::new();
    for (((goal, measured), limit), median) in goals.iter().zip(&measured).zip(&limits).zip(&medians) {
        let verdict = verdict(&published, goal, measured)
            .with_context(|| format!("docs/bench/latest.json has no result for {goal}, `{measured}`"))?;
        let figure = |at| verdict.pointer(at).and_then(Value::as_f64).unwrap_or(f64::NAN);
        let (wanted, right) = (figure("/limit").to_string(), format!("{:.2}", figure("/value/median")));
        ensure!(
            (*limit, *median) == (wanted.as_str(), right.as_str()),
            "{goal}, {measured}: the README has {limit} and {median}, the benchmark has {wanted} and {right}"
        );
        quoted.extend(goal.split(' ').next());
    }
    ensure!(
        quoted.is_superset(&["P1", "P2", "P2b", "P3", "P4", "P5", "P6", "P7", "P8"].into()),
        "the README must have all goals from P1 to P8, but has only {quoted:?}"
    );
    Ok(())
}

/// Finds the published result of a goal. `measured` has the form `table, row`.
fn verdict<'v>(published: &'v Value, goal: &str, measured: &str) -> Option<&'v Value> {
    let text = |value: &'v Value, key| value.get(key).and_then(Value::as_str).unwrap_or_default();
    let rows = published.get("rows")?.as_array()?;
    let row = rows.iter().filter(|row| format!("{}, {}", text(row, "table"), text(row, "row")) == measured);
    row.filter_map(|row| row.get("goals")?.as_array()).flatten().find(|verdict| text(verdict, "goal") == goal)
}

/// `docs/metrics.md` must have the metrics and the tag rules that the code defines.
#[test]
fn the_page_of_metrics_has_every_metric() -> Result<()> {
    let page = Page::read(Path::new("docs/metrics.md"))?;
    let table = page.tables().into_iter().find(|table| table.header.first().is_some_and(|title| title == "Metric"));
    let rows = table.context("no table of metrics")?.rows;
    let expected: Vec<Vec<String>> = METRICS
        .iter()
        .map(|metric| {
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            vec![format!("`{}`", metric.name), labels.join(", "), metric.help.to_owned()]
        })
        .collect();
    ensure!(rows == expected, "docs/metrics.md has {rows:#?} instead of {expected:#?}");
    let rules = page.blocks().into_iter().find(|block| block.text.contains("stats_tags")).context("no tag rules")?.text;
    let expected: Vec<String> =
        tag_rules().map(|(label, rule)| format!("{{ tag_name: {label}, regex: '{rule}' }}")).collect();
    for rule in &expected {
        ensure!(rules.contains(rule), "docs/metrics.md has no rule {rule}");
    }
    ensure!(rules.matches("tag_name").count() == expected.len(), "docs/metrics.md has a rule for an unknown label");
    Ok(())
}
