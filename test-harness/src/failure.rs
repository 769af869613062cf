//! Reports a failing case: the configuration, the request, the expected and the actual outcome, and Envoy's last log lines.

use anyhow::Result;

use crate::case::{Case, CaseFile};
use crate::client::Request;
use crate::expect;
use crate::octets;
use crate::outcome::{self, Outcome};
use crate::scene::Scene;

/// Compares the outcome of a case with the expected outcome. If they differ or the case did not run, returns the report as the
/// error.
pub fn judge(
    case: &Case,
    scene: &Scene,
    ran: Result<(Request, Outcome)>,
    log: impl Fn() -> String,
) -> Result<(), String> {
    let (request, outcome) = match ran {
        Ok(ran) => ran,
        Err(error) => return Err(format!("{error:#}\n\nconfig:\n{}\n{}", pretty(scene), log())),
    };
    let differences =
        expect::differences(&case.expect, &scene.places, &outcome).map_err(|error| format!("{error:#}"))?;
    if differences.is_empty() {
        return Ok(());
    }
    let sent: outcome::Headers =
        request.headers.iter().map(|(name, value)| (octets::escape(name), value.clone())).collect();
    let mut text = String::new();
    differences.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    text.push_str(&format!("\nconfig:\n{}\n", pretty(scene)));
    let line = [request.method.as_slice(), b" ", &request.target].concat();
    text.push_str(&format!("\nrequest:\n    {}\n{}", octets::escape(&line), outcome::print(&sent)));
    text.push_str(&format!("\nexpected:\n    {:?}\n", case.expect));
    text.push_str(&format!("\ngot:\n    {}\n{}", outcome.status, outcome::print(&outcome.headers)));
    text.push_str(&format!("    {}\n", String::from_utf8_lossy(&outcome.body)));
    match &outcome.forwarded {
        None => text.push_str("  nothing reached the upstream\n"),
        Some(got) => text.push_str(&format!(
            "  the upstream {} got {} {}\n{}",
            got.upstream,
            got.method,
            got.path,
            outcome::print(&got.headers)
        )),
    }
    if let Some(audit) = &outcome.audit {
        text.push_str(&format!("  audit {audit}\n"));
    }
    text.push_str(&log());
    Err(text)
}

/// Returns the names of the cases for which `wanted` returns `true`. The test runner runs one check for each name.
pub fn names(file: &CaseFile, wanted: fn(&Case) -> bool) -> Vec<String> {
    file.cases.iter().filter(|case| wanted(case)).map(|case| case.name.clone()).collect()
}

fn pretty(scene: &Scene) -> String {
    serde_json::to_string_pretty(&scene.policy).unwrap_or_default()
}
