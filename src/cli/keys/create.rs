//! `keys create`: creates a key, and writes its record to the document or to standard error.

use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value};

use super::change::{ChangeOptions, NewKey, client_path};
use super::format_time;
use super::trail::Trail;
use crate::cli::{Exit, Failure, Output, ToolOutcome, clock, yaml_emitter};
use crate::policy::credentials::api_key::is_environment;

/// The options of `keys create`.
#[derive(Args)]
pub struct KeysCreateOptions {
    /// The file to which the record of the key is added: a gateway.yaml or a document of clients; without FILE, the command
    /// prints the record on standard error
    #[arg(value_name = "FILE")]
    file: Option<String>,
    /// The id of the client that gets the key
    #[arg(long, value_name = "ID")]
    client: String,
    /// The environment of the key; by default that of the gateway. Gateways in other environments refuse the key
    #[arg(long, value_name = "NAME", value_parser = environment)]
    environment: Option<String>,
    /// When the key expires: 2026-03-01T10:00:00Z, seconds since 1970, or a duration from now such as 90d
    #[arg(long, value_name = "TIME", value_parser = clock::parse_end)]
    expires: Duration,
    #[command(flatten)]
    change: ChangeOptions,
}

/// Creates a key and prints it. Adds its record to the document, or prints the record if no document is given.
pub fn run(options: &KeysCreateOptions) -> Result<ToolOutcome, Failure> {
    let now = clock::now();
    check_end(options.expires, now)?;
    let Some(file) = &options.file else { return print(options, now) };
    let change = options.change.open(file, now)?;
    let (at, client) = change.document.client(&options.client)?;
    let (named, own) = (options.environment.as_deref(), change.document.environment.as_deref());
    let key = NewKey::generate(named.or(own).ok_or_else(needs_environment)?, options.expires)?;
    let text =
        format!("{file}: client `{}` has the new key {}, valid until {}", client.id.value, key.prefix, key.expires);
    let mut notes = vec![text];
    if let (Some(named), Some(own)) = (named, own)
        && named != own
    {
        notes.push(format!("{file}: note: the gateway's environment is `{own}`, so it refuses keys for `{named}`"));
    }
    let entry = key.entry("create", &client.id.value, &change.author, Vec::new());
    let record = key.record(&change.author, now);
    change.make(&entry, Output::line(key.secret), notes, |draft| draft.push(&client_path(at), "keys", &record))
}

/// Prints the key to standard output, and its record to standard error. The user can add the record to a document that is stored
/// elsewhere.
fn print(options: &KeysCreateOptions, now: Duration) -> Result<ToolOutcome, Failure> {
    let author = options.change.author()?;
    let key = NewKey::generate(options.environment.as_deref().ok_or_else(needs_environment)?, options.expires)?;
    let client = &options.client;
    let record = key.record(&author, now);
    let members: Map<String, Value> =
        record.into_iter().map(|(name, value)| (name.to_string(), value.into())).collect();
    if let Some(file) = &options.change.trail {
        Trail::open(file)?.append(&key.entry("create", client, &author, Vec::new()), now)?;
    }
    let record = yaml_emitter::yaml(&Value::Array(vec![Value::Object(members)]));
    let mut notes = vec![format!("add this record to `keys` of client `{client}`:")];
    notes.extend(record.lines().map(str::to_string));
    Ok(ToolOutcome { result: Output::line(key.secret), notes, exit: Exit::Success })
}

/// Fails if `end`, when a new key expires, is not after `now`.
pub fn check_end(end: Duration, now: Duration) -> Result<(), Failure> {
    if end > now {
        Ok(())
    } else {
        Err(format!("--expires: {} is in the past (`90d` is 90 days from now)", format_time(end)).into())
    }
}

fn needs_environment() -> Failure {
    Failure::Message(
        "--environment is required, because no gateway document with an `environment` is given".to_string(),
    )
}

/// Parses an environment name.
fn environment(text: &str) -> Result<String, String> {
    if is_environment(text) {
        Ok(text.to_string())
    } else {
        Err("expected at most 32 characters of a-z, 0-9 and `-`".to_string())
    }
}
