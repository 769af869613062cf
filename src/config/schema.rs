//! Reads `schemas` and the `schema` of a JSON body: JSON Schemas in the form of the document, with the location of every part.

use super::node::{MapKey, Node, Value};
use super::problem::{At, Place};
use super::reader::Field;
use crate::strict_json::pointer;

/// A JSON Schema in the form of the document; the policy compiler interprets it.
#[derive(Clone, Debug)]
pub struct WrittenSchema {
    node: Node,
    place: Place,
}

/// A schema that routes and other schemas refer to by its name.
#[derive(Clone, Debug)]
pub struct NamedSchema {
    /// The name of the schema.
    pub name: At<String>,
    /// The schema itself.
    pub schema: WrittenSchema,
}

/// The schema of a JSON body.
#[derive(Clone, Debug)]
pub enum SchemaSetting {
    /// The name of a schema in the document's `schemas`.
    Named(At<String>),
    /// A schema inside the `json` section.
    Own(WrittenSchema),
}

impl WrittenSchema {
    /// Returns the schema as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        self.node.to_json()
    }

    /// Returns the location of the schema in the document.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Returns the location of the part at a JSON Pointer (RFC 6901). If a part on the path is missing, returns the location of
    /// the last part that exists.
    pub fn part(&self, pointer: &str) -> Place {
        let (mut node, mut place) = (&self.node, self.place.clone());
        for name in pointer::parse(pointer).unwrap_or_default() {
            (node, place) = match &node.value {
                Value::Map(entries) => match entries.iter().find(|(MapKey { text, .. }, _)| *text == name) {
                    Some((_, inner)) => (inner, place.key(&name, inner.at)),
                    None => break,
                },
                Value::List(items) => match pointer::index(&name).and_then(|index| Some((index, items.get(index)?))) {
                    Some((index, inner)) => (inner, place.index(index, inner.at)),
                    None => break,
                },
                _ => break,
            };
        }
        place
    }

    fn read(field: &Field<'_>) -> Option<WrittenSchema> {
        match field.node.value {
            Value::Map(_) | Value::Bool(_) => {
                Some(WrittenSchema { node: field.node.clone(), place: field.place.clone() })
            }
            _ => {
                field.problem(format!("expected a JSON Schema: a mapping, true or false; found {}", field.node.kind()));
                None
            }
        }
    }
}

impl NamedSchema {
    /// Reads the `schemas` section.
    pub(super) fn read_all(field: &Field<'_>) -> Vec<NamedSchema> {
        let mut found = Vec::new();
        for (name, value) in field.entries() {
            // Names may contain only these characters, because references to schemas contain the names without escaping.
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
            let starts = name.value.starts_with(|c: char| c.is_ascii_alphanumeric());
            if !starts || !name.value.bytes().all(is_plain) {
                let message = format!("`{}` is not a name: letters, digits, `-`, `_` and `.` only", name.value);
                value.problem_at(&name.place, message);
            }
            found.extend(WrittenSchema::read(&value).map(|schema| NamedSchema { name, schema }));
        }
        found
    }
}

impl SchemaSetting {
    /// Reads the name of a schema, or an inline schema.
    pub(super) fn read(field: &Field<'_>) -> Option<SchemaSetting> {
        match field.node.value {
            Value::Text(_) => field.text_at().map(SchemaSetting::Named),
            _ => WrittenSchema::read(field).map(SchemaSetting::Own),
        }
    }
}
