//! A file with clients: a gateway document or a document of clients. A file with problems is refused.

use clap::Args;

use crate::cli::gateway::Variables;
use crate::cli::{Failure, clients, documents, gateway, hint};
use crate::config::client::{ClientKey, ClientSettings};
use crate::config::node::{Node, Value};
use crate::config::problem::near_miss;
use crate::policy::credentials::api_key::environment_of;

/// The gateway and the variables with which a file is checked.
#[derive(Args)]
pub struct ClientFileContext {
    /// The gateway document, if FILE is a document of clients; its permissions, plans and issuers are used for the check
    #[arg(long, value_name = "FILE")]
    pub gateway: Option<String>,
    #[command(flatten)]
    variables: Variables,
}

/// A file with clients and without problems.
pub struct ClientFile {
    /// The name of the file.
    pub file: String,
    /// The content of the file.
    pub text: String,
    /// The parsed content, with locations.
    pub root: Node,
    /// The clients that the file contains.
    pub clients: Vec<ClientSettings>,
    /// The environment of the gateway, if known.
    pub environment: Option<String>,
    /// Notes on the parts that were not checked.
    pub notes: Vec<String>,
}

impl ClientFileContext {
    /// Opens a file with clients. Reports all problems that the gateway would report.
    pub fn open(&self, file: &str) -> Result<ClientFile, Failure> {
        self.read(file, &gateway::read_document(file)?)
    }

    /// Parses the content of a file. Reports all problems that the gateway would report.
    pub fn read(&self, file: &str, text: &str) -> Result<ClientFile, Failure> {
        let in_file = |problem| (file.to_string(), problem);
        let roots = documents::read(file, text).map_err(|problem| Failure::Problems(vec![in_file(problem)]))?;
        match roots.as_slice() {
            [root] if is_of_clients(root) => self.of_clients(file, text, root),
            [root, ..] => {
                if self.gateway.is_some() {
                    return Err(Failure::Message(format!(
                        "{file} is a gateway document, not a document of clients: omit --gateway"
                    )));
                }
                let gateway = gateway::inspect_text(file, text, &self.variables)?;
                Ok(ClientFile {
                    file: file.to_string(),
                    text: text.to_string(),
                    root: root.clone(),
                    environment: gateway.document.environment.map(|environment| environment.value),
                    clients: gateway.document.clients,
                    notes: Vec::new(),
                })
            }
            [] => Err(Failure::Message(format!("{file}: the document is empty"))),
        }
    }

    fn of_clients(&self, file: &str, text: &str, root: &Node) -> Result<ClientFile, Failure> {
        let gateway =
            self.gateway.as_deref().map(|name| gateway::open_for_inspection(name, &self.variables)).transpose()?;
        let clients = clients::read(file, root, self.gateway.as_deref().zip(gateway.as_ref()))?;
        let environment = gateway.and_then(|gateway| gateway.document.environment).map(|environment| environment.value);
        let note = format!("{file}: note: without --gateway, names of permissions, plans and issuers were not checked");
        let notes = if self.gateway.is_none() { vec![note] } else { Vec::new() };
        Ok(ClientFile {
            file: file.to_string(),
            text: text.to_string(),
            root: root.clone(),
            clients,
            environment,
            notes,
        })
    }
}

impl ClientFile {
    /// Returns the client with this id, and its index in the list.
    pub fn client(&self, id: &str) -> Result<(usize, &ClientSettings), Failure> {
        let found = self.clients.iter().enumerate().find(|(_, client)| client.id.value == id);
        found.ok_or_else(|| {
            let ids = || self.clients.iter().map(|client| client.id.value.as_str());
            let hint = match near_miss(id, ids()) {
                near @ Some(_) => hint(near),
                None => format!(" (listed: {})", ids().collect::<Vec<_>>().join(", ")),
            };
            Failure::Message(format!("{}: no client `{id}`{hint}", self.file))
        })
    }

    /// Finds the key with this id or prefix. Returns the index of its client, the index of the key, the client, and the key. If
    /// `client` is set, searches only this client.
    pub fn key(
        &self,
        client: Option<&str>,
        name: &str,
    ) -> Result<(usize, usize, &ClientSettings, &ClientKey), Failure> {
        if let Some(client) = client {
            self.client(client)?;
        }
        refuse_key_itself(name)?;
        let ours = self.clients.iter().enumerate().filter(|(_, c)| client.is_none_or(|id| c.id.value == id));
        let keys = ours.flat_map(|(i, c)| c.keys.iter().enumerate().map(move |(j, key)| (i, j, c, key)));
        let mut found = keys.clone().filter(|(.., key)| key.id == name || key.prefix == name);
        match (found.next(), found.next()) {
            (Some(key), None) => Ok(key),
            (Some(_), Some(_)) => {
                Err(Failure::Message(format!("{}: several clients have a key `{name}`: add --client", self.file)))
            }
            (None, _) => {
                let near = near_miss(name, keys.flat_map(|(.., key)| [key.id.as_str(), key.prefix.as_str()]));
                Err(Failure::Message(format!("{}: no key `{name}`{}", self.file, hint(near))))
            }
        }
    }

    /// Checks that `clients` is at the top level of the file, because only such a file can be edited.
    pub fn check_editable(&self) -> Result<(), Failure> {
        match self.root.get("clients") {
            Some(_) => Ok(()),
            None => Err(Failure::Message(format!(
                "{}: has no `clients` at its top level: only a gateway.yaml or a document of clients can be edited",
                self.file
            ))),
        }
    }
}

/// Fails if the user passed a whole key instead of its id, because error messages repeat ids and would repeat the secret.
pub fn refuse_key_itself(name: &str) -> Result<(), Failure> {
    match name.rsplit_once('_').filter(|(prefix, _)| environment_of(prefix).is_some()) {
        Some((prefix, _)) => {
            Err(Failure::Message(format!("expected the id or the prefix of a key (`{prefix}`), not the key itself")))
        }
        None => Ok(()),
    }
}

/// Returns whether this is a document of clients, which has no members except `version` and `clients`.
fn is_of_clients(root: &Node) -> bool {
    let Value::Map(entries) = &root.value else { return false };
    root.get("clients").is_some() && entries.iter().all(|(key, _)| matches!(key.text.as_str(), "version" | "clients"))
}
