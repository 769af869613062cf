//! Reads the `clients_from` section, which contains the address of a polled document of clients, and reads that document.

use std::cell::RefCell;

use super::client::ClientSettings;
use super::node::Node;
use super::polled::PolledSource;
use super::problem::{Place, Problems};
use super::reader::Field;
use super::schema_keys::clients_from as key;

/// The `clients_from` section: the source of additional clients, and the maximum number of entries.
#[derive(Clone, Debug)]
pub struct ClientsFrom {
    /// The address of the document of clients, and its polling settings.
    pub document: PolledSource,
    /// The maximum number of clients, keys and certificates in the polled document, counted together.
    pub max_entries: usize,
}

impl ClientsFrom {
    /// Reads the `clients_from` section.
    pub(super) fn read(field: &Field<'_>) -> Option<ClientsFrom> {
        let fields = field.fields()?;
        let document = PolledSource::read(&fields);
        let max_entries = fields.size(&key::MAX_ENTRIES);
        if fields.get("uri").is_none() && fields.get("cluster").is_none() {
            fields.problem("`uri` and `cluster` are missing");
        }
        fields.finish();
        Some(ClientsFrom { document: document?, max_entries })
    }
}

/// Reads a polled document of clients. If there are problems, callers must not use the clients.
pub fn read_document(node: &Node) -> (Vec<ClientSettings>, Problems) {
    let problems = RefCell::new(Problems::default());
    let read = || {
        let fields = Field::root(node, &problems).fields()?;
        super::check_version(&fields);
        let listed = fields.require("clients").map(|f| f.items()).unwrap_or_default();
        let mut clients = Vec::new();
        for client in &listed {
            clients.extend(ClientSettings::read(client));
            // The document is refused, and the problems that were found so far are enough for a report.
            if problems.borrow().is_full() {
                break;
            }
        }
        fields.finish();
        Some(clients)
    };
    let clients = read().unwrap_or_default();
    (clients, problems.into_inner())
}

/// Adds a problem if the list has more than `most` clients, keys and certificates in total. Returns `true` if it added one.
pub fn check_entries(clients: &[ClientSettings], most: usize, problems: &mut Problems) -> bool {
    let entries: usize = clients.iter().map(|client| 1 + client.keys.len() + client.certificates.len()).sum();
    if entries > most {
        let message = format!("the document has {entries} clients, keys and certificates, at most {most} are accepted");
        problems.add(&Place::default(), message);
    }
    entries > most
}

/// The default of `clients_from.max_entries`.
pub const USUAL_ENTRIES: usize = key::MAX_ENTRIES.default as usize;
