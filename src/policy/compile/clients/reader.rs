//! Parses client documents for a running policy.
//!
//! The reader rejects a document that has any problem.

use super::unique::UsedNames;
use super::{ClientContext, unique};
use crate::config::clients_from::{check_entries, read_document};
use crate::config::node::Node;
use crate::config::problem::Problems;
use crate::policy::credentials::clients::{ClientDirectory, ReadClients};
use crate::strict_json;
use crate::strict_json::Bounds;

/// Parses client documents for the policy that polls them.
#[derive(Debug)]
pub struct ClientReader {
    pub(super) around: ClientContext,
    /// The ids, keys and certificates of the clients in the configuration document. A client document must not reuse them.
    pub(super) taken: UsedNames,
    pub(super) most_entries: usize,
}

impl ClientReader {
    /// Compiles a client document.
    ///
    /// # Errors
    /// Returns all problems of the client document.
    pub fn read(&self, node: &Node) -> Result<ClientDirectory, Problems> {
        let (clients, mut problems) = read_document(node);
        if check_entries(&clients, self.most_entries, &mut problems) {
            return Err(problems);
        }
        unique::check(&clients, &self.taken, &mut problems);
        let directory = ClientDirectory::compile(&clients, &self.around, &mut problems);
        if problems.is_empty() { Ok(directory) } else { Err(problems) }
    }

    /// Returns the maximum size in bytes of a client document that may have `most_entries` entries.
    pub fn most_bytes_of(most_entries: usize) -> usize {
        MAX_BYTES_AROUND + most_entries * MAX_BYTES_AN_ENTRY
    }

    /// Returns the parser bounds for a client document that may have `most_entries` entries.
    pub fn bounds_of(most_entries: usize) -> Bounds {
        Bounds { depth: MAX_DEPTH, values: MAX_VALUES_AROUND + most_entries * MAX_VALUES_AN_ENTRY }
    }
}

impl ReadClients for ClientReader {
    fn parse(&self, text: &[u8]) -> Result<ClientDirectory, String> {
        let bounds = Self::bounds_of(self.most_entries);
        let json = strict_json::parse_within(text, bounds).map_err(|fault| fault.to_string())?;
        self.read(&Node::from(json)).map_err(Problems::summary)
    }

    fn most_entries(&self) -> usize {
        self.most_entries
    }

    fn most_bytes(&self) -> usize {
        Self::most_bytes_of(self.most_entries)
    }
}

/// The maximum nesting depth of a client document. A valid document has five levels: the document, the client list, a client,
/// its key list, a key.
const MAX_DEPTH: usize = 8;
/// The bytes and values allowed for each entry, and for the rest of the document. The number of values has its own bound,
/// because a parsed value takes much more memory than its text.
const MAX_BYTES_AN_ENTRY: usize = 512;
const MAX_BYTES_AROUND: usize = 64 * 1024;
const MAX_VALUES_AN_ENTRY: usize = 32;
const MAX_VALUES_AROUND: usize = 1_000;
