//! `keys rotate`: creates the next key of a client, and sets an end for the key that it replaces.

use std::time::Duration;

use clap::Args;

use super::change::{ChangeOptions, NewKey, client_path, key_path};
use super::client_file::ClientFile;
use super::create::check_end;
use super::{format_time, is_alive};
use crate::cli::{Failure, Output, ToolOutcome, clock};
use crate::config::client::{ClientKey, ClientSettings};
use crate::policy::credentials::api_key::environment_of;

/// The options of `keys rotate`.
#[derive(Args)]
pub struct KeysRotateOptions {
    /// A gateway.yaml or a document of clients; the file is changed
    #[arg(value_name = "FILE")]
    file: String,
    /// The id of the client
    #[arg(long, value_name = "ID")]
    client: String,
    /// The id or prefix of the key to replace; required if the client has several valid keys
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// How long the replaced key stays valid
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = clock::parse_span)]
    overlap: Duration,
    /// When the new key expires: 2026-03-01T10:00:00Z, seconds since 1970, or a duration from now such as 90d
    #[arg(long, value_name = "TIME", value_parser = clock::parse_end)]
    expires: Duration,
    #[command(flatten)]
    change: ChangeOptions,
}

/// Rotates the key.
pub fn run(options: &KeysRotateOptions) -> Result<ToolOutcome, Failure> {
    let now = clock::now();
    check_end(options.expires, now)?;
    let change = options.change.open(&options.file, now)?;
    let (client_at, key_at, client, old) = key_to_replace(&change.document, options, now)?;
    let key = NewKey::generate(environment_of(&old.prefix).unwrap_or_default(), options.expires)?;
    let end = format_time(old.period.expires.into_iter().chain([now + options.overlap]).min().unwrap_or(now));
    let notes = vec![format!(
        "{}: client `{}` has the new key {}, valid until {}; its key {} ends at {end}",
        options.file, client.id.value, key.prefix, key.expires, old.prefix
    )];
    let more = vec![("replaces", old.prefix.clone()), ("replaces_until", end.clone())];
    let entry = key.entry("rotate", &client.id.value, &change.author, more);
    let record = key.record(&change.author, now);
    change.make(&entry, Output::line(key.secret), notes, |draft| {
        draft.set(&key_path(client_at, key_at), "expires", &end)?;
        draft.push(&client_path(client_at), "keys", &record)
    })
}

/// Returns the key that `--key` selects, or the client's only key that is neither revoked nor expired.
fn key_to_replace<'b>(
    document: &'b ClientFile,
    options: &KeysRotateOptions,
    now: Duration,
) -> Result<(usize, usize, &'b ClientSettings, &'b ClientKey), Failure> {
    if let Some(name) = &options.key {
        let found = document.key(Some(&options.client), name)?;
        return match is_alive(found.3, now) {
            true => Ok(found),
            false => {
                Err(Failure::Message(format!("{}: key `{name}` is no longer valid: use `keys create`", document.file)))
            }
        };
    }
    let (at, client) = document.client(&options.client)?;
    let alive: Vec<_> = client.keys.iter().enumerate().filter(|(_, key)| is_alive(key, now)).collect();
    match alive.as_slice() {
        [(key_at, key)] => Ok((at, *key_at, client, key)),
        [] => Err(Failure::Message(format!(
            "{}: client `{}` has no valid key: use `keys create`",
            document.file, options.client
        ))),
        several => {
            let names: Vec<_> = several.iter().map(|(_, key)| key.prefix.as_str()).collect();
            Err(Failure::Message(format!("--key is required: choose the key to replace ({})", names.join(", "))))
        }
    }
}
