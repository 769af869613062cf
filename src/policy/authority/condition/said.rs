//! Reads a header or a query parameter that a request may repeat, spell differently or send as invalid text.

use std::borrow::Cow;

use crate::config::header_name::is_same_cgi_variable;
use crate::policy::request::guard::{ParameterNameMatch, parameters};

/// All occurrences of one name in a request.
#[derive(Debug, Default)]
pub(super) struct Said<'c> {
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

impl<'c> Said<'c> {
    pub(super) fn in_headers(name: &str, headers: &[(&'c [u8], &'c [u8])]) -> Said<'c> {
        let mut said = Said::default();
        for (sent, value) in headers {
            if *sent == name.as_bytes() {
                said.add(std::str::from_utf8(value).ok().map(Cow::Borrowed));
            } else {
                said.respelled |= is_same_cgi_variable(sent, name.as_bytes());
            }
        }
        said
    }

    pub(super) fn in_query(name: &str, query: &'c str) -> Said<'c> {
        let mut said = Said::default();
        for parameter in parameters(query) {
            match parameter.naming(name) {
                ParameterNameMatch::Exact => said.add(parameter.value),
                ParameterNameMatch::Respelled => said.respelled = true,
                ParameterNameMatch::Other => {}
            }
        }
        said
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

    fn add(&mut self, value: Option<Cow<'c, str>>) {
        self.count += 1;
        self.text = value;
    }
}
