//! `keys report`: prints the owner of each client, the state of its keys, and the keys that need attention.

mod trail_report;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::client_file::{ClientFile, ClientFileContext};
use super::trail::TrailHistory;
use super::{format_time, is_alive, key_state, trail};
use trail_report::TrailReport;

use crate::cli::{Exit, Failure, Output, ToolOutcome, clock, gateway, text_table};
use crate::config::client::{ClientKey, ClientSettings};
use crate::policy::credentials::api_key::environment_of;

/// The options of `keys report`.
#[derive(Args)]
pub struct KeysReportOptions {
    /// A gateway.yaml, an Envoy configuration, an Istio manifest or a document of clients
    #[arg(value_name = "FILE")]
    file: String,
    /// Report keys that expire within this time
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = clock::parse_span)]
    expiring_within: Duration,
    /// Report valid keys that are older than this duration
    #[arg(long, value_name = "DURATION", default_value = "365d", value_parser = clock::parse_span)]
    older_than: Duration,
    /// Report the clients whose owner is not in this file (one owner per line)
    #[arg(long, value_name = "FILE")]
    owners: Option<String>,
    /// Also check that the audit trail is intact and agrees with the document; without FILE, the trail in the document's folder
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    trail: Option<Option<PathBuf>>,
    /// The time at which the states of the keys are determined: 2026-03-01T10:00:00Z or seconds since 1970; by default the
    /// current time
    #[arg(long, value_name = "TIME", value_parser = clock::parse_time)]
    at: Option<Duration>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    context: ClientFileContext,
}

/// One kind of finding, with its heading and all clients and keys that need attention for this reason.
struct KeyFinding<'b> {
    name: &'static str,
    heading: String,
    about: Vec<(&'b ClientSettings, Option<&'b ClientKey>)>,
}

/// Creates the report on the clients and their keys. The exit status is that of a failure if the audit trail has faults.
pub fn run(options: &KeysReportOptions) -> Result<ToolOutcome, Failure> {
    let document = options.context.open(&options.file)?;
    let now = options.at.unwrap_or_else(clock::now);
    let findings = findings(&document, options, now)?;
    let trail = match &options.trail {
        Some(file) => {
            let path = match file {
                Some(file) => file.clone(),
                None => trail::beside(&options.file)?,
            };
            Some(check_trail(&document, &path)?)
        }
        None => None,
    };
    let exit = match &trail {
        Some(trail) if !trail.faults.is_empty() => Exit::Failure,
        _ => Exit::Success,
    };
    let result = match options.json {
        true => Output::json(&as_json(&document, &findings, trail.as_ref(), now)),
        false => Output::Lines(as_lines(&document, &findings, trail.as_ref(), now)),
    };
    Ok(ToolOutcome { result, notes: document.notes, exit })
}

fn findings<'b>(
    document: &'b ClientFile,
    options: &KeysReportOptions,
    now: Duration,
) -> Result<Vec<KeyFinding<'b>>, Failure> {
    let alive = || {
        let keys = document.clients.iter().flat_map(|client| client.keys.iter().map(move |key| (client, key)));
        keys.filter(|(_, key)| is_alive(key, now))
    };
    let some = |(client, key)| (client, Some(key));
    let ends = |key: &ClientKey| key.period.expires.is_some_and(|end| end - now <= options.expiring_within);
    let is_old = |key: &ClientKey| key.created.is_some_and(|made| now.saturating_sub(made) > options.older_than);
    let mut findings = vec![
        KeyFinding {
            name: "expiring",
            heading: format!("expire within {}", days(options.expiring_within)),
            about: alive().filter(|(_, key)| ends(key)).map(some).collect(),
        },
        KeyFinding {
            name: "old",
            heading: format!("older than {}", days(options.older_than)),
            about: alive().filter(|(_, key)| is_old(key)).map(some).collect(),
        },
        KeyFinding {
            name: "without_expiry",
            heading: "without an expiry time".to_string(),
            about: alive().filter(|(_, key)| key.period.expires.is_none()).map(some).collect(),
        },
    ];
    if let Some(file) = &options.owners {
        let text = gateway::read(file)?;
        let owners: BTreeSet<&str> = text.lines().map(str::trim).collect();
        let unowned = document.clients.iter().filter(|client| !owners.contains(client.owner.trim()));
        let heading = format!("owner not in {file}");
        findings.push(KeyFinding { name: "unowned", heading, about: unowned.map(|client| (client, None)).collect() });
    }
    Ok(findings)
}

