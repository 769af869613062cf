//! JSON Schema 2020-12 for bodies.
//!
//! Schemas are compiled once, and validation time is bounded for every body.
//!
//! This is own code instead of a library: client data must not appear in messages, and must not control how long validation takes.
//! Every step is counted, including those of patterns, and failed branches are not searched for reasons. `no_schema.rs`
//! replaces it in the module built without schemas.

mod builder;
mod dialect;
mod evaluated;
mod graph;
mod here;
mod id;
mod judge;
mod keyword;
mod keywords;
mod library;
mod order;
mod pattern;
mod places;
mod pointer;
mod program;
mod reference;
mod search;
mod steps;
mod words;

pub use library::{Library, NearMiss, SchemaFault};

use std::borrow::Cow;

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
    /// The first few violations of the schema: the location, and the requirement.
    Findings(Vec<SchemaFinding>),
    /// Validation would take too long.
    TooComplex,
}

impl Schema {
    /// Validates a value. Pointers in findings start with `room`; the only part of the value in them is array indexes.
    ///
    /// # Errors
    /// The reason why the value does not match the schema.
    pub fn judge(&self, value: &Json<'_>, room: &'static str) -> Result<(), Misfit> {
        Judge::new(&self.program, room, value).run(self.root, value)
    }
}

#[cfg(test)]
mod tests;
