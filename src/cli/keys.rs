//! `portcullis keys`: creates, rotates, revokes and lists the API keys of clients, and records each change in an audit trail.

mod change;
pub mod client_file;
mod create;
mod list;
mod report;
mod revoke;
mod rotate;
mod trail;

use std::time::Duration;

use clap::Subcommand;

use super::{Failure, ToolOutcome};
use crate::config::client::ClientKey;
use crate::policy::respond::refusal::timestamp;

/// The subcommands of `keys`.
#[derive(Subcommand)]
pub enum KeysAction {
    /// Create a key: print it once on standard output, and add a record with its hash to the document
    Create(create::KeysCreateOptions),
    /// List the keys of a document with their clients, states and expiry times
    List(list::KeysListOptions),
    /// Create the next key of a client; the key that it replaces stays valid for the overlap time
    Rotate(rotate::KeysRotateOptions),
    /// Mark a key as revoked: gateways refuse the key after they load the changed document
    Revoke(revoke::KeysRevokeOptions),
    /// Report the owner and the keys of every client, and keys that need attention
    Report(report::KeysReportOptions),
}

/// Runs the subcommand.
pub fn run(action: &KeysAction) -> Result<ToolOutcome, Failure> {
    match action {
        KeysAction::Create(options) => create::run(options),
        KeysAction::List(options) => list::run(options),
        KeysAction::Rotate(options) => rotate::run(options),
        KeysAction::Revoke(options) => revoke::run(options),
        KeysAction::Report(options) => report::run(options),
    }
}

/// Returns the state of a key at a point in time, such as `valid` or `not yet valid`.
fn key_state(key: &ClientKey, now: Duration) -> &'static str {
    match (key.revoked, key.period.not_before, key.period.expires) {
        (Some(_), ..) => "revoked",
        (_, Some(from), _) if now < from => "not yet valid",
        (.., Some(until)) if now >= until => "expired",
        (.., Some(until)) if until - now < SOON => "expires soon",
        _ => "valid",
    }
}

/// Returns whether a key is valid now or will be valid later.
fn is_alive(key: &ClientKey, now: Duration) -> bool {
    key.revoked.is_none() && key.period.expires.is_none_or(|end| now < end)
}

/// Formats a time as `2026-03-01T10:00:00Z`.
fn format_time(time: Duration) -> String {
    let mut out = String::new();
    timestamp(&mut out, time);
    out
}

const SOON: Duration = Duration::from_secs(30 * 86_400);
