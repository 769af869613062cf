//! Formats the results as Markdown for people and as JSON for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::machine::Machine;
use crate::row::{BARE, Row, Verdict};
use crate::spread::Spread;

/// A page of results.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// The name of its files, without an extension.
    pub file: &'static str,
    /// The heading.
    pub title: &'static str,
    /// An explanation of the tables. The page shows it after the description of the machine.
    pub note: &'static str,
}

/// Returns the report as Markdown.
pub fn markdown(page: Page, machine: &Machine, rows: &[Row], compared: usize) -> String {
    let mut text = head(page, machine, compared);
    if rows.iter().any(|row| !row.goals.is_empty()) {
        text.push_str(&goals(rows));
    }
    let mut tables: Vec<&str> = Vec::new();
    for Row { table, unit, .. } in rows {
        if !tables.contains(table) {
            tables.push(table);
            let subject = subject(table);
            let _infallible =
                writeln!(text, "\n## {table}\n\n| {subject} | variant | {unit} | added |\n|---|---|---|---|");
            rows.iter().filter(|row| row.table == *table).for_each(|row| text.push_str(&lines(row)));
        }
    }
    text
}

/// Returns the report as JSON, with the figures of every round.
pub fn json(machine: &Machine, rows: &[Row], compared: usize) -> Value {
    let row = |row: &Row| {
        let variant = |(name, figures): &(&str, Vec<f64>)| {
            json!({
                "variant": name, "rounds": figures, "whole": row.spread(name, false), "added": row.spread(name, true),
            })
        };
        json!({
            "table": row.table, "row": row.name, "unit": row.unit,
            "variants": row.figures.iter().map(variant).collect::<Vec<_>>(),
            "goals": row.verdicts().iter().map(goal).collect::<Vec<_>>(),
        })
    };
    json!({ "machine": machine, "equal_effects_compared": compared, "rows": rows.iter().map(row).collect::<Vec<_>>() })
}

fn head(page: Page, machine: &Machine, compared: usize) -> String {
    let Page { title, note, .. } = page;
    let Machine { envoy, cpu, cores, kernel, commit, date, load } = machine;
    format!(
        "# {title}\n\n\
        `make bench` wrote this page on {date}, for commit `{commit}`, with Envoy {envoy} on {cpu} ({cores} cores, \
        Linux {kernel}, load average {load} before the run).\n\n\
        To measure CPU time, Envoy has one worker on one core, and the client and the upstream use the other core. Unless a \
        table has another unit, the figures are the CPU time of the Envoy process for one request, averaged over all requests \
        of a round. The column *added* subtracts the cost of an Envoy without filters. Each round measures every variant. A \
        cell contains the median of the rounds and, in parentheses, the minimum and the maximum. Compare figures only within \
        one run. Before the measurement, the benchmark made {compared} comparisons between variants: they gave the client the \
        same status and CORS headers, and the upstream the same identity headers.\n{note}"
    )
}

fn goals(rows: &[Row]) -> String {
    let mut text =
        "\n## Goals\n\n| goal | measured as | limit | min | median | max | reached |\n|---|---|---|---|---|---|---|\n"
            .to_owned();
    for row in rows {
        for verdict in row.verdicts() {
            let Verdict { goal, against, value } = verdict;
            let what = if goal.added { "added cost" } else { "cost" };
            let against = against.map_or_else(|| format!(", {}", row.unit), |against| format!(" / {against}"));
            let reached = if verdict.reached() { "yes" } else { "**no**" };
            let _infallible = writeln!(
                text,
                "| {} | {}, {}: {what} of {}{against} | ≤ {} | {:.2} | {:.2} | {:.2} | {reached} |",
                goal.name, row.table, row.name, goal.variant, goal.limit, value.min, value.median, value.max
            );
        }
    }
    text
}

fn lines(row: &Row) -> String {
    let mut text = String::new();
    let measures_bare = row.figures.iter().any(|(name, _)| *name == BARE);
    for (name, _) in &row.figures {
        let whole = row.spread(name, false).map(brackets).unwrap_or_default();
        let added = row.spread(name, true).filter(|_| measures_bare && *name != BARE).map(brackets).unwrap_or_default();
        let _infallible = writeln!(text, "| {} | {name} | {whole} | {added} |", row.name);
    }
    text
}

fn goal(verdict: &Verdict) -> Value {
    json!({
        "goal": verdict.goal.name, "variant": verdict.goal.variant, "against": verdict.against, "added": verdict.goal.added,
        "limit": verdict.goal.limit, "value": verdict.value, "reached": verdict.reached(),
    })
}

fn brackets(spread: Spread) -> String {
    format!("{:.1} ({:.1}–{:.1})", spread.median, spread.min, spread.max)
}

fn subject(table: &str) -> &'static str {
    match table {
        "Warm token" | "Token never seen before" => "algorithm",
        "Valid tokens in rotation" => "how many",
        "Last of n routes" => "n",
        _ => "what",
    }
}
