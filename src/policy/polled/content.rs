//! What a polled document can be about, and how its text is read: whole, or not at all.

use std::rc::Rc;
use std::time::Duration;

use crate::policy::credentials::clients::{ClientDirectory, ReadClients};
use crate::policy::credentials::jwks;
use crate::policy::credentials::jwks::{KeySet, KeySource};
use crate::policy::credentials::revocation_list::{MOST_BYTES_AN_ENTRY, Revocations};

/// What a document is about, with what its reading depends on.
#[derive(Clone, Debug)]
pub enum What {
    /// An issuer's keys.
    KeySet,
    /// What is revoked.
    Revocations {
        /// How many entries the list may have.
        most_entries: usize,
    },
    /// Who calls with keys, certificates or tokens of its own.
    Clients(Rc<dyn ReadClients>),
}

/// A document that was read.
#[derive(Clone, Debug)]
pub enum Content {
    /// An issuer's keys, one of them usable at least.
    KeySet(Rc<KeySet>),
    /// What is revoked.
    Revocations(Rc<Revocations>),
    /// Who calls, beside those whom the gateway's own document lists.
    Clients(Rc<ClientDirectory>),
}

impl What {
    /// What it is called in the log.
    pub fn name(&self) -> &'static str {
        match self {
            What::KeySet => "key set",
            What::Revocations { .. } => "revocation list",
            What::Clients(_) => "client document",
        }
    }

    /// A word that tells documents apart which come from one address and are read in different ways.
    pub fn tag(&self) -> String {
        match self {
            What::KeySet => "keys".to_string(),
            What::Revocations { most_entries } => format!("revocations-{most_entries}"),
            What::Clients(reader) => format!("clients-{}", reader.most_entries()),
        }
    }

    /// The longest text that is read, in bytes.
    pub fn most_bytes(&self) -> usize {
        match self {
            What::KeySet => jwks::MAX_BYTES,
            What::Revocations { most_entries } => MOST_BYTES_AROUND + most_entries * MOST_BYTES_AN_ENTRY,
            What::Clients(reader) => reader.most_bytes(),
        }
    }
}

impl Content {
    /// Reads a text; with what comes back are the parts that are not used, each with its reason.
    pub(super) fn read(what: &What, text: &[u8], at: Duration) -> Result<(Content, Vec<String>), String> {
        if text.len() > what.most_bytes() {
            return Err(format!("longer than {} bytes", what.most_bytes()));
        }
        match what {
            What::KeySet => {
                let (keys, skipped) = KeySet::parse(text, KeySource::Remote).map_err(|fault| fault.to_string())?;
                let skipped: Vec<String> = skipped.iter().map(ToString::to_string).collect();
                match keys.is_empty() {
                    true => Err(format!("no key can be used: {}", skipped.join("; "))),
                    false => Ok((Content::KeySet(Rc::new(keys)), skipped)),
                }
            }
            What::Revocations { most_entries } => {
                let list = Revocations::parse(text, *most_entries, at).map_err(|fault| fault.0)?;
                Ok((Content::Revocations(Rc::new(list)), Vec::new()))
            }
            What::Clients(reader) => Ok((Content::Clients(Rc::new(reader.parse(text)?)), Vec::new())),
        }
    }

    pub(super) fn key_set(&self) -> Option<&Rc<KeySet>> {
        match self {
            Content::KeySet(keys) => Some(keys),
            Content::Revocations(_) | Content::Clients(_) => None,
        }
    }

    pub(super) fn revocations(&self) -> Option<&Rc<Revocations>> {
        match self {
            Content::Revocations(list) => Some(list),
            Content::KeySet(_) | Content::Clients(_) => None,
        }
    }

    pub(super) fn clients(&self) -> Option<&Rc<ClientDirectory>> {
        match self {
            Content::Clients(directory) => Some(directory),
            Content::KeySet(_) | Content::Revocations(_) => None,
        }
    }
}

/// What a list may hold besides its entries: blanks, and entries that nobody needs any more.
const MOST_BYTES_AROUND: usize = 64 * 1024;
