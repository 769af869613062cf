//! The audit trail of a document of clients: one JSON line per change; each line contains the hash of the previous line.
//!
//! If a line is changed, moved or removed, the hash in the next line no longer matches. The chain does not show
//! that the last lines were changed or removed, or that the whole file was rewritten. To detect this, store the hash of the last
//! line, which `keys report --trail` prints, in a place where users with write access to the trail cannot write.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::format_time;
use crate::cli::{Failure, files, hash_text};

/// The content of a trail line, except its time and the hash of the previous line. It never contains a key or the hash of a
/// key.
#[derive(Clone)]
pub struct TrailEntry {
    /// `create`, `rotate` or `revoke`; `failed` if the change of the previous line was not made.
    pub action: &'static str,
    /// The id of the client.
    pub client: String,
    /// The id of the key.
    pub key: String,
    /// The prefix of the key, which is not secret.
    pub prefix: String,
    /// The author of the change.
    pub by: String,
    /// The reason for the change.
    pub reason: String,
    /// Further members, which depend on the action.
    pub more: Vec<(&'static str, String)>,
}

/// An audit trail that is locked for writing until this value is dropped.
pub struct Trail {
    file: File,
    shown: String,
    /// The hash of the last line.
    head: String,
    /// The first fault in the existing content, if any.
    pub fault: Option<String>,
}

/// The content of an audit trail.
pub struct TrailHistory {
    /// The recorded changes, in order.
    pub entries: Vec<Value>,
    /// The hash of the last line.
    pub head: String,
    /// The first line that breaks the chain, and the reason.
    pub fault: Option<String>,
}

/// Returns the path of the trail of a document, such as `clients.audit.jsonl` beside `clients.yaml`. A symbolic link has the
/// trail of its target, so that every document has exactly one trail.
pub fn beside(file: &str) -> Result<PathBuf, Failure> {
    let real = files::real(Path::new(file)).map_err(|error| format!("{file}: {error}"))?;
    let (here, there) = (Path::new(file).with_extension("audit.jsonl"), real.with_extension("audit.jsonl"));
    if Path::new(file).is_symlink() && here.exists() && !there.exists() {
        let (here, there) = (here.display(), there.display());
        return Err(Failure::Message(format!(
            "{here} is beside a symbolic link: move it to {there}, or pass it with --trail"
        )));
    }
    Ok(there)
}

impl Trail {
    /// Opens or creates a trail and locks it. Waits while another process has the lock.
    pub fn open(path: &Path) -> Result<Trail, Failure> {
        let shown = path.display().to_string();
        let failed = |error: std::io::Error| format!("{shown}: {error}");
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(Failure::Message(format!("{shown}: not a regular file")));
        }
        file.lock().map_err(failed)?;
        let text = files::bounded(&file).and_then(files::text).map_err(failed)?;
        let mut history = TrailHistory::read(&text);
        if !text.is_empty() && !text.ends_with('\n') {
            // An incomplete last line is kept; the next entry starts on a new line.
            file.write_all(b"\n").map_err(failed)?;
            history.fault.get_or_insert_with(|| "the last line is incomplete".to_string());
        }
        Ok(Trail { file, head: history.head, fault: history.fault.map(|fault| format!("{shown}: {fault}")), shown })
    }

    /// Appends one entry and syncs the file.
    pub fn append(&mut self, entry: &TrailEntry, now: Duration) -> Result<(), Failure> {
        let mut line: Map<String, Value> = Map::new();
        let members = [
            ("action", entry.action),
            ("client", &entry.client),
            ("key", &entry.key),
            ("prefix", &entry.prefix),
            ("by", &entry.by),
            ("reason", &entry.reason),
            ("previous", &self.head),
        ];
        line.extend(members.map(|(name, value)| (name.to_string(), json!(value))));
        line.extend(entry.more.iter().map(|(name, value)| ((*name).to_string(), json!(value))));
        line.insert("time".to_string(), json!(format_time(now)));
        let line = Value::Object(line).to_string();
        let written = writeln!(self.file, "{line}").and_then(|()| self.file.sync_data());
        written.map_err(|error| format!("{}: {error}", self.shown))?;
        self.head = hash(&line);
        Ok(())
    }
}

impl TrailHistory {
    /// Reads the trail in a file; `None` if the file does not exist.
    pub fn open(path: &Path) -> Result<Option<TrailHistory>, Failure> {
        Ok(files::read_if_present(path)?.map(|text| TrailHistory::read(&text)))
    }

    fn read(text: &str) -> TrailHistory {
        let mut history = TrailHistory { entries: Vec::new(), head: BEGINNING.to_string(), fault: None };
        for (number, line) in (1..).zip(text.lines()) {
            let entry: Option<Value> = serde_json::from_str(line).ok().filter(Value::is_object);
            let fault = match &entry {
                None => Some("is not a JSON object"),
                Some(entry) if entry.get("previous") != Some(&json!(history.head)) => Some(
                    "does not continue the line before it: one of the two was changed, or lines between them were removed",
                ),
                Some(_) => None,
            };
            if let (Some(fault), None) = (fault, &history.fault) {
                history.fault = Some(format!("line {number} {fault}"));
            }
            history.entries.extend(entry);
            history.head = hash(line);
        }
        history
    }
}

fn hash(line: &str) -> String {
    hash_text(Sha256::digest(line.as_bytes()))
}

/// The first line contains this value instead of the hash of a previous line.
const BEGINNING: &str = "none";
