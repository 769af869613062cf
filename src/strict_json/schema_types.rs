//! The types that the JSON Schema validator shares with its replacement in the module without JSON Schema.

use std::borrow::Cow;

/// A violation: a requirement of the schema that the value does not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaFinding {
    /// The location in the value, as a JSON Pointer.
    pub pointer: String,
    /// The requirement that the value does not meet.
    pub message: Cow<'static, str>,
}

/// The reason why validation refuses a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValidationError {
    /// The value violates the schema. The list contains the first violations.
    Findings(Vec<SchemaFinding>),
    /// Validation would take too long.
    TooComplex,
}

/// A function that suggests one of the known names for a misspelled name.
pub type NearMiss = for<'n> fn(&str, &mut dyn Iterator<Item = &'n str>) -> Option<&'n str>;

/// A fault in a schema, reported to the author of the schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SchemaFault {
    /// The address of the document that contains the schema.
    pub address: String,
    /// The location in the document, as a JSON Pointer.
    pub pointer: String,
    /// A description of the fault and of the accepted values.
    pub message: String,
}
