//! `portcullis keys`: makes, exchanges, revokes and lists API keys where clients are written down, and keeps a trail of it.

pub mod book;
mod change;
mod create;
mod list;
mod report;
mod revoke;
mod rotate;
mod trail;

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{Failure, Outcome};
use crate::config::client::ClientKey;
use crate::policy::respond::refusal::timestamp;

/// What `keys` is asked to do.
#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make a key: standard output has it, once; the document gets its record, which does not hold it
    Create(create::Options),
    /// List the keys of a document: whose they are, whether they hold, and when that ends
    List(list::Options),
    /// Make the next key of a client: both hold until the older one ends
    Rotate(rotate::Options),
    /// Mark a key as revoked: gateways that have the document refuse it at once
    Revoke(revoke::Options),
    /// Tell of every client who answers for it and how its keys stand, and of keys that need somebody's attention
    Report(report::Options),
}

/// Does it.
pub fn run(options: &Options) -> Result<Outcome, Failure> {
    match &options.action {
        Action::Create(options) => create::run(options),
        Action::List(options) => list::run(options),
        Action::Rotate(options) => rotate::run(options),
        Action::Revoke(options) => revoke::run(options),
        Action::Report(options) => report::run(options),
    }
}

/// How a key stands at a moment, in a word or two.
fn standing(key: &ClientKey, now: Duration) -> &'static str {
    match (key.revoked, key.period.not_before, key.period.expires) {
        (Some(_), ..) => "revoked",
        (_, Some(from), _) if now < from => "not yet",
        (.., Some(until)) if now >= until => "expired",
        (.., Some(until)) if until - now < SOON => "ends soon",
        _ => "holds",
    }
}

/// Whether a key holds, or will.
fn is_alive(key: &ClientKey, now: Duration) -> bool {
    key.revoked.is_none() && key.period.expires.is_none_or(|end| now < end)
}

/// `2026-03-01T10:00:00Z`
fn moment(time: Duration) -> String {
    let mut out = String::new();
    timestamp(&mut out, time);
    out
}

const SOON: Duration = Duration::from_secs(30 * 86_400);
