//! Reads documents that hold nothing but clients, for a policy at work: whole, or not at all.

use super::unique::Taken;
use super::{Surroundings, unique};
use crate::config::clients_from::{check_entries, read_document};
use crate::config::node::Node;
use crate::config::problem::Problems;
use crate::policy::credentials::clients::{ClientDirectory, ReadClients};
use crate::strict_json;
use crate::strict_json::Bounds;

/// What a document of clients is read against: the policy that will look them up.
#[derive(Debug)]
pub struct ClientReader {
    pub(super) around: Surroundings,
    /// What the gateway's own clients are told apart by, which no document may name again.
    pub(super) taken: Taken,
    pub(super) most_entries: usize,
}

impl ClientReader {
    /// Reads a document that was parsed, wherever it comes from.
    ///
    /// # Errors
    /// Every problem of the document.
    pub fn read(&self, node: &Node) -> Result<ClientDirectory, Problems> {
        let (clients, mut problems) = read_document(node);
        if check_entries(&clients, self.most_entries, &mut problems) {
            return Err(problems);
        }
        unique::check(&clients, &self.taken, &mut problems);
        let directory = ClientDirectory::compile(&clients, &self.around, &mut problems);
        if problems.is_empty() { Ok(directory) } else { Err(problems) }
    }

    /// The longest text of a document with this many entries at most.
    pub fn most_bytes_of(most_entries: usize) -> usize {
        MOST_BYTES_AROUND + most_entries * MOST_BYTES_AN_ENTRY
    }

    /// How much such a text may hold.
    pub fn bounds_of(most_entries: usize) -> Bounds {
        Bounds { depth: MOST_DEPTH, values: MOST_VALUES_AROUND + most_entries * MOST_VALUES_AN_ENTRY }
    }
}

impl ReadClients for ClientReader {
    fn parse(&self, text: &[u8]) -> Result<ClientDirectory, String> {
        let bounds = Self::bounds_of(self.most_entries);
        let json = strict_json::parse_within(text, bounds).map_err(|fault| fault.to_string())?;
        self.read(&Node::from(json)).map_err(Problems::in_short)
    }

    fn most_entries(&self) -> usize {
        self.most_entries
    }

    fn most_bytes(&self) -> usize {
        Self::most_bytes_of(self.most_entries)
    }
}

/// The document, its list, a client, its list of keys, a key.
const MOST_DEPTH: usize = 8;
/// How many bytes and values are read for each entry that a document may have, and besides: a tree takes many times the
/// memory of its text, so values are bounded as well.
const MOST_BYTES_AN_ENTRY: usize = 512;
const MOST_BYTES_AROUND: usize = 64 * 1024;
const MOST_VALUES_AN_ENTRY: usize = 32;
const MOST_VALUES_AROUND: usize = 1_000;
