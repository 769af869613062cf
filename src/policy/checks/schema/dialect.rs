//! JSON Schema 2020-12 itself: its address, its description of itself, and the vocabularies that a dialect is made of.

use serde_json::Value;

/// Which groups of keywords count (Core §8.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Vocabularies {
    pub applicator: bool,
    pub validation: bool,
    pub unevaluated: bool,
}

impl Vocabularies {
    /// Those of 2020-12.
    pub fn standard() -> Vocabularies {
        Vocabularies { applicator: true, validation: true, unevaluated: true }
    }

    /// Those that a schema of schemas names.
    pub fn of(named: &str, metaschema: Option<&Value>) -> Result<Vocabularies, String> {
        let Some(metaschema) = metaschema else {
            return Err(format!("`{named}` is no dialect that is known here (accepted: {STANDARD})"));
        };
        let Some(vocabularies) = metaschema.get("$vocabulary").and_then(Value::as_object) else {
            return Ok(Vocabularies::standard());
        };
        let mut found = Vocabularies { applicator: false, validation: false, unevaluated: false };
        for (address, is_needed) in vocabularies {
            match address.strip_prefix(FAMILY).and_then(|rest| rest.strip_prefix("vocab/")) {
                Some("applicator") => found.applicator = true,
                Some("validation") => found.validation = true,
                Some("unevaluated") => found.unevaluated = true,
                Some("core" | "meta-data" | "format-annotation" | "content") => {}
                // Whoever needs what is not understood must not be answered (Core §8.1.2).
                _ if is_needed == &Value::Bool(true) => {
                    return Err(format!("`{named}` needs the vocabulary `{address}`, which is not known here"));
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

/// Whether this is the dialect that everything is written in here.
pub(super) fn is_standard(named: &str) -> bool {
    named.strip_suffix('#').unwrap_or(named) == STANDARD
}

/// The schemas of schemas, each with its `$id`.
pub(super) fn documents() -> Vec<Value> {
    // What the build brings along is JSON: a test reads it.
    serde_json::from_str(include_str!("dialect.json")).unwrap_or_default()
}

/// What addresses of the standard's own schemas start with.
pub(super) const FAMILY: &str = "https://json-schema.org/draft/2020-12/";

const STANDARD: &str = "https://json-schema.org/draft/2020-12/schema";
