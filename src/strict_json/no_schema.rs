//! Replaces the JSON Schema validator in `portcullis.wasm`, which is built without the feature `schema`.
//!
//! This build rejects every configuration that contains a schema.

pub use super::schema_types::{NearMiss, SchemaFault, SchemaFinding, ValidationError};

use serde_json::Value;

use super::tree::Json;

/// A compiled schema. The type has no values, because this build cannot compile schemas.
#[derive(Debug)]
pub enum Schema {}

/// The schemas of a configuration. In this build, a library stores nothing.
#[derive(Debug)]
pub struct Library(());

impl Schema {
    /// Validates a value. In this build, the function is never called.
    ///
    /// # Errors
    /// Never returns an error, because no schema can exist.
    pub fn judge(&self, _value: &Json<'_>, _prefix: &'static str) -> Result<(), ValidationError> {
        match *self {}
    }
}

impl Library {
    /// Creates an empty library. This build does not use the argument.
    pub fn new(_near_miss: NearMiss) -> Library {
        Library(())
    }

    /// Ignores the schema. [`Library::compile`] reports that schemas are not supported.
    pub fn add(&mut self, _address: &str, _document: Value) {}

    /// Rejects the schema at this address.
    ///
    /// # Errors
    /// Always returns an error, which asks the operator to load `portcullis-full.wasm`.
    pub fn compile(&mut self, address: &str) -> Result<Schema, Vec<SchemaFault>> {
        let message = "a JSON Schema needs the full module: load `portcullis-full.wasm` instead of `portcullis.wasm`";
        Err(vec![SchemaFault { address: address.to_string(), pointer: String::new(), message: message.to_string() }])
    }
}
