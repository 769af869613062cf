//! JSON Schema 2020-12 for bodies: schemas are compiled once, and no body can make judging it take long.
//!
//! Written for this place instead of taken from a library: what a client sends must neither be repeated in a message nor decide
//! how long a worker is busy, so every step is counted, those of patterns too, and branches that only failed are never searched for
//! their reasons. `no_schema.rs` stands in its place in the module without it.

mod builder;
mod dialect;
mod evaluated;
mod graph;
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

pub use library::{Fault, Library};

use crate::policy::verdict::rejection::Finding;
use crate::strict_json::tree::Json;
use id::NodeId;
use judge::Judge;
use program::Program;

/// A compiled schema.
#[derive(Debug)]
pub struct Schema {
    program: Program,
    root: NodeId,
}

/// Why a body is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// It is not as the schema has it: where, and what must be there; the first few of what was found.
    Findings(Vec<Finding>),
    /// Finding out would take too long.
    TooComplex,
}

impl Schema {
    /// Judges a value. Pointers in findings start with `room`; nothing of the value stands in them but indexes of items.
    ///
    /// # Errors
    /// Why the value is not as the schema has it.
    pub fn judge(&self, value: &Json<'_>, room: &'static str) -> Result<(), Misfit> {
        Judge::new(&self.program, room, value).run(self.root, value)
    }
}

#[cfg(test)]
mod tests;
