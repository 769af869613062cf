//! `portcullis revocation check`: every problem of a revocation list, each with its place, before a gateway fetches it.

use clap::{Args, Subcommand};

use super::fetched::{self, Fetched};
use super::gateway;
use super::{Exit, Failure, Outcome, clock};
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
    let entries = entries(file)?;
    let mut notes = Vec::new();
    let mut most = USUAL_ENTRIES;
    if let Some(gateway) = &options.gateway {
        let document = gateway::open(gateway, &options.variables)?.document;
        most = document.revocation.as_ref().map_or(USUAL_ENTRIES, |revocation| revocation.max_entries);
        let is_known = |iss: &str| document.issuers.iter().any(|issuer| issuer.issuer.value == iss);
        for issuer in entries.iter().filter_map(|entry| entry.issuer.as_ref()).filter(|iss| !is_known(&iss.value)) {
            notes.push(format!("{file}:{}: note: no issuer of {gateway} is `{}`", issuer.place, issuer.value));
        }
    }
    let needed = Revocations::of(&entries, clock::now()).len();
    if needed > most {
        return Err(Failure::Message(format!("{file}: {needed} entries, at most {most} are taken")));
    }
    if needed < entries.len() {
        notes.push(format!("{file}: note: {} entries have expired and can be taken out", entries.len() - needed));
    }
    let count = if needed == 1 { "1 entry".to_string() } else { format!("{needed} entries") };
    Ok(Outcome { result: format!("{file}: {count}, no problems\n"), notes, exit: Exit::Success })
}

/// The entries as the filter reads them. What is wrong with them is told with line and column.
fn entries(file: &str) -> Result<Vec<Revoked>, Failure> {
    let (entries, problems) = read_list(&fetched::open(file)?);
    if problems.is_empty() { Ok(entries) } else { Err(Failure::in_file(file, problems)) }
}
