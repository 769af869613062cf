//! `keys revoke`: marks a key as revoked, so that gateways with the document refuse it regardless of its validity period.

use clap::Args;

use super::book::Around;
use super::change::{self, Reason};
use super::{is_alive, moment};
use crate::cli::edit::PathStep;
use crate::cli::{Exit, Failure, Printed, ToolOutcome, clock};

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
    reason: Reason,
    #[command(flatten)]
    around: Around,
}

/// Revokes the key.
pub fn run(options: &KeysRevokeOptions) -> Result<ToolOutcome, Failure> {
    let now = clock::now();
    let (book, mut trail, author) = options.reason.open(&options.around, &options.file)?;
    let (client_at, key_at, client, key) = book.key(options.client.as_deref(), &options.key)?;
    if let Some(since) = key.revoked {
        let message = format!("{}: key `{}` is revoked since {}", options.file, options.key, moment(since));
        return Err(Failure::Message(message));
    }
    let deed = author.deed("revoke", &client.id.value, (&key.id, &key.prefix), Vec::new());
    let path = [PathStep::Key("clients"), PathStep::Item(client_at), PathStep::Key("keys"), PathStep::Item(key_at)];
    change::make(&book, &options.around, &mut trail, &deed, now, |draft| draft.set(&path, "revoked", &moment(now)))?;
    let mut notes = vec![format!("{}: key {} of client `{}` is revoked", options.file, key.prefix, client.id.value)];
    if !client.keys.iter().any(|other| other.prefix != key.prefix && is_alive(other, now)) {
        notes.push(format!("note: client `{}` has no key left that holds", client.id.value));
    }
    notes.extend(book.notes.iter().cloned().chain(trail.fault));
    Ok(ToolOutcome { result: Printed::nothing(), notes, exit: Exit::Success })
}
