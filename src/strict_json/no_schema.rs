//! Replaces JSON Schema in the module that is built without it.
//!
//! Documents with schemas are rejected.

use std::borrow::Cow;

use serde_json::Value;

use super::tree::Json;

/// A compiled schema. This module cannot create one.
#[derive(Debug)]
pub enum Schema {}

/// A requirement of the schema that a value does not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaFinding {
    /// The location, as a JSON Pointer.
    pub pointer: String,
    /// The requirement.
    pub message: Cow<'static, str>,
}

/// The reason why a value is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// Violations of the schema.
    Findings(Vec<SchemaFinding>),
    /// Validation would take too long.
    TooComplex,
}

/// Returns the known name that the written one is probably meant to be.
pub type NearMiss = for<'n> fn(&str, &mut dyn Iterator<Item = &'n str>) -> Option<&'n str>;

/// The schemas of a document.
#[derive(Debug)]
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
    /// Creates an empty library.
    pub fn new(_near_miss: NearMiss) -> Library {
        Library(())
    }

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
