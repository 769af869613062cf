//! Compares the audit trail with the document, and reports keys that are not in the trail or are valid for longer than it says.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cli::keys::client_file::ClientFile;
use crate::cli::keys::trail::TrailHistory;
use crate::config::client::ClientKey;
use crate::config::time::rfc3339;

/// The result of the comparison.
pub struct TrailReport {
    file: String,
    entries: usize,
    head: String,
    /// Messages on the first line that breaks the hash chain of the trail, and on contradictions between the trail and the
    /// document.
    pub faults: Vec<String>,
    /// The prefixes of the keys that the document contains but the trail does not.
    unrecorded: Vec<String>,
}

impl TrailReport {
    /// Compares the audit trail with the document.
    pub fn compare(file: String, history: TrailHistory, document: &ClientFile) -> TrailReport {
        let mut last: BTreeMap<&str, &Value> = BTreeMap::new();
        let text = |entry: &Value, name: &str| entry.get(name).and_then(Value::as_str).map(str::to_string);
        // A change that failed has two lines: one for the change and one for its failure. Both lines are ignored.
        let mut done: Vec<&Value> = Vec::new();
        for entry in &history.entries {
            match text(entry, "action").as_deref() {
                Some("failed") => drop(done.pop()),
                _ => done.push(entry),
            }
        }
        // Each trail line is about the key in `prefix` and, after a rotation, also about the key in `replaces`. For each key,
        // only the last line about it counts.
        for entry in done {
            let names = ["prefix", "replaces"].iter().filter_map(|name| entry.get(*name)?.as_str());
            last.extend(names.map(|name| (name, entry)));
        }
        let mut faults: Vec<String> = history.fault.into_iter().collect();
        let mut unrecorded = Vec::new();
        for (client, key) in document.clients.iter().flat_map(|client| client.keys.iter().map(move |key| (client, key)))
        {
            let Some(entry) = last.get(key.prefix.as_str()) else {
                unrecorded.push(key.prefix.clone());
                continue;
            };
            let when = text(entry, "time").unwrap_or_default();
            let by = text(entry, "by").unwrap_or_default();
            if text(entry, "action").is_some_and(|action| action == "revoke") && key.revoked.is_none() {
                let id = &client.id.value;
                faults.push(format!(
                    "key {} of client `{id}` was revoked by {by} at {when}, but the document has no `revoked` for it",
                    key.prefix
                ));
            }
            let replaced = text(entry, "replaces").is_some_and(|replaced| replaced == key.prefix);
            let end = text(entry, if replaced { "replaces_until" } else { "expires" });
            if let Some(end) = end.filter(|end| outlives(key, end)) {
                faults.push(format!("key {} is valid after {end}, the end that {by} set at {when}", key.prefix));
            }
        }
        TrailReport { file, entries: history.entries.len(), head: history.head, faults, unrecorded }
    }

    /// Formats the result as text.
    pub fn lines(&self) -> Vec<String> {
        let state = if self.faults.is_empty() { "no problems" } else { "PROBLEMS FOUND" };
        let trail = format!("trail {}: {} entries, {state}, last {}", self.file, self.entries, self.head);
        let faults = self.faults.iter().map(|fault| format!("  {fault}"));
        let unrecorded = self.unrecorded.iter().map(|prefix| format!("  key {prefix} is not in the trail"));
        [String::new(), trail].into_iter().chain(faults).chain(unrecorded).collect()
    }

    /// Formats the result as JSON.
    pub fn json(&self) -> Value {
        json!({ "file": self.file, "entries": self.entries, "last": self.head, "faults": self.faults, "unrecorded": self.unrecorded })
    }
}

/// Returns whether a key is valid after the recorded end. A revoked key is never valid.
fn outlives(key: &ClientKey, end: &str) -> bool {
    let end = rfc3339(end);
    key.revoked.is_none() && end.is_some_and(|end| key.period.expires.is_none_or(|until| until.as_secs() > end))
}
