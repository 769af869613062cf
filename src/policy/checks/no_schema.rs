//! Replaces JSON Schema in the module that is built without it.
//!
//! Documents with schemas are rejected.

use serde_json::Value;

use crate::policy::verdict::rejection::Finding;
use crate::strict_json::tree::Json;

/// A compiled schema. This module cannot create one.
#[derive(Debug)]
pub enum Schema {}

/// The reason why a body is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// Violations of the schema.
    Findings(Vec<Finding>),
    /// Validation would take too long.
    TooComplex,
}

/// The schemas of a document.
#[derive(Debug, Default)]
pub struct Library(());

/// A fault of a schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SchemaFault {
    /// The address of the document that contains the schema.
    pub address: String,
    /// The location, as a JSON Pointer.
    pub pointer: String,
    /// The fault, and what is accepted.
    pub message: String,
}

impl Schema {
    /// Validates a value.
    ///
    /// # Errors
    /// None: there is no schema.
    pub fn judge(&self, _value: &Json<'_>, _room: &'static str) -> Result<(), Misfit> {
        match *self {}
    }
}

impl Library {
    /// Ignores a schema.
    pub fn add(&mut self, _address: &str, _document: Value) {}

    /// Rejects a schema.
    ///
    /// # Errors
    /// Always. The message names the module that supports schemas.
    pub fn compile(&mut self, address: &str) -> Result<Schema, Vec<SchemaFault>> {
        let message = "a JSON Schema needs the fuller module: load `portcullis-full.wasm` instead of `portcullis.wasm`";
        Err(vec![SchemaFault { address: address.to_string(), pointer: String::new(), message: message.to_string() }])
    }
}
