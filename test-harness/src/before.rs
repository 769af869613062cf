//! What a case changes around the gateway before its request: keys, documents, and the failures of their endpoints.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::documents::Fault;

/// Changes that take effect before a request is sent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Before {
    /// The new failure of the key endpoint.
    #[serde(default)]
    pub issuer: Option<Fault>,
    /// The keys that the issuer now publishes.
    #[serde(default)]
    pub publish: Option<Vec<String>>,
    /// The documents that are now published.
    #[serde(default)]
    pub documents: BTreeMap<String, Value>,
    /// The failure that the endpoint of each document simulates from now on, by document name.
    #[serde(default)]
    pub faults: BTreeMap<String, Fault>,
    /// The complete new content of the document `revocations`.
    #[serde(default)]
    pub revoke: Option<Vec<Value>>,
}

impl Before {
    /// Returns the changed documents, including `revoke`, and the endpoints whose failure changes.
    pub fn changes(&self) -> (BTreeMap<String, Value>, &BTreeMap<String, Fault>) {
        let mut documents = self.documents.clone();
        if let Some(revoked) = &self.revoke {
            documents.insert("revocations".to_owned(), json!({ "version": "1.0", "revoked": revoked }));
        }
        (documents, &self.faults)
    }
}
