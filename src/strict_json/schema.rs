//! A JSON Schema 2020-12 validator for request bodies.
//!
//! Schemas are compiled once per configuration. Validation counts its steps, including those of patterns, and stops at a bound.
//!
//! The project does not use a library, because it needs two guarantees: messages never contain client data, and client data
//! cannot make validation slow. `no_schema.rs` replaces this file in `portcullis.wasm`, which is built without JSON Schema.

mod builder;
mod dialect;
mod evaluated;
mod graph;
mod id;
mod judge;
mod keyword;
mod keywords;
mod library;
mod location;
mod order;
mod pattern;
mod places;
mod pointer;
mod program;
mod reference;
mod search;
mod steps;
mod words;

pub use super::schema_types::{NearMiss, SchemaFault, SchemaFinding, ValidationError};
pub use library::Library;

use super::tree::Json;
use id::SchemaNodeId;
use judge::Judge;
use program::Program;

/// A compiled schema.
#[derive(Debug)]
pub struct Schema {
    program: Program,
    root: SchemaNodeId,
}

impl Schema {
    /// Validates a value. Pointers in findings start with `prefix`. They contain array indexes and member names from the schema.
    /// A member name that is only in the value appears as `*`.
    ///
    /// # Errors
    /// Returns the violations, or [`ValidationError::TooComplex`] if validation reached the bound on its steps.
    pub fn judge(&self, value: &Json<'_>, prefix: &'static str) -> Result<(), ValidationError> {
        Judge::new(&self.program, prefix, value).run(self.root, value)
    }
}

#[cfg(test)]
mod tests;
