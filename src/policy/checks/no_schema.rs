//! Stands in for JSON Schema in the module that is built without it: a document that has a schema is refused.

use serde_json::Value;

use crate::policy::verdict::rejection::Finding;
use crate::strict_json::tree::Json;

/// A compiled schema, of which this module can make none.
#[derive(Debug)]
pub enum Schema {}

/// Why a body is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// What the schema says of it.
    Findings(Vec<Finding>),
    /// Finding out would take too long.
    TooComplex,
}

/// The schemas of a document.
#[derive(Debug, Default)]
pub struct Library(());

/// What is wrong with a schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The address of the document in which it stands.
    pub address: String,
    /// Where, as a JSON Pointer.
    pub pointer: String,
    /// The fault, and what would be accepted.
    pub message: String,
}

impl Schema {
    /// Judges a value.
    ///
    /// # Errors
    /// None: there is no schema.
    pub fn judge(&self, _value: &Json<'_>, _room: &'static str) -> Result<(), Misfit> {
        match *self {}
    }
}

impl Library {
    /// Takes no note of a schema.
    pub fn add(&mut self, _address: &str, _document: Value) {}

    /// Refuses to compile one.
    ///
    /// # Errors
    /// Always: which module can do it.
    pub fn compile(&mut self, address: &str) -> Result<Schema, Vec<Fault>> {
        let message = "a JSON Schema needs the fuller module: load `portcullis-full.wasm` instead of `portcullis.wasm`";
        Err(vec![Fault { address: address.to_string(), pointer: String::new(), message: message.to_string() }])
    }
}
