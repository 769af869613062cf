//! The types that `schema.rs` and `no_schema.rs` share: findings in values, and faults in schemas.

use std::borrow::Cow;

/// A violation of a schema: a requirement that a value does not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaFinding {
    /// The location of the violation in the value, as a JSON Pointer.
    pub pointer: String,
    /// The requirement, such as `must be at least 1`.
    pub message: Cow<'static, str>,
}

/// The reason why validation refuses a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValidationError {
    /// The value violates the schema. The list contains the first violations, at most 20.
    Findings(Vec<SchemaFinding>),
    /// Validation reached the bound on its steps or on its depth.
    TooComplex,
}

/// A function that returns the known name that is most similar to a misspelled name, for error messages.
pub type NearMiss = for<'n> fn(&str, &mut dyn Iterator<Item = &'n str>) -> Option<&'n str>;

/// A fault in a schema, reported to the author of the schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SchemaFault {
    /// The address of the document that contains the schema.
    pub address: String,
    /// The location of the fault in this document, as a JSON Pointer.
    pub pointer: String,
    /// A description of the fault and of the accepted values.
    pub message: String,
}
