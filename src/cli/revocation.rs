//! `portcullis revocation check`: every problem of a revocation list, each with its place, before a gateway fetches it.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::fetched::{self, Fetched};
use super::gateway;
use super::{Exit, Failure, Outcome, clock};
use crate::config::document::Document;
use crate::config::node::Node;
use crate::config::revocation::{Revoked, USUAL_ENTRIES, read_list};
use crate::policy::revocation::Revocations;

/// What `revocation` is asked to do.
#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Find every problem of a revocation list
    Check(Fetched),
}

/// Checks the list.
pub fn run(options: &Options) -> Result<Outcome, Failure> {
    let Action::Check(options) = &options.action;
    let file = &options.file;
    let opened = options.gateway.as_deref().map(|name| gateway::open(name, &options.variables)).transpose()?;
    let document = opened.as_ref().map(|gateway| &gateway.document);
    let (entries, needed) = read(document, file, &fetched::open(file)?, clock::now())?;
    let mut notes = Vec::new();
    if let (Some(gateway), Some(document)) = (&options.gateway, document) {
        let is_known = |iss: &str| document.issuers.iter().any(|issuer| issuer.issuer.value == iss);
        for issuer in entries.iter().filter_map(|entry| entry.issuer.as_ref()).filter(|iss| !is_known(&iss.value)) {
            notes.push(format!("{file}:{}: note: no issuer of {gateway} is `{}`", issuer.place, issuer.value));
        }
    }
    if needed < entries.len() {
        notes.push(format!("{file}: note: {} entries have expired and can be taken out", entries.len() - needed));
    }
    let count = if needed == 1 { "1 entry".to_string() } else { format!("{needed} entries") };
    Ok(Outcome { result: format!("{file}: {count}, no problems\n"), notes, exit: Exit::Success })
}

/// The entries of a list as the filter of this gateway reads them, and how many of them it needs.
pub fn read(
    gateway: Option<&Document>,
    file: &str,
    node: &Node,
    now: Duration,
) -> Result<(Vec<Revoked>, usize), Failure> {
    let (entries, problems) = read_list(node);
    if !problems.is_empty() {
        return Err(Failure::in_file(file, problems));
    }
    let most = gateway.and_then(|document| document.revocation.as_ref()).map_or(USUAL_ENTRIES, |r| r.max_entries);
    let needed = Revocations::of(&entries, now).len();
    if needed > most {
        return Err(Failure::Message(format!("{file}: {needed} entries, at most {most} are taken")));
    }
    Ok((entries, needed))
}