/// Verifies the audit trail and compares it with the document.
fn check_trail(document: &ClientFile, path: &Path) -> Result<TrailReport, Failure> {
    let history = TrailHistory::open(path)?;
    let history = history.ok_or_else(|| Failure::Message(format!("{}: this trail does not exist", path.display())))?;
    Ok(TrailReport::compare(path.display().to_string(), history, document))
}

fn as_lines(
    document: &ClientFile,
    findings: &[KeyFinding<'_>],
    trail: Option<&TrailReport>,
    now: Duration,
) -> Vec<String> {
    let titles = ["CLIENT", "KEY", "STATE", "CREATED", "AGE", "EXPIRES", "ROTATED", "OWNER", "PURPOSE"];
    let mut rows = vec![titles.map(str::to_string)];
    let day = |time: Duration| format_time(time).split('T').next().unwrap_or_default().to_string();
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_string());
    for client in &document.clients {
        let row = |key: Option<&ClientKey>| {
            [
                client.id.value.clone(),
                or_none(key.map(|key| key.prefix.clone())),
                or_none(key.map(|key| key_state(key, now).to_string())),
                or_none(key.and_then(|key| key.created).map(day)),
                or_none(key.and_then(|key| key.created).map(|made| days(now.saturating_sub(made)))),
                or_none(key.and_then(|key| key.period.expires).map(day)),
                or_none(rotated(client).map(day)),
                client.owner.clone(),
                client.purpose.clone(),
            ]
        };
        rows.extend(client.keys.iter().map(|key| row(Some(key))));
        if client.keys.is_empty() {
            rows.push(row(None));
        }
    }
    let mut out = text_table::text(&rows);
    for KeyFinding { heading, about, .. } in findings.iter().filter(|finding| !finding.about.is_empty()) {
        out.extend([String::new(), heading.clone()]);
        for (client, key) in about {
            let id = &client.id.value;
            let what = key.map_or_else(|| id.clone(), |key| format!("{id} {}", key.prefix));
            out.push(format!("  {what} ({})", client.owner));
        }
    }
    if let Some(trail) = trail {
        out.extend(trail.lines());
    }
    out
}

fn as_json(document: &ClientFile, findings: &[KeyFinding<'_>], trail: Option<&TrailReport>, now: Duration) -> Value {
    let key = |key: &ClientKey| {
        json!({
            "id": key.id, "prefix": key.prefix, "environment": environment_of(&key.prefix), "state": key_state(key, now),
            "created": key.created.map(format_time), "created_by": key.created_by, "reason": key.reason,
            "age_days": key.created.map(|made| whole_days(now.saturating_sub(made))),
            "not_before": key.period.not_before.map(format_time), "expires": key.period.expires.map(format_time),
            "revoked": key.revoked.map(format_time),
        })
    };
    let client = |client: &ClientSettings| {
        json!({
            "client": client.id.value, "owner": client.owner, "purpose": client.purpose, "rotated": rotated(client).map(format_time),
            "keys": client.keys.iter().map(key).collect::<Vec<_>>(),
        })
    };
    let about = |(client, key): &(&ClientSettings, Option<&ClientKey>)| json!({ "client": client.id.value, "owner": client.owner, "prefix": key.map(|key| &key.prefix) });
    let mut report =
        json!({ "at": format_time(now), "clients": document.clients.iter().map(client).collect::<Vec<_>>() });
    if let Some(members) = report.as_object_mut() {
        for finding in findings {
            members.insert(finding.name.to_string(), finding.about.iter().map(about).collect());
        }
        members.extend(trail.map(|trail| ("trail".to_string(), trail.json())));
    }
    report
}

/// Returns the time of a client's last rotation, which is the creation time of its newest key. Returns `None` for a client with
/// fewer than two keys, because no key has replaced another.
fn rotated(client: &ClientSettings) -> Option<Duration> {
    let made = client.keys.iter().filter_map(|key| key.created);
    made.max().filter(|_| client.keys.len() > 1)
}

fn whole_days(span: Duration) -> u64 {
    span.as_secs() / 86_400
}

/// Formats a duration in days, such as `30 days`.
fn days(span: Duration) -> String {
    match whole_days(span) {
        1 => "1 day".to_string(),
        n => format!("{n} days"),
    }
}
