//! `portcullis revocation check`: checks a revocation list before gateways fetch it, and reports every problem in it.

use std::time::Duration;

use clap::Subcommand;

use super::fetched_document::FetchedDocument;
use super::{Exit, Failure, Output, ToolOutcome, clock, fetched_document, gateway, hint};
use crate::config::document::Document;
use crate::config::node::Node;
use crate::config::problem::{Place, near_miss};
use crate::config::revocation::{Revoked, RevokedCredential, USUAL_ENTRIES, read_list};
use crate::policy::credentials::revocation_list::Revocations;
use crate::policy::polled::DocumentKind;
use crate::strict_json::{Bounds, MAX_DEPTH};

/// The subcommands of `revocation`.
#[derive(Subcommand)]
pub enum RevocationAction {
    /// Find every problem in a revocation list
    Check(FetchedDocument),
}

/// Checks the revocation list and reports the number of its entries.
pub fn run(action: &RevocationAction) -> Result<ToolOutcome, Failure> {
    let RevocationAction::Check(options) = action;
    let file = &options.file;
    let opened = options.gateway.as_deref().map(|name| gateway::open(name, &options.variables)).transpose()?;
    let document = opened.as_ref().map(|gateway| &gateway.document);
    let most_entries = most_entries(document);
    let most_bytes = DocumentKind::Revocations { most_entries }.most_bytes();
    let (entries, needed) = read(document, file, &fetched_document::open(file, most_bytes, BOUNDS)?, clock::now())?;
    let mut notes = Vec::new();
    if let (Some(gateway), Some(document)) = (&options.gateway, document) {
        let note = |(place, what)| format!("{file}:{place}: note: {what} in {gateway}");
        notes.extend(entries.iter().filter_map(|entry| stranger(entry, document)).map(note));
    }
    if needed < entries.len() {
        notes.push(format!("{file}: note: {} entries have expired and can be removed", entries.len() - needed));
    }
    let count = if needed == 1 { "1 entry".to_string() } else { format!("{needed} entries") };
    Ok(ToolOutcome { result: Output::line(format!("{file}: {count}, no problems")), notes, exit: Exit::Success })
}

/// Reads the entries of a list as the filter of this gateway would. Also returns how many of the entries the filter would keep at
/// `now`.
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
    let most = most_entries(gateway);
    let needed = Revocations::of(&entries, now).len();
    if needed > most {
        return Err(Failure::Message(format!("{file}: has {needed} entries, but gateways accept at most {most}")));
    }
    Ok((entries, needed))
}

/// Returns the maximum number of entries in a list: that of the gateway, or the default.
fn most_entries(gateway: Option<&Document>) -> usize {
    gateway.and_then(|document| document.revocation.as_ref()).map_or(USUAL_ENTRIES, |r| r.max_entries)
}

/// Returns a message if an entry contains an issuer, client id or key id that the gateway document does not define, because
/// such an entry revokes nothing. Client ids and key ids are not checked if the document sets `clients_from`,
/// because the polled client document may define them.
fn stranger<'e>(entry: &'e Revoked, document: &Document) -> Option<(&'e Place, String)> {
    if let Some(issuer) = &entry.issuer {
        let known = document.issuers.iter().map(|issuer| issuer.issuer.value.as_str());
        return missing("issuer", &issuer.value, known).map(|what| (&issuer.place, what));
    }
    let RevokedCredential::ApiKey { client: id, key } = &entry.what else { return None };
    if document.clients_from.is_some() {
        return None;
    }
    let what = match (document.clients.iter().find(|client| client.id.value == *id), key) {
        (None, _) => missing("client", id, document.clients.iter().map(|client| client.id.value.as_str())),
        (Some(client), Some(key)) => missing("key", key, client.keys.iter().map(|key| key.id.as_str()))
            .map(|what| format!("{what} of client `{id}`")),
        (Some(_), None) => None,
    };
    what.map(|what| (&entry.place, what))
}

/// Returns a message such as `no client `billng` (did you mean `billing`?)` if the name is unknown.
fn missing<'k>(what: &str, name: &str, mut known: impl Iterator<Item = &'k str> + Clone) -> Option<String> {
    let hint = hint(near_miss(name, known.clone()));
    let is_known = known.any(|known| known == name);
    (!is_known).then(|| format!("no {what} `{name}`{hint}"))
}

/// The limits with which gateways read a revocation list.
pub const BOUNDS: Bounds = Bounds { depth: MAX_DEPTH, values: usize::MAX };
