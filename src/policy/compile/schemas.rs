//! Compiles the JSON Schemas of a document: named schemas and inline schemas.

use std::sync::Arc;

use super::issuers::unknown;
use crate::config::checks::{CheckSettings, JsonBody};
use crate::config::document::Document;
use crate::config::problem::{Problems, near_miss};
use crate::config::schema::{SchemaSetting, WrittenSchema};
use crate::strict_json::schema::{Library, Schema};

/// The schemas for request bodies.
#[derive(Default)]
pub(super) struct Schemas {
    named: Vec<(String, Option<Arc<Schema>>)>,
    /// Inline schemas, each with its path in the document.
    own: Vec<(String, Option<Arc<Schema>>)>,
}

impl Schemas {
    /// Compiles all schemas, including schemas that no route uses.
    pub fn compile(document: &Document, problems: &mut Problems) -> Schemas {
        let sections = document.checks.iter().chain(document.routes.iter().filter_map(|r| r.checks.as_ref()?.as_ref()));
        let settings: Vec<&SchemaSetting> = sections.filter_map(setting).collect();
        let mut library = Library::new(|written, known| near_miss(written, known));
        let mut written: Vec<(String, &WrittenSchema)> = Vec::new();
        for schema in &document.schemas {
            written.push((address(&schema.name.value), &schema.schema));
        }
        for setting in &settings {
            if let SchemaSetting::Own(schema) = setting {
                // The names of schemas cannot contain `~`, so this address is not used by a named schema.
                written.push((address(&format!("~{}", written.len())), schema));
            }
        }
        for (address, schema) in &written {
            library.add(address, schema.to_json());
        }
        let mut compiled = written.iter().map(|(address, schema)| {
            let faults = match library.compile(address) {
                Ok(compiled) => return (schema, Some(Arc::new(compiled))),
                Err(faults) => faults,
            };
            // Reports each fault once, even if several schemas refer to the faulty schema.
            for fault in faults {
                let schema = written.iter().find(|(address, _)| *address == fault.address);
                let place = schema.map(|(_, schema)| schema.part(&fault.pointer)).unwrap_or_default();
                problems.add_once(&place, fault.message);
            }
            (schema, None)
        });
        let named = document.schemas.iter().zip(&mut compiled);
        let named: Vec<_> = named.map(|(schema, (_, compiled))| (schema.name.value.clone(), compiled)).collect();
        let own = compiled.map(|(schema, compiled)| (schema.place().path.clone(), compiled)).collect();
        for setting in settings {
            if let SchemaSetting::Named(name) = setting
                && !named.iter().any(|(known, _)| *known == name.value)
            {
                let declared = named.iter().map(|(name, _)| name.as_str());
                problems.add(&name.place, unknown("schema", &name.value, declared));
            }
        }
        Schemas { named, own }
    }

    /// Returns the compiled schema of a JSON body.
    pub fn of(&self, body: &JsonBody) -> Option<Arc<Schema>> {
        let (known, wanted) = match body.schema.as_ref()? {
            SchemaSetting::Named(name) => (&self.named, &name.value),
            SchemaSetting::Own(schema) => (&self.own, &schema.place().path),
        };
        known.iter().find(|(known, _)| known == wanted)?.1.clone()
    }
}

fn setting(section: &CheckSettings) -> Option<&SchemaSetting> {
    section.json.as_ref()?.schema.as_ref()
}

/// Returns the base URI of a named schema. It has no path before the name, so another schema can refer to it as `"$ref": "name"`.
fn address(name: &str) -> String {
    format!("schemas:///{name}")
}
