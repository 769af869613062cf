//! Changes that a case makes before its request: new keys, new documents, and failures of their endpoints.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::documents::Fault;

/// Changes that take effect before a request is sent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Before {
    /// The failure that the key endpoint simulates from this case on.
    #[serde(default)]
    pub issuer: Option<Fault>,
    /// The `kid` values of the keys that the issuer publishes from this case on.
    #[serde(default)]
    pub publish: Option<Vec<String>>,
    /// The new content of documents that the issuer publishes, by document name.
    #[serde(default)]
    pub documents: BTreeMap<String, Value>,
    /// The failures that document endpoints simulate from this case on, by document name.
    #[serde(default)]
    pub faults: BTreeMap<String, Fault>,
    /// The entries of the revocation list. The issuer publishes a list with only these entries as the document `revocations`.
    #[serde(default)]
    pub revoke: Option<Vec<Value>>,
}

impl Before {
    /// Returns the changed documents and the changed failures of document endpoints. If `revoke` is set, the documents include
    /// the revocation list under the name `revocations`.
    pub fn changes(&self) -> (BTreeMap<String, Value>, &BTreeMap<String, Fault>) {
        let mut documents = self.documents.clone();
        if let Some(revoked) = &self.revoke {
            documents.insert("revocations".to_owned(), json!({ "version": "1.0", "revoked": revoked }));
        }
        (documents, &self.faults)
    }
}
