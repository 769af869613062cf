//! Changes that a case makes before its request: new keys, new documents, and failures of their endpoints.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::documents::Fault;

/// Changes that take effect before a request is sent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Before {
    /// The failure that the key endpoint simulates from now on.
    #[serde(default)]
    pub issuer: Option<Fault>,
    /// The keys that the issuer publishes from now on.
    #[serde(default)]
    pub publish: Option<Vec<String>>,
    /// The changed documents that the issuer publishes from now on, by name.
    #[serde(default)]
    pub documents: BTreeMap<String, Value>,
    /// The failure that the endpoint of each document simulates from now on, by document name.
    #[serde(default)]
    pub faults: BTreeMap<String, Fault>,
    /// The entries of the document `revocations`. They replace all previous entries.
    #[serde(default)]
    pub revoke: Option<Vec<Value>>,
}

impl Before {
    /// Returns the changed documents and the changed failures of document endpoints. The documents include `revocations` if
    /// `revoke` is set.
    pub fn changes(&self) -> (BTreeMap<String, Value>, &BTreeMap<String, Fault>) {
        let mut documents = self.documents.clone();
        if let Some(revoked) = &self.revoke {
            documents.insert("revocations".to_owned(), json!({ "version": "1.0", "revoked": revoked }));
        }
        (documents, &self.faults)
    }
}
