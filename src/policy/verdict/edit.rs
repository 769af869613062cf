//! Header edits as plain data, which the host applies.

use std::ops::Deref;
use std::sync::Arc;

/// A change to a header map. All names are in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    /// Replace all headers of this name with one header that has this value. The value is bytes because it may be invalid UTF-8.
    Set(HeaderName, Arc<[u8]>),
    /// Add a header with this value, and keep existing headers of the same name.
    Add(HeaderName, Arc<[u8]>),
    /// Remove all headers of this name.
    Remove(HeaderName),
}

/// A header name that can be cloned without copying.
#[derive(Clone, Debug, Eq)]
pub enum HeaderName {
    /// A name that is known at compile time.
    Fixed(&'static str),
    /// A name from the document or the request.
    Shared(Arc<str>),
}

impl HeaderEdit {
    /// Returns an edit that replaces all headers of this name with one header that has this value.
    pub fn set(name: impl Into<HeaderName>, value: &str) -> HeaderEdit {
        HeaderEdit::Set(name.into(), value.as_bytes().into())
    }

    /// Adds one removal for each header name that `matches` accepts. Returns the number of removals.
    pub fn remove_matching(
        sent: &[(&[u8], &[u8])],
        edits: &mut Vec<HeaderEdit>,
        matches: impl Fn(&[u8]) -> bool,
    ) -> usize {
        let before = edits.len();
        for (name, _) in sent.iter().filter(|(name, _)| !name.starts_with(b":") && matches(name)) {
            let remove = HeaderEdit::Remove(HeaderName::Shared(String::from_utf8_lossy(name).as_ref().into()));
            if !edits.contains(&remove) {
                edits.push(remove);
            }
        }
        edits.len() - before
    }
}

impl Deref for HeaderName {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            HeaderName::Fixed(name) => name,
            HeaderName::Shared(name) => name,
        }
    }
}

impl PartialEq for HeaderName {
    fn eq(&self, other: &HeaderName) -> bool {
        **self == **other
    }
}

impl From<&'static str> for HeaderName {
    fn from(name: &'static str) -> HeaderName {
        HeaderName::Fixed(name)
    }
}

impl From<Arc<str>> for HeaderName {
    fn from(name: Arc<str>) -> HeaderName {
        HeaderName::Shared(name)
    }
}

impl From<HeaderName> for Arc<str> {
    fn from(name: HeaderName) -> Arc<str> {
        match name {
            HeaderName::Fixed(name) => name.into(),
            HeaderName::Shared(name) => name,
        }
    }
}
