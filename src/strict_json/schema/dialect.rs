//! The JSON Schema 2020-12 dialect: its address, its metaschemas, and its vocabularies.

use serde_json::Value;

/// The vocabularies whose keywords affect validation (Core §8.1.2). `true` means that the vocabulary is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Vocabularies {
    pub applicator: bool,
    pub validation: bool,
    pub unevaluated: bool,
}

impl Vocabularies {
    /// Returns the vocabularies of the standard dialect, JSON Schema 2020-12.
    pub fn standard() -> Vocabularies {
        Vocabularies { applicator: true, validation: true, unevaluated: true }
    }

    /// Returns the vocabularies that the metaschema with the address `named` declares.
    pub fn of(named: &str, metaschema: Option<&Value>) -> Result<Vocabularies, String> {
        let Some(metaschema) = metaschema else {
            return Err(format!("`{named}` is not a supported dialect (accepted: {STANDARD})"));
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
                // A schema that requires an unknown vocabulary must be rejected (Core §8.1.2).
                _ if is_needed == &Value::Bool(true) => {
                    return Err(format!("`{named}` needs the vocabulary `{address}`, which is not supported here"));
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

/// Returns `true` if `named` is the address of the JSON Schema 2020-12 dialect.
pub(super) fn is_standard(named: &str) -> bool {
    named.strip_suffix('#').unwrap_or(named) == STANDARD
}

/// Returns the standard metaschemas. The `$id` of each is its address.
pub(super) fn documents() -> Vec<Value> {
    // A test checks that the included file is valid JSON, so the default is never used.
    serde_json::from_str(include_str!("dialect.json")).unwrap_or_default()
}

/// The common prefix of the addresses of the standard metaschemas.
pub(super) const FAMILY: &str = "https://json-schema.org/draft/2020-12/";

const STANDARD: &str = "https://json-schema.org/draft/2020-12/schema";
