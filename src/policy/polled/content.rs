//! The kinds of polled documents, and the parser of each kind.
//!
//! An invalid document is rejected as a whole. In a key set, however, only the unusable keys are skipped.

use std::sync::Arc;
use std::time::Duration;

use crate::policy::credentials::clients::{ClientDirectory, ReadClients};
use crate::policy::credentials::jwks;
use crate::policy::credentials::jwks::{KeySet, KeySource};
use crate::policy::credentials::revocation_list::{MAX_BYTES_AN_ENTRY, Revocations};

/// The kind of a document, and the settings of its parser.
#[derive(Clone, Debug)]
pub enum DocumentKind {
    /// The key set of an issuer.
    KeySet,
    /// A revocation list.
    Revocations {
        /// The maximum number of entries that have not expired.
        most_entries: usize,
    },
    /// A client document, with the reader that compiles it.
    Clients(Arc<dyn ReadClients>),
}

/// A parsed document, ready for use.
#[derive(Clone, Debug)]
pub enum PolledContent {
    /// The key set of an issuer, with at least one usable key.
    KeySet(Arc<KeySet>),
    /// A revocation list.
    Revocations(Arc<Revocations>),
    /// The clients of a polled client document, without the clients of the configuration document.
    Clients(Arc<ClientDirectory>),
}

impl DocumentKind {
    /// Returns the name of this kind in log lines.
    pub fn name(&self) -> &'static str {
        match self {
            DocumentKind::KeySet => "key set",
            DocumentKind::Revocations { .. } => "revocation list",
            DocumentKind::Clients(_) => "client document",
        }
    }

    /// Returns a tag that distinguishes documents that have the same address but different parsers.
    pub fn tag(&self) -> String {
        match self {
            DocumentKind::KeySet => "keys".to_string(),
            DocumentKind::Revocations { most_entries } => format!("revocations-{most_entries}"),
            DocumentKind::Clients(reader) => format!("clients-{}", reader.most_entries()),
        }
    }

    /// Returns the maximum size of the document in bytes.
    pub fn most_bytes(&self) -> usize {
        match self {
            DocumentKind::KeySet => jwks::MAX_BYTES,
            DocumentKind::Revocations { most_entries } => MAX_BYTES_AROUND + most_entries * MAX_BYTES_AN_ENTRY,
            DocumentKind::Clients(reader) => reader.most_bytes(),
        }
    }
}

impl PolledContent {
    /// Parses a document. Also returns the parts that the parser skipped, each with the reason.
    pub(super) fn read(what: &DocumentKind, text: &[u8], at: Duration) -> Result<(PolledContent, Vec<String>), String> {
        if text.len() > what.most_bytes() {
            return Err(format!("the document is longer than {} bytes", what.most_bytes()));
        }
        match what {
            DocumentKind::KeySet => {
                let (keys, skipped) = KeySet::parse(text, KeySource::Remote).map_err(|fault| fault.to_string())?;
                let skipped: Vec<String> = skipped.iter().map(ToString::to_string).collect();
                match keys.is_empty() {
                    true => Err(format!("no key can be used: {}", skipped.join("; "))),
                    false => Ok((PolledContent::KeySet(Arc::new(keys)), skipped)),
                }
            }
            DocumentKind::Revocations { most_entries } => {
                let list = Revocations::parse(text, *most_entries, at).map_err(|fault| fault.0)?;
                Ok((PolledContent::Revocations(Arc::new(list)), Vec::new()))
            }
            DocumentKind::Clients(reader) => Ok((PolledContent::Clients(Arc::new(reader.parse(text)?)), Vec::new())),
        }
    }

    pub(super) fn key_set(&self) -> Option<&Arc<KeySet>> {
        match self {
            PolledContent::KeySet(keys) => Some(keys),
            PolledContent::Revocations(_) | PolledContent::Clients(_) => None,
        }
    }

    pub(super) fn revocations(&self) -> Option<&Arc<Revocations>> {
        match self {
            PolledContent::Revocations(list) => Some(list),
            PolledContent::KeySet(_) | PolledContent::Clients(_) => None,
        }
    }

    pub(super) fn clients(&self) -> Option<&Arc<ClientDirectory>> {
        match self {
            PolledContent::Clients(directory) => Some(directory),
            PolledContent::KeySet(_) | PolledContent::Revocations(_) => None,
        }
    }
}

/// The bytes that a revocation list may have in addition to the bytes of its entries, such as whitespace.
const MAX_BYTES_AROUND: usize = 64 * 1024;
