//! `keys list`: prints the keys of a document with their owners and expiry times.

use std::time::Duration;

use clap::Args;

use super::client_file::ClientFileContext;
use super::{format_time, key_state};
use crate::cli::{Exit, Failure, Output, ToolOutcome, clock, text_table};
use crate::policy::credentials::api_key::environment_of;

/// The options of `keys list`.
#[derive(Args)]
pub struct KeysListOptions {
    /// A gateway.yaml, an Envoy configuration, an Istio manifest or a document of clients
    #[arg(value_name = "FILE")]
    file: String,
    /// The time at which the states of the keys are determined: 2026-03-01T10:00:00Z or seconds since 1970; by default the
    /// current time
    #[arg(long, value_name = "TIME", value_parser = clock::parse_time)]
    at: Option<Duration>,
    #[command(flatten)]
    context: ClientFileContext,
}

/// Prints a table of all keys in the document.
pub fn run(options: &KeysListOptions) -> Result<ToolOutcome, Failure> {
    let document = options.context.open(&options.file)?;
    let now = options.at.unwrap_or_else(clock::now);
    let mut rows = vec![["CLIENT", "KEY", "ENVIRONMENT", "STATE", "EXPIRES", "OWNER"].map(str::to_string)];
    for client in &document.clients {
        for key in &client.keys {
            rows.push([
                client.id.value.clone(),
                key.id.clone(),
                environment_of(&key.prefix).unwrap_or_default().to_string(),
                key_state(key, now).to_string(),
                key.period.expires.map_or_else(|| "never".to_string(), format_time),
                client.owner.clone(),
            ]);
        }
    }
    Ok(ToolOutcome { result: Output::Lines(text_table::text(&rows)), notes: document.notes, exit: Exit::Success })
}
