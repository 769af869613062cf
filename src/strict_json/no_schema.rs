//! Replaces the JSON Schema validator in the module that is built without JSON Schema.
//!
//! That module rejects configurations that contain a schema.

use std::borrow::Cow;

use serde_json::Value;

use super::tree::Json;

/// A compiled schema. The type has no values, because this module cannot compile schemas.
#[derive(Debug)]
pub enum Schema {}

/// A violation: a requirement of the schema that the value does not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaFinding {
    /// The location of the problem, as a JSON Pointer.
    pub pointer: String,
    /// The requirement that the value does not meet.
    pub message: Cow<'static, str>,
}

/// The reason why validation refuses a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// The value violates the schema.
    Findings(Vec<SchemaFinding>),
    /// Validation would take too long.
    TooComplex,
}

/// A function that suggests one of the known names for a misspelled name.
pub type NearMiss = for<'n> fn(&str, &mut dyn Iterator<Item = &'n str>) -> Option<&'n str>;

/// The schemas of a configuration. This module stores none.
#[derive(Debug)]
pub struct Library(());

/// A fault in a schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SchemaFault {
    /// The address of the document that contains the schema.
    pub address: String,
    /// The location of the problem, as a JSON Pointer.
    pub pointer: String,
    /// A description of the fault and of the accepted values.
    pub message: String,
}

impl Schema {
    /// Validates a value.
    ///
    /// # Errors
    /// Never returns an error, because no schema can exist.
    pub fn judge(&self, _value: &Json<'_>, _room: &'static str) -> Result<(), Misfit> {
        match *self {}
    }
}

impl Library {
    /// Creates an empty library.
    pub fn new(_near_miss: NearMiss) -> Library {
        Library(())
    }

    /// Ignores the schema. [`Library::compile`] reports the problem.
    pub fn add(&mut self, _address: &str, _document: Value) {}

    /// Rejects the schema.
    ///
    /// # Errors
    /// Always returns an error. The message names the module that supports schemas.
    pub fn compile(&mut self, address: &str) -> Result<Schema, Vec<SchemaFault>> {
        let message = "a JSON Schema needs the fuller module: load `portcullis-full.wasm` instead of `portcullis.wasm`";
        Err(vec![SchemaFault { address: address.to_string(), pointer: String::new(), message: message.to_string() }])
    }
}
