//! Fuzzes JSON Schema: validates arbitrary bodies with the schemas of the cases, and compiles arbitrary input as a schema.

use anyhow::{Context, Result};
use portcullis::strict_json;
use portcullis::strict_json::schema::{Library, Schema, ValidationError};
use portcullis::strict_json::tree::Json;
use portcullis::strict_json::{Bounds, Malformed};
use serde_json::{Value, json};

use super::{PropertyError, Target};
use crate::case::CaseFile;

/// The target for JSON Schema. It contains the compiled schemas of the cases and the metaschema.
pub struct Schemas {
    schemas: Vec<Schema>,
    metaschema: Schema,
    /// The text of all schemas of the cases, followed by [`WORDS`]. A finding must not contain a string of the body unless all
    /// words of this string are in this text.
    own: String,
    seeds: Vec<Vec<u8>>,
}

impl Schemas {
    /// Creates the target with the schemas of the cases.
    pub fn open() -> Result<Box<dyn Target>> {
        let files = CaseFile::read_all()?;
        let file = files.iter().find(|file| file.stem == "schema").context("no case file `schema`")?;
        let named =
            file.policy.get("schemas").and_then(Value::as_object).context("the case file `schema` has no schemas")?;
        let mut library = Library::new(|_, _| None);
        let mut seeds = vec![b"[[[[1e308,-0.0,18446744073709551615]]]]".to_vec()];
        for (name, schema) in named {
            library.add(&format!("schemas:///{name}"), schema.clone());
            seeds.push(schema.to_string().into_bytes());
        }
        seeds.extend(file.cases.iter().map(|case| case.request.body.clone().into_bytes()));
        let compile = |library: &mut Library, name: &str| {
            library.compile(&format!("schemas:///{name}")).map_err(|faults| anyhow::anyhow!("{name}: {faults:?}"))
        };
        let schemas = named.keys().map(|name| compile(&mut library, name)).collect::<Result<_>>()?;
        library.add("schemas:///any", json!({ "$ref": "https://json-schema.org/draft/2020-12/schema" }));
        let metaschema = compile(&mut library, "any")?;
        let own = format!("{}{WORDS}", Value::from(file.policy.clone()));
        Ok(Box::new(Self { schemas, metaschema, own, seeds }))
    }
}

impl Target for Schemas {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.seeds.clone()
    }

    fn hold(&mut self, input: &[u8]) -> Result<(), PropertyError> {
        let Some((body, value)) = read(input)? else { return Ok(()) };
        for schema in &self.schemas {
            judge(schema, &self.own, &body, &value)?;
        }
        let is_described = self.metaschema.judge(&(&value).into(), "/body").is_ok();
        let mut library = Library::new(|_, _| None);
        library.add("schemas:///one", value.clone());
        let Ok(schema) = library.compile("schemas:///one") else { return Ok(()) };
        let written = value.to_string();
        if !is_described && !OTHERS.iter().any(|keyword| written.contains(keyword)) {
            return Err("the gateway accepted a schema that the metaschema refuses".to_owned());
        }
        let own = format!("{written} {} {WORDS}", texts(&value));
        for body in [value, json!([1, "a", null, { "id": "x", "children": [{}] }]), json!({ "left": { "left": 1.5 } })]
        {
            judge(&schema, &own, &(&body).into(), &body)?;
        }
        Ok(())
    }
}

/// Compares the gateway's JSON parser with `serde_json`. If the gateway accepts a body, both parsers must return the same value.
/// If the gateway rejects a body that `serde_json` accepts, the body must have duplicate members or exceed the bounds.
fn read(input: &[u8]) -> Result<Option<(Json<'_>, Value)>, PropertyError> {
    let body = strict_json::read(input, Bounds { depth: 127, values: 10_000 });
    match (body, serde_json::from_slice::<Value>(input)) {
        (Ok(body), Ok(value)) if body.clone().into_value().as_ref() == Some(&value) => Ok(Some((body, value))),
        (Ok(body), other) => Err(format!("the gateway parsed {body:?}, but `serde_json` returned {other:?}")),
        (Err(Malformed::DuplicateMember(_) | Malformed::TooDeep | Malformed::TooMany), _) | (Err(_), Err(_)) => {
            Ok(None)
        }
        (Err(fault), Ok(value)) => Err(format!("the gateway refused {value}, which `serde_json` accepts: {fault}")),
    }
}

/// Checks that two validations of a body give the same result. If the body is invalid, there must be 1 to 20 findings. They must
/// point into the body and must not contain its strings.
fn judge(schema: &Schema, own: &str, body: &Json<'_>, value: &Value) -> Result<(), PropertyError> {
    let judged = schema.judge(body, "/body");
    if judged != schema.judge(body, "/body") {
        return Err("validating the same value again gives a different result".to_owned());
    }
    let Err(ValidationError::Findings(findings)) = judged else { return Ok(()) };
    if findings.is_empty() || findings.len() > 20 {
        return Err(format!("expected 1 to 20 findings, found {}", findings.len()));
    }
    for finding in &findings {
        let shown = format!("{} {}", finding.pointer, finding.message);
        if !shown.starts_with("/body") {
            return Err(format!("the pointer of the finding `{shown}` does not start with `/body`"));
        }
        // Short strings are ignored, because they can appear in a finding by chance. Strings with a slash are ignored, because
        // pointers contain slashes.
        let is_strange = |text: &str| text.split(' ').any(|word| !own.contains(word));
        let is_echo = |text: &str| text.len() > 3 && !text.contains('/') && is_strange(text) && shown.contains(text);
        let mut pending = vec![value];
        while let Some(value) = pending.pop() {
            match value {
                Value::String(text) if is_echo(text) => {
                    return Err(format!("the finding `{shown}` contains the string `{text}` of the body"));
                }
                Value::Array(items) => pending.extend(items),
                Value::Object(members) if members.keys().any(|name| is_echo(name)) => {
                    return Err(format!("the finding `{shown}` contains a member name of the body"));
                }
                Value::Object(members) => pending.extend(members.values()),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Returns every member name and string in a value, without JSON escapes.
fn texts(value: &Value) -> String {
    let (mut found, mut pending) = (Vec::new(), vec![value]);
    while let Some(value) = pending.pop() {
        match value {
            Value::String(text) => found.push(text.as_str()),
            Value::Array(items) => pending.extend(items),
            Value::Object(members) => {
                found.extend(members.keys().map(String::as_str));
                pending.extend(members.values());
            }
            _ => {}
        }
    }
    found.join(" ")
}

/// Keywords with which the gateway may accept a schema that the metaschema refuses: keywords of older drafts, which the gateway
/// ignores, and keywords that select another metaschema.
const OTHERS: [&str; 5] = ["definitions", "dependencies", "$recursive", "$vocabulary", "$schema"];

/// The fixed words of findings. A body may contain these words by chance.
const WORDS: &str = "/body must be an object or an array or a string or a number or a whole number or true or false or null \
    must be one of the accepted values must have one of the accepted forms must be the accepted value must have the accepted form \
    must have exactly one of the accepted forms is missing is not accepted has a form that is not accepted \
    must be at least must be at most must be more than must be less than must be a multiple of \
    must have at least characters must have at most characters items members must not have the same item twice \
    has a member whose name is not accepted has a member that is not accepted here has an item that is not accepted here \
    must have from to items of a certain form";
