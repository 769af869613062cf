//! Reads the `schemas` section and the `schema` of a JSON body, and keeps the location of every part of a schema.

use super::node::{MapKey, Node, Value};
use super::problem::{At, Place};
use super::reader::Field;
use crate::strict_json::pointer;

/// A JSON Schema as written in the document. The policy compiler compiles it.
#[derive(Clone, Debug)]
pub struct WrittenSchema {
    node: Node,
    place: Place,
}

/// A schema of the `schemas` section, to which routes and other schemas refer by its name.
#[derive(Clone, Debug)]
pub struct NamedSchema {
    /// The key of the schema in the `schemas` section.
    pub name: At<String>,
    /// The schema itself.
    pub schema: WrittenSchema,
}

/// The `schema` of a JSON body.
#[derive(Clone, Debug)]
pub enum SchemaSetting {
    /// The name of a schema in the document's `schemas`.
    Named(At<String>),
    /// A schema inside the `json` section.
    Own(WrittenSchema),
}

impl WrittenSchema {
    /// Converts the schema to a JSON value.
    pub fn to_json(&self) -> serde_json::Value {
        self.node.to_json()
    }

    /// Returns the location of the schema in the document.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Returns the location of the value at a JSON Pointer (RFC 6901) in the schema. If the schema has no such value, returns the
    /// location of the last value on the way to it.
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
            // A `$ref` contains the name without escaping, so these characters are the only ones that a name may contain.
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
            let starts = name.value.starts_with(|c: char| c.is_ascii_alphanumeric());
            if !starts || !name.value.bytes().all(is_plain) {
                let rule =
                    "it must start with a letter or digit and may contain only letters, digits, `-`, `_` and `.`";
                let message = format!("`{}` is not a name: {rule}", name.value);
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
