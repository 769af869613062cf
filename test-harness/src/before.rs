//! What a case changes in the world around the gateway before its request: keys, documents, and how their endpoints fail.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::documents::Fault;

/// Changes to what is published before a request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Before {
    /// The key endpoint fails like this from now on.
    #[serde(default)]
    pub issuer: Option<Fault>,
    /// The issuer publishes these keys from now on.
    #[serde(default)]
    pub publish: Option<Vec<String>>,
    /// These documents are published from now on.
    #[serde(default)]
    pub documents: BTreeMap<String, Value>,
    /// The endpoints of these documents fail like this from now on.
    #[serde(default)]
    pub faults: BTreeMap<String, Fault>,
    /// The document `revocations` lists these from now on, and nothing else.
    #[serde(default)]
    pub revoke: Option<Vec<Value>>,
}

impl Before {
    /// The documents that change, `revoke` among them, and those whose endpoints do.
    pub fn changes(&self) -> (BTreeMap<String, Value>, &BTreeMap<String, Fault>) {
        let mut documents = self.documents.clone();
        if let Some(revoked) = &self.revoke {
            documents.insert("revocations".to_owned(), json!({ "version": "1.0", "revoked": revoked }));
        }
        (documents, &self.faults)
    }
}
