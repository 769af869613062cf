//! The reasons why a body cannot become a JSON:API document.

use std::fmt;

use super::name::NAMES;
use crate::strict_json::{JsonKind, JsonRef, Malformed};

/// The reason why a body cannot be mapped. The pointers refer to the body and contain names of its members. No message contains a
/// value of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MappingFault {
    /// The parser rejects the body.
    Malformed(Malformed),
    /// The body has nothing at the location of `data`.
    DataMissing(String),
    /// The value at the location of `data` is a string, a number or a boolean.
    NotResources(String, &'static str),
    /// An item of the list is not an object.
    NotAnObject(String, &'static str),
    /// The id of a resource or of a related resource is absent or has no usable form.
    BadId(String, &'static str),
    /// Two resources or two related resources have the same id.
    RepeatedId(String),
    /// JSON:API does not allow the name of this member.
    BadName(String),
    /// The document would be larger than the caller allows.
    TooLarge,
    /// A link is neither a string nor `null`.
    BadLink(String, &'static str),
}

impl fmt::Display for MappingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MappingFault::Malformed(Malformed::DuplicateMember(name)) => {
                write!(f, "the body is not accepted: member {} is repeated in one object", Quoted(name))
            }
            MappingFault::Malformed(fault) => write!(f, "the body is not accepted: {fault}"),
            MappingFault::DataMissing(at) => {
                write!(
                    f,
                    "{}: the body has no such value, but `data` must refer to an object, a list or null",
                    FaultPlace(at)
                )
            }
            MappingFault::NotResources(at, found) => {
                write!(f, "{}: found {found}, but only an object, a list or null can be `data`", FaultPlace(at))
            }
            MappingFault::NotAnObject(at, found) => {
                write!(f, "{}: found {found}, but each item of the list must be an object", FaultPlace(at))
            }
            MappingFault::BadId(at, found) => {
                write!(
                    f,
                    "{}: found {found}, but an id must be a string or an integer without a fraction or exponent",
                    FaultPlace(at)
                )
            }
            MappingFault::RepeatedId(at) => {
                write!(f, "{}: an earlier item of the list has the same id", FaultPlace(at))
            }
            MappingFault::BadName(at) => {
                write!(f, "{}: JSON:API does not allow this member name: {NAMES}", FaultPlace(at))
            }
            MappingFault::TooLarge => f.write_str("the document is too large"),
            MappingFault::BadLink(at, found) => {
                write!(f, "{}: found {found}, but a link must be a string or null", FaultPlace(at))
            }
        }
    }
}

impl std::error::Error for MappingFault {}

/// Describes the type of a value, for messages.
pub(super) fn described(value: JsonRef<'_, '_>) -> &'static str {
    match value.kind() {
        JsonKind::Null => "null",
        JsonKind::Bool => "a boolean",
        JsonKind::Number => "a number",
        JsonKind::Text => "a string",
        JsonKind::List => "a list",
        JsonKind::Object => "an object",
    }
}

/// Shows a pointer. An empty pointer refers to the whole body.
struct FaultPlace<'p>(&'p str);

impl fmt::Display for FaultPlace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("the body") } else { Quoted(self.0).fmt(f) }
    }
}

/// Shows text from the body in one line of bounded length.
struct Quoted<'p>(&'p str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.char_indices().nth(MOST_LETTERS).and_then(|(end, _)| self.0.get(..end));
        let more = if shown.is_some() { "…" } else { "" };
        write!(f, "`{}{more}`", shown.unwrap_or(self.0).escape_debug())
    }
}

/// The number of characters after which a message cuts a pointer or a name.
const MOST_LETTERS: usize = 120;
