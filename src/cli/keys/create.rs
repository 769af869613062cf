//! `keys create`: creates a key, and writes its record to the document or to standard error.

use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value};

use super::book::Around;
use super::change::{NewKey, Reason};
use super::trail::Trail;
use super::{change, moment};
use crate::cli::edit::PathStep;
use crate::cli::{Exit, Failure, Printed, ToolOutcome, clock, emit};
use crate::policy::credentials::api_key::is_environment;

/// The options of `keys create`.
#[derive(Args)]
pub struct KeysCreateOptions {
    /// A gateway.yaml or a document of clients, which gets the record; without it, standard error gets the record
    #[arg(value_name = "FILE")]
    file: Option<String>,
    /// The client of the key, by its id in the document
    #[arg(long, value_name = "ID")]
    client: String,
    /// The environment of the key, if it is not the gateway's own; gateways in other environments refuse it
    #[arg(long, value_name = "NAME", value_parser = environment)]
    environment: Option<String>,
    /// When the key ends: 2026-03-01T10:00:00Z, seconds since 1970, or a time from now such as 90d
    #[arg(long, value_name = "TIME", value_parser = clock::parse_end)]
    expires: Duration,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    around: Around,
}

/// Creates the key.
pub fn run(options: &KeysCreateOptions) -> Result<ToolOutcome, Failure> {
    let now = clock::now();
    check_end(options.expires, now)?;
    let Some(file) = &options.file else { return print(options, now) };
    let (book, mut trail, author) = options.reason.open(&options.around, file)?;
    let (at, client) = book.client(&options.client)?;
    let environment = options.environment.as_deref().or(book.environment.as_deref());
    let key = NewKey::generate(environment.ok_or_else(needs_environment)?)?;
    let record = key.record(moment(now), moment(options.expires), &author);
    let more = vec![("expires", moment(options.expires))];
    let deed = author.deed("create", &client.id.value, (&key.lookup, &key.prefix), more);
    let path = [PathStep::Key("clients"), PathStep::Item(at)];
    change::make(&book, &options.around, &mut trail, &deed, now, |draft| draft.push(&path, "keys", &record))?;
    let mut notes = vec![format!(
        "{file}: client `{}` has the key {}, until {}",
        client.id.value,
        key.prefix,
        moment(options.expires)
    )];
    if let (Some(named), Some(own)) = (&options.environment, &book.environment)
        && named != own
    {
        notes.push(format!("{file}: note: the gateway stands in `{own}` and refuses keys of `{named}`"));
    }
    notes.extend(book.notes.iter().cloned().chain(trail.fault));
    Ok(ToolOutcome { result: Printed::line(key.secret), notes, exit: Exit::Success })
}

/// Prints the key, and its record for documents that are stored elsewhere.
fn print(options: &KeysCreateOptions, now: Duration) -> Result<ToolOutcome, Failure> {
    let author = options.reason.author()?;
    let key = NewKey::generate(options.environment.as_deref().ok_or_else(needs_environment)?)?;
    let client = &options.client;
    let record = key.record(moment(now), moment(options.expires), &author);
    let members: Map<String, Value> =
        record.into_iter().map(|(name, value)| (name.to_string(), value.into())).collect();
    if let Some(file) = &options.reason.trail {
        let more = vec![("expires", moment(options.expires))];
        let deed = author.deed("create", client, (&key.lookup, &key.prefix), more);
        Trail::open(file)?.append(&deed, now)?;
    }
    let record = emit::yaml(&Value::Array(vec![Value::Object(members)]));
    let mut notes = vec![format!("add to `keys` of client `{client}`:")];
    notes.extend(record.lines().map(str::to_string));
    Ok(ToolOutcome { result: Printed::line(key.secret), notes, exit: Exit::Success })
}

/// Refuses a key that would already be expired.
pub fn check_end(end: Duration, now: Duration) -> Result<(), Failure> {
    if end > now {
        Ok(())
    } else {
        Err(format!("--expires: {} is over already (`90d` is 90 days from now)", moment(end)).into())
    }
}

fn needs_environment() -> Failure {
    Failure::Message("--environment is needed: nothing else says where the key is to hold".to_string())
}

/// Parses an environment name.
fn environment(text: &str) -> Result<String, String> {
    if is_environment(text) {
        Ok(text.to_string())
    } else {
        Err("expected a-z, 0-9 and `-`, 32 at the most".to_string())
    }
}
