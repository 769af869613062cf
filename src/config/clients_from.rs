//! Reads `clients_from`: where a document of clients is that is polled; and such documents themselves.

use std::cell::RefCell;

use super::client::Client;
use super::node::Node;
use super::polled::PolledFrom;
use super::problem::{Place, Problems};
use super::reader::Field;

/// Where further clients are listed.
#[derive(Clone, Debug)]
pub struct ClientsFrom {
    /// Where their document is, and how it is polled.
    pub document: PolledFrom,
    /// How many clients, keys and certificates it may hold, all counted together.
    pub max_entries: usize,
}

impl ClientsFrom {
    /// Reads the section.
    pub(super) fn read(field: &Field<'_>) -> Option<ClientsFrom> {
        let fields = field.fields()?;
        let document = PolledFrom::read(&fields);
        let max_entries = fields.get("max_entries").and_then(|f| f.number(1, MOST_ENTRIES));
        if fields.get("uri").is_none() && fields.get("cluster").is_none() {
            fields.problem("`uri` and `cluster` are missing");
        }
        fields.finish();
        let max_entries = max_entries.and_then(|n| usize::try_from(n).ok()).unwrap_or(USUAL_ENTRIES);
        Some(ClientsFrom { document: document?, max_entries })
    }
}

/// Reads a document that holds nothing but clients. It is good for nothing when there are problems.
pub fn read_document(node: &Node) -> (Vec<Client>, Problems) {
    let problems = RefCell::new(Problems::default());
    let read = || {
        let fields = Field::root(node, &problems).fields()?;
        super::check_version(&fields);
        let listed = fields.require("clients").map(|f| f.items()).unwrap_or_default();
        let mut clients = Vec::new();
        for client in &listed {
            clients.extend(Client::read(client));
            // Whoever sends nothing but mistakes gets no more time than this.
            if problems.borrow().are_plenty() {
                break;
            }
        }
        fields.finish();
        Some(clients)
    };
    let clients = read().unwrap_or_default();
    (clients, problems.into_inner())
}

/// Refuses more clients, keys and certificates than this, all counted together. True when there are.
pub fn check_entries(clients: &[Client], most: usize, problems: &mut Problems) -> bool {
    let entries: usize = clients.iter().map(|client| 1 + client.keys.len() + client.certificates.len()).sum();
    if entries > most {
        let message = format!("{entries} clients, keys and certificates, at most {most} are taken");
        problems.add(&Place::default(), message);
    }
    entries > most
}

/// How many entries a document may have where nothing is written.
pub const USUAL_ENTRIES: usize = 10_000;
/// What Envoy buffers of an answer ends at 32 MiB, and so many entries before.
const MOST_ENTRIES: u64 = 50_000;
