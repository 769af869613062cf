//! Fuzz targets for every parser of untrusted bytes, with seeds and the properties that every input must satisfy.
//!
//! `make fuzz` runs libFuzzer to find inputs that reach new code. `tests/hostile.rs` is part of every test run: it runs
//! the inputs that are stored in `test-harness/corpus`, and some random inputs.

mod browser;
mod fetched;
mod gateways;
mod patterns;
mod pipeline;
pub mod rng;
mod schemas;
mod texts;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{envoy, octets};

/// An error message with the violated property and the input.
pub type PropertyError = String;

/// A fuzz target: seeds, and properties that every input must have.
pub trait Target {
    /// Returns valid inputs, from which fuzzing starts.
    fn seeds(&self) -> Vec<Vec<u8>>;

    /// Runs one input and returns an error if the input violates a property. A panic is also a finding.
    fn hold(&mut self, input: &[u8]) -> Result<(), PropertyError>;
}

/// A function that creates a target.
pub type Open = fn() -> Result<Box<dyn Target>>;

/// All targets by name.
pub const TARGETS: &[(&str, Open)] = &[
    ("document", texts::document),
    ("yaml", texts::yaml),
    ("token", texts::token),
    ("key_set", texts::key_set),
    ("clients", fetched::Clients::open),
    ("revocations", fetched::RevocationLists::open),
    ("path", texts::path),
    ("host", texts::host),
    ("headers", texts::headers),
    ("cors", browser::Cors::open),
    ("claims", pipeline::Claims::open),
    ("decide", pipeline::Decide::open),
    ("schema", schemas::Schemas::open),
    ("pattern", patterns::Patterns::open),
];

/// Creates the target with this name.
pub fn open(name: &str) -> Result<Box<dyn Target>> {
    let names = || TARGETS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let found = TARGETS.iter().find(|(have, _)| *have == name);
    let (_, open) = found.with_context(|| format!("no fuzz target `{name}`; the targets are: {}", names()))?;
    open()
}

/// Returns the stored inputs that fuzzing found for a target.
pub fn corpus(name: &str) -> Result<Vec<Vec<u8>>> {
    let folder = corpus_folder(name);
    let entries = fs::read_dir(&folder).with_context(|| format!("no folder {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    files.iter().map(|file| Ok(fs::read(file)?)).collect()
}

/// Returns the folder with the stored inputs of a target.
pub fn corpus_folder(name: &str) -> PathBuf {
    envoy::root().join("test-harness/corpus").join(name)
}

/// Runs one input and returns a panic as an error.
pub fn feed(target: &mut dyn Target, input: &[u8]) -> Result<(), PropertyError> {
    let shown = |what: &str| format!("{what}\ninput: {}", octets::escape(input));
    match catch_unwind(AssertUnwindSafe(|| target.hold(input))) {
        Ok(held) => held.map_err(|broken| shown(&broken)),
        Err(_) => Err(shown("the target panicked; see the panic message above")),
    }
}
