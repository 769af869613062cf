//! `portcullis clients check`: checks a document of clients before gateways fetch it, and reports every problem in it.

use clap::Subcommand;

use super::fetched_document::FetchedDocument;
use super::gateway::GatewayFile;
use super::{Exit, Failure, Output, ToolOutcome, check, clock, fetched_document, gateway};
use crate::config::client::ClientSettings;
use crate::config::clients_from::{USUAL_ENTRIES, check_entries, read_document};
use crate::config::node::Node;
use crate::config::problem::Problems;
use crate::policy::compile::clients::ClientReader;
use crate::policy::credentials::clients::{ClientDirectory, ReadClients};

/// The subcommands of `clients`.
#[derive(Subcommand)]
pub enum ClientsAction {
    /// Find every problem in a document of clients
    Check(FetchedDocument),
}

/// Checks the document, and reports how many clients and keys it has.
pub fn run(action: &ClientsAction) -> Result<ToolOutcome, Failure> {
    let ClientsAction::Check(options) = action;
    let file = &options.file;
    let gateway =
        options.gateway.as_deref().map(|name| gateway::open_for_inspection(name, &options.variables)).transpose()?;
    let node = open(file, gateway.as_ref().and_then(|gateway| gateway.policy.client_reader()))?;
    let named = options.gateway.as_deref().zip(gateway.as_ref());
    let clients = read(file, &node, named)?;
    let keys: usize = clients.iter().map(|client| client.keys.len()).sum();
    let count = |n: usize, what: &str| if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") };
    let result = format!("{file}: {}, {}, no problems", count(clients.len(), "client"), count(keys, "key"));
    let past = past_keys(&clients);
    let past_keys = if past == 1 {
        "1 key is revoked or expired".to_string()
    } else {
        format!("{past} keys are revoked or expired")
    };
    let note = (past > 0).then(|| format!("{file}: note: {past_keys} and can be removed"));
    let mut notes: Vec<String> = note.into_iter().collect();
    if let Some(gateway) = &gateway {
        let several = check::clients::named_by_several(&clients, &gateway.document.issuers);
        notes.extend(several.iter().map(|(place, note)| check::noted(file, place, note)));
    }
    Ok(ToolOutcome { result: Output::line(result), notes, exit: Exit::Success })
}

/// Parses a document of clients. The size limits are those of the gateway whose reader is given, or the default limits.
pub fn open(file: &str, reader: Option<&ClientReader>) -> Result<Node, Failure> {
    let most = reader.map_or(USUAL_ENTRIES, ReadClients::most_entries);
    fetched_document::open(file, ClientReader::most_bytes_of(most), ClientReader::bounds_of(most))
}

/// Reads a document of clients as `gateway` would read it. The string in `gateway` is the file name of the gateway document.
/// Without a gateway, this function makes only the checks that need no gateway.
pub fn read(file: &str, node: &Node, gateway: Option<(&str, &GatewayFile)>) -> Result<Vec<ClientSettings>, Failure> {
    let (clients, mut problems) = read_document(node);
    match gateway {
        None => {
            check_entries(&clients, USUAL_ENTRIES, &mut problems);
            ClientDirectory::check_alone(&clients, &mut problems);
        }
        Some((name, gateway)) => {
            check_for(gateway, name, file, node)?;
            problems = Problems::default();
        }
    }
    if problems.is_empty() { Ok(clients) } else { Err(Failure::in_file(file, problems)) }
}

/// Fails with the problems that this gateway would report in a document of clients. Also fails if the gateway has no
/// `clients_from`. `name` is the file of the gateway document, and `file` that of the document of clients.
pub fn check_for(gateway: &GatewayFile, name: &str, file: &str, node: &Node) -> Result<(), Failure> {
    let reader = gateway.policy.client_reader();
    let reader = reader
        .ok_or_else(|| format!("{name} has no `clients_from`, so this gateway fetches no document of clients"))?;
    reader.read(node).map(drop).map_err(|problems| Failure::in_file(file, problems))
}

/// Counts the keys that are revoked or expired.
fn past_keys(clients: &[ClientSettings]) -> usize {
    let now = clock::now();
    let keys = clients.iter().flat_map(|client| &client.keys);
    keys.filter(|key| key.revoked.is_some() || key.period.expires.is_some_and(|end| end <= now)).count()
}
