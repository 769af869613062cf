//! Collects the occurrences of a header or query parameter, which may be repeated, spelled differently or impossible to decode.

use std::borrow::Cow;

/// All occurrences of one name in a request.
#[derive(Debug, Default)]
pub struct Occurrences<'c> {
    /// How often the exact name occurs.
    count: usize,
    /// Whether the name also occurs in another spelling that some upstreams treat as this name.
    respelled: bool,
    /// The last value; `None` if the value cannot be decoded.
    text: Option<Cow<'c, str>>,
}

/// The value that upstreams read under one name.
#[derive(Debug)]
pub(super) enum Reading<'c> {
    /// The request does not contain the exact name.
    Absent,
    /// All upstreams read this value.
    Text(Cow<'c, str>),
    /// Upstreams may read different values, or the value cannot be decoded.
    Ambiguous,
}

impl<'c> Occurrences<'c> {
    /// Adds an occurrence of the exact name. `value` is `None` if the value cannot be decoded.
    pub fn add(&mut self, value: Option<Cow<'c, str>>) {
        self.count += 1;
        self.text = value;
    }

    /// Adds an occurrence in another spelling that some upstreams treat as this name.
    pub fn add_respelled(&mut self) {
        self.respelled = true;
    }

    /// Returns whether the name is present; `None` if only some upstreams find the name.
    pub(super) fn is_present(&self) -> Option<bool> {
        match (self.count, self.respelled) {
            (0, true) => None,
            (count, _) => Some(count > 0),
        }
    }

    /// Returns the value if all upstreams read the same value.
    pub(super) fn reading(self) -> Reading<'c> {
        match (self.count, self.respelled, self.text) {
            (0, _, _) => Reading::Absent,
            (1, false, Some(text)) => Reading::Text(text),
            _ => Reading::Ambiguous,
        }
    }
}
