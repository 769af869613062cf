//! Fuzzes the parsers of fetched documents: client documents and revocation lists.

use std::time::Duration;

use anyhow::{Context, Result};
use portcullis::config::node::Node;
use portcullis::policy::Policy;
use portcullis::policy::credentials::api_key::ApiKey;
use portcullis::policy::credentials::clients::ReadClients;
use portcullis::policy::credentials::revocation_list::Revocations;
use serde_json::{Value, json};

use super::{PropertyError, Target};
use crate::case::CaseFile;

/// The target for fetched client documents. The gateway of the target also has clients, plans and permissions in its own
/// document.
pub struct Clients {
    policy: Policy,
}

impl Clients {
    /// Creates the target for client documents.
    pub fn open() -> Result<Box<dyn Target>> {
        let own = ApiKey::compose("test", OWN_LOOKUP, SECRET);
        let (prefix, _) = own.rsplit_once('_').context("a key has no prefix")?;
        let key = json!({ "id": "o-1", "prefix": prefix, "hash": format!("sha256:{}", "01".repeat(32)) });
        let gateway = json!({
            "version": "1.0",
            "environment": "test",
            "permissions": { "LIC": { "READ_ORDERS": { "bit": 0, "description": "see orders" } } },
            "plans": { "free": { "rate": "1/s" }, "pro": { "rate": "9/s" } },
            "clients": [{ "id": OWN, "owner": "o", "purpose": "p", "keys": [key], "certificates": [{ "dns": "own.example" }] }],
            "clients_from": { "uri": "https://clients.example/", "cluster": "clients", "max_entries": MAX_ENTRIES },
            "routes": [{ "path": "/", "auth": "none", "response": {} }],
        });
        let policy = Policy::from_node(&Node::from(gateway), &|_| None);
        let policy = policy.map_err(|problems| anyhow::anyhow!("the gateway is refused: {problems:?}"))?;
        Ok(Box::new(Self { policy }))
    }
}

impl Target for Clients {
    fn seeds(&self) -> Vec<Vec<u8>> {
        seeds("clients")
    }

    /// Checks that the result is deterministic and bounded, and that it never contains a client or key of the gateway's own
    /// document.
    fn hold(&mut self, input: &[u8]) -> Result<(), PropertyError> {
        let Some(reader) = self.policy.client_reader() else {
            return Err("the gateway fetches no client document".to_owned());
        };
        let read = |text: &[u8]| reader.parse(text);
        let (first, again) = (read(input), read(input));
        match (first, again) {
            (Err(fault), Err(same)) if !fault.is_empty() && fault == same => Ok(()),
            (Ok(directory), Ok(same)) if directory.len() == same.len() => {
                let own = ApiKey::compose("test", OWN_LOOKUP, SECRET);
                let own = ApiKey::read(own.as_bytes()).map_err(str::to_owned)?;
                if directory.client(OWN).is_some() || directory.has_key(&own) {
                    return Err("the result contains a client or a key of the gateway's own document".to_owned());
                }
                if directory.len() > MAX_ENTRIES {
                    return Err(format!("{} clients were accepted, which is more than the maximum", directory.len()));
                }
                respelled(input, directory.len(), |text| read(text).map(|directory| directory.len()))?;
                every_entry(input, "clients", |client| {
                    let id = client.get("id").and_then(Value::as_str).unwrap_or_default();
                    directory.client(id).is_some()
                })
            }
            _ => Err("parsing the document again gives a different result, or the error has no message".to_owned()),
        }
    }
}

/// The target for fetched revocation lists.
pub struct RevocationLists;

impl RevocationLists {
    /// Creates the target for revocation lists.
    pub fn open() -> Result<Box<dyn Target>> {
        Ok(Box::new(Self))
    }
}

impl Target for RevocationLists {
    fn seeds(&self) -> Vec<Vec<u8>> {
        seeds("revoked")
    }

    /// Checks that the result is deterministic and bounded, and that every entry with `client` and without `expires` revokes this
    /// client.
    fn hold(&mut self, input: &[u8]) -> Result<(), PropertyError> {
        let read = |text: &[u8]| Revocations::parse(text, MAX_ENTRIES, NOW);
        let (first, again) = (read(input), read(input));
        match (first, again) {
            (Err(fault), Err(same)) if !fault.0.is_empty() && fault == same => Ok(()),
            (Ok(list), Ok(same)) if list.len() == same.len() => {
                if list.len() > MAX_ENTRIES {
                    return Err(format!("{} entries were accepted, which is more than the maximum", list.len()));
                }
                respelled(input, list.len(), |text| read(text).map(|list| list.len()))?;
                every_entry(input, "revoked", |entry| {
                    let text = |name: &str| entry.get(name).and_then(Value::as_str);
                    let over = entry.get("expires").is_some();
                    text("client").is_none_or(|client| over || list.covers_client(client, text("key"), NOW))
                })
            }
            _ => Err("parsing the list again gives a different result, or the error has no message".to_owned()),
        }
    }
}

/// Checks that the result of the parser has the same size if the entries of the document are in reverse order.
fn respelled<E>(input: &[u8], size: usize, read: impl Fn(&[u8]) -> Result<usize, E>) -> Result<(), PropertyError> {
    let mut document: Value =
        serde_json::from_slice(input).map_err(|_| "the parser accepted input that is not JSON".to_owned())?;
    let lists = document.as_object_mut().into_iter().flatten().filter_map(|(_, value)| value.as_array_mut());
    lists.for_each(|list| list.reverse());
    match read(document.to_string().as_bytes()) {
        Ok(found) if found == size => Ok(()),
        _ => Err("the document gives another result if its entries are in reverse order".to_owned()),
    }
}

fn every_entry(input: &[u8], list: &str, holds: impl Fn(&Value) -> bool) -> Result<(), PropertyError> {
    let document: Value = serde_json::from_slice(input).unwrap_or_default();
    let lost = document.get(list).and_then(Value::as_array).into_iter().flatten().find(|entry| !holds(entry));
    lost.map_or(Ok(()), |entry| Err(format!("an entry has no effect: {entry}")))
}

/// Returns every document in the case files that has a member whose name is the value of `list`.
fn seeds(list: &str) -> Vec<Vec<u8>> {
    let files = CaseFile::read_all().unwrap_or_default();
    let published = files.iter().flat_map(|file| {
        let changed = file.cases.iter().flat_map(|case| case.before.changes().0.into_values());
        file.documents.values().cloned().chain(changed)
    });
    published
        .filter(|document| document.get(list).is_some())
        .map(|document| document.to_string().into_bytes())
        .collect()
}

const OWN: &str = "operations";
const OWN_LOOKUP: &str = "own000000001";
const SECRET: &str = "0123456789abcdefghijKLMNOPQRSTUV";
const MAX_ENTRIES: usize = 20;
const NOW: Duration = Duration::from_secs(1_790_000_000);
