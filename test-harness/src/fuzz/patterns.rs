//! Fuzzes the regular expressions of JSON Schemas and compares the results with a second engine.

mod oracle;

use std::borrow::Cow;

use anyhow::{Context, Result};
use portcullis::strict_json::schema::{Library, Schema, ValidationError};
use portcullis::strict_json::tree::Json;
use serde_json::{Value, json};

use super::{PropertyError, Target};
use crate::case::CaseFile;

/// The target for patterns. The first line of an input is the pattern, and the other lines are strings to match.
pub struct Patterns {
    seeds: Vec<Vec<u8>>,
}

impl Patterns {
    /// Creates the target with the patterns of the cases and of `CONSTRUCTS`.
    pub fn open() -> Result<Box<dyn Target>> {
        let files = CaseFile::read_all()?;
        let file = files.iter().find(|file| file.stem == "schema").context("no case file `schema`")?;
        let mut found: Vec<String> = CONSTRUCTS.iter().map(|pattern| (*pattern).to_owned()).collect();
        let mut pending = vec![file.policy.get("schemas").context("the case file `schema` has no schemas")?];
        while let Some(value) = pending.pop() {
            found.extend(value.get("pattern").and_then(Value::as_str).map(str::to_owned));
            match value {
                Value::Array(items) => pending.extend(items),
                Value::Object(members) => pending.extend(members.values()),
                _ => {}
            }
        }
        let seeds = found.iter().map(|pattern| format!("{pattern}\na\nab1\n<a-b> é\n").into_bytes()).collect();
        Ok(Box::new(Self { seeds }))
    }
}

impl Target for Patterns {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.seeds.clone()
    }

    fn hold(&mut self, input: &[u8]) -> Result<(), PropertyError> {
        let Ok(text) = std::str::from_utf8(input) else { return Ok(()) };
        let (pattern, subjects) = text.split_once('\n').unwrap_or((text, ""));
        let tree = oracle::parse(pattern);
        let schemas = [
            json!({ "pattern": pattern }),
            json!({ "propertyNames": { "pattern": pattern } }),
            json!({ "patternProperties": { pattern: false } }),
            json!({ "patternProperties": { pattern: true }, "additionalProperties": false }),
        ];
        let compiled: Result<Vec<Schema>, String> = schemas.iter().map(compile).collect();
        let compiled = match compiled {
            Ok(compiled) => compiled,
            Err(fault) if tree.is_some() && fault.ends_with("this is not a regular expression") => {
                return Err(format!("the gateway refused a pattern that is valid in ECMA-262: {fault}"));
            }
            Err(_) => return Ok(()),
        };
        // The strings to match include the pattern itself, its halves, and its letters and digits.
        let letters: String = pattern.chars().filter(|letter| letter.is_alphanumeric()).collect();
        let (left, right) = pattern.split_at(pattern.floor_char_boundary(pattern.len() / 2));
        let near = ["", "a", "<", "a<b", pattern, left, right, &letters, subjects];
        for subject in near.into_iter().chain(subjects.split('\n')) {
            let found = matches(&compiled, subject)?;
            let expected = tree.as_ref().and_then(|tree| oracle::is_in(tree, subject));
            if let (Some(found), Some(expected)) = (found, expected)
                && found != expected
            {
                return Err(format!(
                    "`{pattern}` on {subject:?}: the gateway returned {found}, but ECMA-262 requires {expected}"
                ));
            }
        }
        Ok(())
    }
}

fn compile(schema: &Value) -> Result<Schema, String> {
    let mut library = Library::new(|_, _| None);
    library.add("schemas:///one", schema.clone());
    library.compile("schemas:///one").map_err(|faults| faults.into_iter().map(|fault| fault.message).collect())
}

/// Returns whether the pattern matches. All keywords that can contain a pattern must give the same result. Returns `None` if
/// matching takes too many steps.
fn matches(compiled: &[Schema], subject: &str) -> Result<Option<bool>, PropertyError> {
    let text = Json::Text(Cow::Borrowed(subject));
    let object = Json::from(&json!({ subject: 1 }));
    let mut found = Vec::new();
    for (number, schema) in compiled.iter().enumerate() {
        let accepts = match schema.judge(if number == 0 { &text } else { &object }, "/body") {
            Ok(()) => true,
            Err(ValidationError::Findings(_)) => false,
            Err(ValidationError::TooComplex) => return Ok(None),
        };
        // The third schema negates the pattern, so it rejects strings that match.
        found.push(accepts != (number == 2));
    }
    found.dedup();
    match found.as_slice() {
        [found] => Ok(Some(*found)),
        _ => Err(format!("{subject:?} matches the pattern under one keyword, but not under another")),
    }
}

/// One pattern for each construct of the syntax. Mutations combine these patterns.
const CONSTRUCTS: &[&str] = &[
    r"^[^<>]*$",
    r"\<a\>|\x3c\u003e\u{3c}",
    r"[<\x3e\-\]^&&~~--]+",
    r"^(?:a|b|)*?c{2,3}d{1,}e{4}$",
    r"^(?<name>\d+|\D)(\s\S\w\W)??$",
    r"\bword\b|\B.\B",
    r"^[\d\-a-f\u{1F600}-\u{1F64F}]$",
    r"[^]|[]|{}|x{,2}|y{a}",
    r"\cA\0\t\n\v\f\r\ud83d\ude00",
    r"\p{Lu}\P{L}\p{Any}",
];
