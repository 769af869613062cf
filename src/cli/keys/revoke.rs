//! `keys revoke`: marks a key as revoked, so that gateways with the document refuse it regardless of its validity period.

use clap::Args;

use super::change::{self, ChangeReason};
use super::client_file::ClientFileContext;
use super::{format_time, is_alive};
use crate::cli::yaml_edit::PathStep;
use crate::cli::{Exit, Failure, Output, ToolOutcome, clock};

/// The options of `keys revoke`.
#[derive(Args)]
pub struct KeysRevokeOptions {
    /// A gateway.yaml or a document of clients; the file is changed
    #[arg(value_name = "FILE")]
    file: String,
    /// The key, by its id or prefix
    #[arg(long, value_name = "KEY")]
    key: String,
    /// The client of the key, by its id; required if several clients have a key with this id
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    #[command(flatten)]
    reason: ChangeReason,
    #[command(flatten)]
    context: ClientFileContext,
}

/// Revokes the key.
pub fn run(options: &KeysRevokeOptions) -> Result<ToolOutcome, Failure> {
    let now = clock::now();
    let (document, mut trail, author) = options.reason.open(&options.context, &options.file)?;
    let (client_at, key_at, client, key) = document.key(options.client.as_deref(), &options.key)?;
    if let Some(since) = key.revoked {
        let message =
            format!("{}: key `{}` is already revoked, since {}", options.file, options.key, format_time(since));
        return Err(Failure::Message(message));
    }
    let entry = author.entry("revoke", &client.id.value, (&key.id, &key.prefix), Vec::new());
    let path = [PathStep::Key("clients"), PathStep::Item(client_at), PathStep::Key("keys"), PathStep::Item(key_at)];
    change::apply(&document, &options.context, &mut trail, &entry, now, |draft| {
        draft.set(&path, "revoked", &format_time(now))
    })?;
    let mut notes = vec![format!("{}: key {} of client `{}` is revoked", options.file, key.prefix, client.id.value)];
    if !client.keys.iter().any(|other| other.prefix != key.prefix && is_alive(other, now)) {
        notes.push(format!("note: client `{}` has no valid key left", client.id.value));
    }
    notes.extend(document.notes.iter().cloned().chain(trail.fault));
    Ok(ToolOutcome { result: Output::nothing(), notes, exit: Exit::Success })
}
