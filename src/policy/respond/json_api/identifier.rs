//! Reads the ids of resources, which are strings or integers, and writes them as strings.

use std::borrow::Cow;

use super::fault::{MappingFault, described};
use crate::strict_json::{JsonKind, JsonRef};

/// The id of a resource.
#[derive(Debug)]
pub(super) struct ResourceId<'t> {
    /// The id as a JSON string or number, as the upstream wrote it.
    written: &'t str,
    /// The id without JSON escapes.
    text: Cow<'t, str>,
}

impl<'t> ResourceId<'t> {
    /// Reads an id. A number must be an integer in its shortest form, because two spellings of one number, such as `7` and
    /// `7.0`, would become the ids of two resources.
    pub fn read(value: JsonRef<'_, 't>) -> Result<ResourceId<'t>, MappingFault> {
        let written = value.text();
        let fault = |found| Err(MappingFault::BadId(value.pointer(), found));
        match (value.kind(), value.string()) {
            (_, Some(text)) if text.is_empty() => fault("an empty string"),
            (_, Some(text)) => Ok(ResourceId { written, text }),
            (JsonKind::Number, _) if written == "-0" || written.contains(['.', 'e', 'E']) => {
                fault("a number that is not a plain integer")
            }
            (JsonKind::Number, _) => Ok(ResourceId { written, text: Cow::Borrowed(written) }),
            _ => fault(described(value)),
        }
    }

    /// Appends the id as a JSON string.
    pub fn write(&self, out: &mut String) {
        let quote = if self.written.starts_with('"') { "" } else { "\"" };
        for part in [quote, self.written, quote] {
            out.push_str(part);
        }
    }
}

/// The ids of a list, to find repeated ids. A document has at most one resource for each `type` and `id`.
#[derive(Debug, Default)]
pub(super) struct UniqueIds<'t>(Vec<(Cow<'t, str>, usize)>);

impl<'t> UniqueIds<'t> {
    /// Adds the id of the next item.
    pub fn add(&mut self, id: ResourceId<'t>) {
        self.0.push((id.text, self.0.len()));
    }

    /// Returns the index of the first item that has the same id as an earlier item.
    pub fn repeated(mut self) -> Option<usize> {
        self.0.sort_unstable();
        let later = self.0.windows(2).filter_map(|pair| match pair {
            [(a, _), (b, index)] if a == b => Some(*index),
            _ => None,
        });
        later.min()
    }
}
