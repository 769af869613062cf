//! JSON Schema 2020-12 for bodies.
//!
//! Schemas are compiled once, and validation time is bounded for every body.
//!
//! The project uses no library for this, because messages must not contain client data, and client data must not control how
//! long validation takes. The validator counts every step, including the steps of patterns. It collects no findings for
//! branches that may fail without making the value invalid. `no_schema.rs` replaces this file in the module that is built
//! without JSON Schema.

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
    /// Validates a value. Pointers in findings start with `prefix`. They contain names from the schema and array indexes, but no
    /// names from the value.
    ///
    /// # Errors
    /// Returns the reason why the value does not match the schema.
    pub fn judge(&self, value: &Json<'_>, prefix: &'static str) -> Result<(), ValidationError> {
        Judge::new(&self.program, prefix, value).run(self.root, value)
    }
}

#[cfg(test)]
mod tests;
