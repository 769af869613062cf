//! Generates the defaults and bounds of configuration keys, as Rust constants, from `docs/gateway.schema.json`.
//!
//! The JSON Schema is the only source of defaults and bounds: `src/config` uses the generated constants, and `make reference`
//! writes the tables of `docs/configuration.md` from the same schema.

use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use serde_json::{Map, Value};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={SCHEMA}");
    let schema: Value = serde_json::from_str(&fs::read_to_string(SCHEMA)?)?;
    let longest = schema.pointer("/$defs/duration/oneOf/1/maximum").ok_or("`duration` has no `maximum`")?;
    let longest = seconds(longest)?;
    let mut code =
        format!("/// The longest duration that the document accepts.\npub const LONGEST: Duration = {longest};\n");
    let definitions = schema.get("$defs").and_then(Value::as_object).ok_or("the schema has no `$defs`")?;
    for (name, section) in
        definitions.iter().map(|(name, section)| (name.as_str(), section)).chain([("document", &schema)])
    {
        let keys = section.get("properties").and_then(Value::as_object);
        let mut constants = String::new();
        for (key, described) in keys.into_iter().flatten() {
            let constant = constant(key, &resolve(&schema, described)?, &longest);
            constants += &constant.map_err(|fault| format!("{name}.{key}: {fault}"))?;
        }
        if !constants.is_empty() {
            write!(code, "/// Keys of `{name}`.\npub mod {name} {{\nuse super::*;\n{constants}}}\n")?;
        }
    }
    fs::write(Path::new(&env::var("OUT_DIR")?).join("schema_keys.rs"), code)?;
    Ok(())
}

/// Returns the members of a key's schema, together with the members of the schemas that it refers to with `$ref`. If both define
/// a member, the key's own member is used.
fn resolve(schema: &Value, described: &Value) -> Result<Map<String, Value>, String> {
    let mut members = described.as_object().ok_or("a key is not described by an object")?.clone();
    while let Some(Value::String(reference)) = members.remove("$ref") {
        if reference == DURATION {
            members.insert(DURATION.to_owned(), Value::Bool(true));
        }
        let target = schema.pointer(reference.trim_start_matches('#')).and_then(Value::as_object);
        for (name, value) in target.ok_or_else(|| format!("`{reference}` refers to nothing"))? {
            members.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    Ok(members)
}

/// Returns the code of the constant for a key; an empty string if the key has neither a default nor bounds.
fn constant(key: &str, members: &Map<String, Value>, longest: &str) -> Result<String, String> {
    let default = members.get("default");
    let (minimum, maximum) = (members.get("minimum"), members.get("maximum"));
    let is_duration = members.contains_key(DURATION);
    let (kind, value) = match (is_duration, minimum, maximum, default) {
        (_, None, None, None) => return Ok(String::new()),
        (true, minimum, maximum, default) => {
            let least = minimum.map_or(Ok("Duration::ZERO".to_owned()), seconds)?;
            let most = maximum.map_or(Ok(longest.to_owned()), seconds)?;
            let default = default.map(|text| duration(text).ok_or("the default is not a duration")).transpose()?;
            bounded("Duration", &least, &most, default)
        }
        (_, Some(least), Some(most), default) if least.is_u64() && most.is_u64() => {
            let within = |n: u64| least.as_u64() <= Some(n) && Some(n) <= most.as_u64();
            if default.is_some_and(|default| !default.as_u64().is_some_and(within)) {
                return Err("the default is not within the bounds".to_owned());
            }
            bounded("u64", &least.to_string(), &most.to_string(), default.map(Value::to_string))
        }
        (_, None, None, Some(default)) => {
            let (kind, default) = match default {
                Value::Bool(flag) => ("bool", flag.to_string()),
                Value::Number(number) if number.is_u64() => ("u64", number.to_string()),
                Value::String(text) => ("&'static str", format!("{text:?}")),
                Value::Array(items) if items.iter().all(Value::is_string) => {
                    ("&'static [&'static str]", format!("&{default}"))
                }
                _ => return Err(format!("a default of this type is not supported: {default}")),
            };
            (format!("DefaultKey<{kind}>"), format!("DefaultKey {{ name: NAME, default: {default} }}"))
        }
        _ => return Err("expected both bounds, as whole numbers".to_owned()),
    };
    let value = value.replace("NAME", &format!("{key:?}"));
    Ok(format!("/// `{key}`\npub const {}: {kind} = {value};\n", key.to_uppercase()))
}

/// Returns the code of the type and of the value for a key with bounds. The value contains the placeholder `NAME`, which
/// [`constant`] replaces with the key.
fn bounded(kind: &str, least: &str, most: &str, default: Option<String>) -> (String, String) {
    let (kind, default) = match default {
        Some(default) => (format!("BoundedKey<{kind}>"), default),
        None => (format!("BoundedKey<{kind}, ()>"), "()".to_owned()),
    };
    (kind, format!("BoundedKey {{ name: NAME, least: {least}, most: {most}, default: {default} }}"))
}

/// Returns the code of a `Duration` that the schema contains as a number of seconds.
fn seconds(number: &Value) -> Result<String, String> {
    let millis = number.as_f64().map(|seconds| (seconds * 1_000.0).round());
    millis
        .map(|millis| format!("Duration::from_millis({millis:.0})"))
        .ok_or_else(|| format!("`{number}` is not a number"))
}

/// Returns the code of a `Duration` that the schema contains as a string such as `30s`; `None` if the string is malformed.
fn duration(text: &Value) -> Option<String> {
    let text = text.as_str()?;
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number: u64 = number.parse().ok()?;
    let unit: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(format!("Duration::from_millis({})", number * unit))
}

const SCHEMA: &str = "docs/gateway.schema.json";
const DURATION: &str = "#/$defs/duration";
