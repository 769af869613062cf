//! The format of the two values that the workers share for a polled document: its state and its text.

use crate::gateway::shared::SharedData;

/// The state of one polled document that the workers share. All times are in milliseconds since the Unix epoch; 0 means never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SharedState {
    /// The time when a worker took the lease for the last fetch.
    pub leased_at: u64,
    /// The time when the last fetch ended, successful or not.
    pub ended_at: u64,
    /// The time when the endpoint last returned or confirmed the shared text.
    pub fetched_at: u64,
    /// The version of the shared text: the time when it was fetched, or the previous version plus 1 if the clock was set back.
    pub version: u64,
}

impl SharedState {
    pub fn read(key: &str, shared: &dyn SharedData) -> (SharedState, u32) {
        let (bytes, version) = shared.get(key).unwrap_or_default();
        let word = |i: usize| {
            let word = bytes.get(i * 8..i * 8 + 8).and_then(|w| w.try_into().ok());
            word.map(u64::from_le_bytes).unwrap_or_default()
        };
        (SharedState { leased_at: word(0), ended_at: word(1), fetched_at: word(2), version: word(3) }, version)
    }

    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let words = [self.leased_at, self.ended_at, self.fetched_at, self.version];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    pub fn share(self, key: &str, shared: &dyn SharedData) {
        shared.set(key, &self.to_bytes());
    }
}

/// Encodes the text of a document and its entity tag. The first line is the entity tag, which can be empty.
pub(super) fn packed(etag: Option<&str>, text: &[u8]) -> Vec<u8> {
    [etag.unwrap_or_default().as_bytes(), b"\n", text].concat()
}

pub(super) fn unpacked(packed: &[u8]) -> (Option<&[u8]>, &[u8]) {
    match packed.iter().position(|byte| *byte == b'\n').and_then(|end| packed.split_at_checked(end)) {
        Some((etag, rest)) => (Some(etag).filter(|etag| !etag.is_empty()), rest.get(1..).unwrap_or_default()),
        None => (None, &[]),
    }
}
