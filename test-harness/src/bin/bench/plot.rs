//! Plots the ratio and the limit of each goal as SVG, on a logarithmic axis; goals without a ratio are omitted.

use std::fmt::Write;

use crate::machine::Machine;
use crate::row::{Row, Verdict};

/// Returns the plot as an SVG document.
pub fn svg(machine: &Machine, rows: &[Row]) -> String {
    let bars: Vec<(String, Verdict)> = rows.iter().flat_map(of_row).collect();
    let mut y = TOP;
    let mut body = String::new();
    for (label, verdict) in &bars {
        body.push_str(&bar(label, verdict, y));
        y += STEP;
    }
    let mut axis = String::new();
    for tick in TICKS {
        let x = place(tick);
        let strong = if (tick - 1.0).abs() < f64::EPSILON { "#555" } else { "#ddd" };
        let _infallible = write!(
            axis,
            "<line x1='{x:.1}' y1='{}' x2='{x:.1}' y2='{y}' stroke='{strong}'/><text x='{x:.1}' y='{}' text-anchor='middle'>{tick}</text>",
            TOP - 14.0,
            TOP - 20.0
        );
    }
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' font-family='sans-serif' font-size='12'>\
        <rect width='100%' height='100%' fill='white'/>\
        <text x='16' y='26' font-size='17'>Portcullis: CPU as a share of Envoy's own filters (left is better)</text>\
        <text x='16' y='46' fill='#555'>Envoy {}, {}, commit {}, {} · dot: median, line: minimum to maximum, bar: goal</text>\
        {axis}{body}</svg>\n",
        escape(&machine.envoy),
        escape(&machine.cpu),
        escape(&machine.commit),
        escape(&machine.date),
        height = y + 20.0,
    )
}

fn of_row(row: &Row) -> Vec<(String, Verdict)> {
    let ratios = row.verdicts().into_iter().filter(|verdict| verdict.against.is_some());
    ratios.map(|verdict| (format!("{} {}, {}", verdict.goal.name, row.table, row.name), verdict)).collect()
}

fn bar(label: &str, verdict: &Verdict, y: f64) -> String {
    let colour = if verdict.reached() { "#1a7f37" } else { "#c4320a" };
    let (min, median, max) = (place(verdict.value.min), place(verdict.value.median), place(verdict.value.max));
    let limit = place(verdict.goal.limit);
    format!(
        "<text x='{}' y='{:.1}' text-anchor='end'>{}</text>\
        <line x1='{min:.1}' y1='{y:.1}' x2='{max:.1}' y2='{y:.1}' stroke='{colour}' stroke-width='2'/>\
        <circle cx='{median:.1}' cy='{y:.1}' r='4.5' fill='{colour}'/>\
        <rect x='{:.1}' y='{:.1}' width='3' height='16' fill='#222'/>\
        <text x='{}' y='{:.1}' fill='{colour}'>{:.2}</text>",
        LEFT - 10.0,
        y + 4.0,
        escape(label),
        limit - 1.5,
        y - 8.0,
        RIGHT + 14.0,
        y + 4.0,
        verdict.value.median
    )
}

/// Returns the position of a ratio on the axis. Values beyond an end are drawn at that end.
fn place(ratio: f64) -> f64 {
    let [first, .., last] = TICKS;
    let share = (ratio.clamp(first, last) / first).ln() / (last / first).ln();
    LEFT + share * (RIGHT - LEFT)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&apos;")
}

const WIDTH: f64 = 960.0;
const LEFT: f64 = 340.0;
const RIGHT: f64 = 890.0;
const TOP: f64 = 96.0;
const STEP: f64 = 24.0;
const TICKS: [f64; 9] = [0.01, 0.03, 0.1, 0.3, 0.6, 1.0, 2.0, 5.0, 10.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_is_logarithmic_and_keeps_everything_on_the_paper() {
        assert!((place(0.01) - LEFT).abs() < 1e-9 && (place(10.0) - RIGHT).abs() < 1e-9);
        assert!((place(0.1) - place(0.01) - (place(1.0) - place(0.1))).abs() < 1e-9);
        assert!((place(f64::INFINITY) - RIGHT).abs() < 1e-9 && (place(-1.0) - LEFT).abs() < 1e-9);
    }
}
