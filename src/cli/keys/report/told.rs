//! Compares the trail with the document: a key that was revoked or replaced, but is still valid, is a fault.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cli::keys::book::Book;
use crate::cli::keys::trail::Story;
use crate::config::client::ClientKey;
use crate::config::time::rfc3339;

/// The findings.
pub struct KeyReport {
    file: String,
    deeds: usize,
    head: String,
    /// Breaks in the trail, and contradictions between the trail and the document.
    pub faults: Vec<String>,
    /// Keys that are not in the trail.
    untold: Vec<String>,
}

impl KeyReport {
    /// Compares trail and document.
    pub fn compare(file: String, story: Story, book: &Book) -> KeyReport {
        let mut last: BTreeMap<&str, &Value> = BTreeMap::new();
        let text = |deed: &Value, name: &str| deed.get(name).and_then(Value::as_str).map(str::to_string);
        // A failed change has a line of its own right after its first line; neither counts.
        let mut done: Vec<&Value> = Vec::new();
        for deed in &story.deeds {
            match text(deed, "action").as_deref() {
                Some("failed") => drop(done.pop()),
                _ => done.push(deed),
            }
        }
        // Each line concerns its own key and the key that it replaces; the last line for a key counts.
        for deed in done {
            let names = ["prefix", "replaces"].iter().filter_map(|name| deed.get(*name)?.as_str());
            last.extend(names.map(|name| (name, deed)));
        }
        let mut faults: Vec<String> = story.fault.into_iter().collect();
        let mut untold = Vec::new();
        for (client, key) in book.clients.iter().flat_map(|client| client.keys.iter().map(move |key| (client, key))) {
            let Some(deed) = last.get(key.prefix.as_str()) else {
                untold.push(key.prefix.clone());
                continue;
            };
            let when = text(deed, "time").unwrap_or_default();
            let by = text(deed, "by").unwrap_or_default();
            if text(deed, "action").is_some_and(|action| action == "revoke") && key.revoked.is_none() {
                let id = &client.id.value;
                faults.push(format!("key {} of client `{id}` was revoked by {by} at {when}, and is not", key.prefix));
            }
            let replaced = text(deed, "replaces").is_some_and(|replaced| replaced == key.prefix);
            let end = text(deed, if replaced { "replaces_until" } else { "expires" });
            if let Some(end) = end.filter(|end| outlives(key, end)) {
                faults.push(format!("key {} was to end at {end} by what {by} did at {when}, and does not", key.prefix));
            }
        }
        KeyReport { file, deeds: story.deeds.len(), head: story.head, faults, untold }
    }

    /// The result as text.
    pub fn lines(&self) -> Vec<String> {
        let state = if self.faults.is_empty() { "nothing amiss" } else { "NOT AS IT SHOULD BE" };
        let trail = format!("trail {}: {} deeds, {state}, last {}", self.file, self.deeds, self.head);
        let faults = self.faults.iter().map(|fault| format!("  {fault}"));
        let untold = self.untold.iter().map(|prefix| format!("  it does not tell of {prefix}"));
        [String::new(), trail].into_iter().chain(faults).chain(untold).collect()
    }

    /// The result as JSON.
    pub fn json(&self) -> Value {
        json!({ "file": self.file, "deeds": self.deeds, "last": self.head, "faults": self.faults, "untold": self.untold })
    }
}

/// Whether a key is valid longer than recorded; revoked keys are not.
fn outlives(key: &ClientKey, end: &str) -> bool {
    let end = rfc3339(end);
    key.revoked.is_none() && end.is_some_and(|end| key.period.expires.is_none_or(|until| until.as_secs() > end))
}
