//! `keys create`: creates a key, and writes its record to the document or to standard error.

use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value};

use super::change::{ChangeReason, NewKey};
use super::client_file::ClientFileContext;
use super::trail::Trail;
use super::{change, format_time};
use crate::cli::yaml_edit::PathStep;
use crate::cli::{Exit, Failure, Output, ToolOutcome, clock, yaml_emitter};
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
    reason: ChangeReason,
    #[command(flatten)]
    context: ClientFileContext,
}

/// Creates the key.
pub fn run(options: &KeysCreateOptions) -> Result<ToolOutcome, Failure> {
    let now = clock::now();
    check_end(options.expires, now)?;
    let Some(file) = &options.file else { return print(options, now) };
    let (document, mut trail, author) = options.reason.open(&options.context, file)?;
    let (at, client) = document.client(&options.client)?;
    let environment = options.environment.as_deref().or(document.environment.as_deref());
    let key = NewKey::generate(environment.ok_or_else(needs_environment)?)?;
    let record = key.record(format_time(now), format_time(options.expires), &author);
    let more = vec![("expires", format_time(options.expires))];
    let entry = author.entry("create", &client.id.value, (&key.lookup, &key.prefix), more);
    let path = [PathStep::Key("clients"), PathStep::Item(at)];
    change::apply(&document, &options.context, &mut trail, &entry, now, |draft| draft.push(&path, "keys", &record))?;
    let mut notes = vec![format!(
        "{file}: client `{}` has the new key {}, valid until {}",
        client.id.value,
        key.prefix,
        format_time(options.expires)
    )];
    if let (Some(named), Some(own)) = (&options.environment, &document.environment)
        && named != own
    {
        notes.push(format!("{file}: note: the gateway's environment is `{own}`, so it refuses keys for `{named}`"));
    }
    notes.extend(document.notes.iter().cloned().chain(trail.fault));
    Ok(ToolOutcome { result: Output::line(key.secret), notes, exit: Exit::Success })
}

/// Prints the key, and its record for documents that are stored elsewhere.
fn print(options: &KeysCreateOptions, now: Duration) -> Result<ToolOutcome, Failure> {
    let author = options.reason.author()?;
    let key = NewKey::generate(options.environment.as_deref().ok_or_else(needs_environment)?)?;
    let client = &options.client;
    let record = key.record(format_time(now), format_time(options.expires), &author);
    let members: Map<String, Value> =
        record.into_iter().map(|(name, value)| (name.to_string(), value.into())).collect();
    if let Some(file) = &options.reason.trail {
        let more = vec![("expires", format_time(options.expires))];
        let entry = author.entry("create", client, (&key.lookup, &key.prefix), more);
        Trail::open(file)?.append(&entry, now)?;
    }
    let record = yaml_emitter::yaml(&Value::Array(vec![Value::Object(members)]));
    let mut notes = vec![format!("add to `keys` of client `{client}`:")];
    notes.extend(record.lines().map(str::to_string));
    Ok(ToolOutcome { result: Output::line(key.secret), notes, exit: Exit::Success })
}

/// Refuses a key that would already be expired.
pub fn check_end(end: Duration, now: Duration) -> Result<(), Failure> {
    if end > now {
        Ok(())
    } else {
        Err(format!("--expires: {} is in the past (`90d` is 90 days from now)", format_time(end)).into())
    }
}

fn needs_environment() -> Failure {
    Failure::Message("--environment is required: the document does not set one".to_string())
}

/// Parses an environment name.
fn environment(text: &str) -> Result<String, String> {
    if is_environment(text) {
        Ok(text.to_string())
    } else {
        Err("expected at most 32 characters of a-z, 0-9 and `-`".to_string())
    }
}
