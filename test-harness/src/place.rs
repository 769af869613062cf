//! Replaces placeholders in a case file, such as `${ISSUER}` and `${UPSTREAM.agents}`, after the servers have started.
//!
//! `${LONG_9000}` becomes a string of 9000 letters. `${9*ab}` becomes the string `ab`, repeated nine times.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde_json::{Map, Value};

/// The value of each placeholder.
#[derive(Debug, Clone, Default)]
pub struct Places(BTreeMap<String, String>);

impl Places {
    /// Sets the value of the placeholder `name`.
    pub fn set(&mut self, name: impl Into<String>, text: impl Into<String>) {
        self.0.insert(name.into(), text.into());
    }

    /// Returns `text` with every placeholder replaced by its value. An unknown placeholder is an error.
    pub fn fill(&self, text: &str) -> Result<String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, tail)) = after.split_once('}') else {
                bail!("`{text}`: a placeholder is written `${{NAME}}`, and the `}}` is missing")
            };
            let length = name.strip_prefix("LONG_").and_then(|length| length.parse().ok());
            let times = name.split_once('*').and_then(|(count, text)| Some(text.repeat(count.parse().ok()?)));
            let long = length.map(|length| "a".repeat(length)).or(times);
            let Some(filled) = long.as_ref().or(self.0.get(name)) else {
                let known: Vec<_> = self.0.keys().map(String::as_str).collect();
                bail!("`${{{name}}}` is not a known placeholder; known placeholders: {}", known.join(", "));
            };
            out.push_str(before);
            out.push_str(filled);
            rest = tail;
        }
        out.push_str(rest);
        Ok(out)
    }

    /// Replaces the placeholders in every string within `value`, including member names.
    pub fn fill_all(&self, value: &Value) -> Result<Value> {
        Ok(match value {
            Value::String(text) => self.fill(text)?.into(),
            Value::Array(items) => items.iter().map(|item| self.fill_all(item)).collect::<Result<Vec<_>>>()?.into(),
            Value::Object(members) => self.fill_object(members)?.into(),
            other => other.clone(),
        })
    }

    /// Replaces the placeholders in every string within an object.
    pub fn fill_object(&self, members: &Map<String, Value>) -> Result<Map<String, Value>> {
        members.iter().map(|(name, value)| Ok((self.fill(name)?, self.fill_all(value)?))).collect()
    }
}

/// Returns the names `x` of all placeholders `${UPSTREAM.x}` in `text`, and `upstream` for a plain `${UPSTREAM}`.
pub fn upstreams(text: &str) -> Vec<String> {
    let places = text.split("${UPSTREAM").skip(1).filter_map(|after| after.split_once('}'));
    let mut names: Vec<String> =
        places.map(|(name, _)| name.strip_prefix('.').unwrap_or("upstream").to_owned()).collect();
    names.sort();
    names.dedup();
    names
}

/// Returns the name of the placeholder for an upstream: `UPSTREAM` for `upstream`, and `UPSTREAM.x` for another name `x`.
pub fn of_upstream(name: &str) -> String {
    if name == "upstream" { "UPSTREAM".to_owned() } else { format!("UPSTREAM.{name}") }
}
