//! The occurrences of a header or a query parameter, which a request may repeat, spell differently or send as invalid text.

use std::borrow::Cow;

/// All occurrences of one name in a request.
#[derive(Debug, Default)]
pub struct Occurrences<'c> {
    /// How often the exact name occurs.
    count: usize,
    /// The name also occurs in a spelling that some upstreams accept.
    respelled: bool,
    /// The last value, if it is valid text.
    text: Option<Cow<'c, str>>,
}

/// The value of one name as upstreams read it.
#[derive(Debug)]
pub(super) enum Reading<'c> {
    /// No upstream finds a value.
    Absent,
    /// Every upstream reads this value.
    Text(Cow<'c, str>),
    /// Upstreams may disagree, or the value is not valid text.
    Ambiguous,
}

impl<'c> Occurrences<'c> {
    /// Adds an occurrence of the exact name, with its value if that is valid text.
    pub fn add(&mut self, value: Option<Cow<'c, str>>) {
        self.count += 1;
        self.text = value;
    }

    /// Adds an occurrence in a spelling that some upstreams accept.
    pub fn add_respelled(&mut self) {
        self.respelled = true;
    }

    /// Returns whether the name is present; `None` if only some upstreams find it.
    pub(super) fn is_present(&self) -> Option<bool> {
        match (self.count, self.respelled) {
            (0, true) => None,
            (count, _) => Some(count > 0),
        }
    }

    /// Returns the value, if all upstreams read the same one.
    pub(super) fn reading(self) -> Reading<'c> {
        match (self.count, self.respelled, self.text) {
            (0, _, _) => Reading::Absent,
            (1, false, Some(text)) => Reading::Text(text),
            _ => Reading::Ambiguous,
        }
    }
}
