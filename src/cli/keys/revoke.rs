//! `keys revoke`: marks a key as revoked, so that gateways refuse it regardless of its validity period.

use clap::Args;

use super::change::{ChangeOptions, key_path};
use super::{format_time, is_alive};
use crate::cli::{Failure, Output, ToolOutcome, clock};

/// The options of `keys revoke`.
#[derive(Args)]
pub struct KeysRevokeOptions {
    /// A gateway.yaml or a document of clients; the file is changed
    #[arg(value_name = "FILE")]
    file: String,
    /// The id or prefix of the key
    #[arg(long, value_name = "KEY")]
    key: String,
    /// The id of the key's client; required if several clients have a key with this id or prefix
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    #[command(flatten)]
    change: ChangeOptions,
}

/// Revokes the key.
pub fn run(options: &KeysRevokeOptions) -> Result<ToolOutcome, Failure> {
    let now = clock::now();
    let change = options.change.open(&options.file, now)?;
    let (client_at, key_at, client, key) = change.document.key(options.client.as_deref(), &options.key)?;
    if let Some(since) = key.revoked {
        let message =
            format!("{}: key `{}` is already revoked, since {}", options.file, options.key, format_time(since));
        return Err(Failure::Message(message));
    }
    let mut notes = vec![format!("{}: key {} of client `{}` is revoked", options.file, key.prefix, client.id.value)];
    if !client.keys.iter().any(|other| other.prefix != key.prefix && is_alive(other, now)) {
        notes.push(format!("note: client `{}` has no valid key left", client.id.value));
    }
    let entry = change.author.entry("revoke", &client.id.value, (&key.id, &key.prefix), Vec::new());
    let path = key_path(client_at, key_at);
    change.make(&entry, Output::nothing(), notes, |draft| draft.set(&path, "revoked", &format_time(now)))
}
