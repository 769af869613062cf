//! A change to the API keys in a file, with an author and a reason; it is applied only if gateways would accept the new file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use rsa::rand_core::{OsRng, RngCore};

use super::client_file::{ClientFile, ClientFileContext};
use super::trail::{Trail, TrailEntry};
use super::{format_time, trail};
use crate::cli::files::{FolderLock, Staged};
use crate::cli::yaml_edit::{Draft, PathStep};
use crate::cli::{Exit, Failure, Output, ToolOutcome, hash_text};
use crate::policy::credentials::api_key::ApiKey;

/// The options of each command that changes keys: author, reason, audit trail, and the gateway with which the file is checked.
#[derive(Args)]
pub struct ChangeOptions {
    /// The author of the change; by default the value of `USER`
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
    /// The reason for the change
    #[arg(long, value_name = "TEXT", value_parser = non_blank, allow_hyphen_values = true)]
    reason: String,
    /// The audit trail file; by default in the folder of FILE, such as clients.audit.jsonl for clients.yaml
    #[arg(long, value_name = "FILE")]
    pub trail: Option<PathBuf>,
    #[command(flatten)]
    around: ClientFileContext,
}

/// A document that is open for a change, and its audit trail. The trail and the folder of the document stay locked until the
/// value is dropped.
pub struct KeyChange<'o> {
    /// The open document, which contains the clients.
    pub document: ClientFile,
    /// The author and the reason.
    pub author: Author<'o>,
    trail: Trail,
    _lock: FolderLock,
    around: &'o ClientFileContext,
    now: Duration,
}

/// The author and the reason of a change.
pub struct Author<'o> {
    /// The author.
    pub by: String,
    /// The reason for the change.
    pub reason: &'o str,
}

impl Author<'_> {
    /// Returns the trail entry for a change of a key. The entry contains the id and the prefix of the key, never the key itself.
    pub fn entry(
        &self,
        action: &'static str,
        client: &str,
        (key, prefix): (&str, &str),
        more: Vec<(&'static str, String)>,
    ) -> TrailEntry {
        TrailEntry {
            action,
            client: client.to_string(),
            key: key.to_string(),
            prefix: prefix.to_string(),
            by: self.by.clone(),
            reason: self.reason.to_string(),
            more,
        }
    }
}

impl ChangeOptions {
    /// Returns the author (`--by`, or `USER`) together with the reason.
    pub fn author(&self) -> Result<Author<'_>, Failure> {
        Ok(Author { by: self.author_name()?, reason: &self.reason })
    }

    /// Opens a document and its audit trail. The trail and the folder of the document are locked before the document is read.
    pub fn open(&self, file: &str, now: Duration) -> Result<KeyChange<'_>, Failure> {
        let author = self.author()?;
        let trail = match &self.trail {
            Some(trail) => Trail::open(trail)?,
            None => Trail::open(&trail::beside(file)?)?,
        };
        // Every command locks the trail before the folder. With one fixed order, two commands cannot block each other forever.
        let lock = FolderLock::wait(Path::new(file));
        Ok(KeyChange { document: self.around.open(file)?, author, trail, _lock: lock, around: &self.around, now })
    }

    fn author_name(&self) -> Result<String, Failure> {
        let user = || std::env::var("USER").ok();
        let name = self.by.clone().or_else(user).filter(|who| !who.trim().is_empty());
        name.ok_or_else(|| Failure::Message("--by is required: `USER` is not set".to_string()))
    }
}

/// A new key and the values for its record.
pub struct NewKey {
    /// The key itself.
    pub secret: String,
    /// The part of the key by which gateways find its record; it is also the id in the record.
    pub lookup: String,
    /// The part of the key that is not secret: all characters before the secret part.
    pub prefix: String,
    /// The end of the key's validity, such as `2026-03-01T10:00:00Z`.
    pub expires: String,
    /// The hash of the whole key.
    hash: String,
}

impl NewKey {
    /// Generates a key for an environment; `expires` is the end of its validity.
    pub fn generate(environment: &str, expires: Duration) -> Result<NewKey, Failure> {
        let lookup = random(LOOKUP_LETTERS)?;
        let secret = ApiKey::compose(environment, &lookup, &random(SECRET_LETTERS)?);
        let read = ApiKey::read(secret.as_bytes()).map_err(|fault| fault.to_string())?;
        let hash = hash_text(read.digest);
        let prefix = read.prefix.to_string();
        Ok(NewKey { secret, lookup, prefix, expires: format_time(expires), hash })
    }

    /// Returns the members of the key's record, which the document contains instead of the key.
    pub fn record(&self, author: &Author<'_>, now: Duration) -> Vec<(&'static str, String)> {
        vec![
            ("id", self.lookup.clone()),
            ("prefix", self.prefix.clone()),
            ("hash", self.hash.clone()),
            ("created", format_time(now)),
            ("expires", self.expires.clone()),
            ("created_by", author.by.clone()),
            ("reason", author.reason.to_string()),
        ]
    }

    /// Returns the trail entry for the change that adds the key.
    pub fn entry(
        &self,
        action: &'static str,
        client: &str,
        author: &Author<'_>,
        mut more: Vec<(&'static str, String)>,
    ) -> TrailEntry {
        more.push(("expires", self.expires.clone()));
        author.entry(action, client, (&self.lookup, &self.prefix), more)
    }
}

impl KeyChange<'_> {
    /// Edits the document and records the change in the trail. The document stays unchanged if gateways would refuse the new
    /// text.
    pub fn make(
        mut self,
        entry: &TrailEntry,
        result: Output,
        mut notes: Vec<String>,
        edit: impl FnOnce(&mut Draft) -> Option<()>,
    ) -> Result<ToolOutcome, Failure> {
        self.document.check_editable()?;
        let mut draft = Draft::new(&self.document.text, &self.document.root);
        let edited = edit(&mut draft).and_then(|()| draft.finish());
        let refusal = || {
            format!(
                "{}: the command cannot edit the layout of `clients`; write it in block style without aliases",
                self.document.file
            )
        };
        let (text, _) = edited.ok_or_else(refusal)?;
        self.around.read(&self.document.file, &text)?;
        self.replace(&text, entry)?;
        notes.extend(self.document.notes.into_iter().chain(self.trail.fault));
        Ok(ToolOutcome { result, notes, exit: Exit::Success })
    }

    /// Replaces the text of the file and appends an entry to the trail.
    fn replace(&mut self, text: &str, entry: &TrailEntry) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::Message(format!("{}: {error}", self.document.file));
        let staged = Staged::write_with_mark(Path::new(&self.document.file), text).map_err(failed)?;
        staged.check_unchanged(&self.document.text).map_err(failed)?;
        // The entry is written first, because an entry without a change is less harmful than a change without an entry.
        self.trail.append(entry, self.now)?;
        staged.commit().map_err(|error| {
            let undone =
                TrailEntry { action: "failed", more: vec![("failed", entry.action.to_string())], ..entry.clone() };
            // The first error is reported, even if this second entry cannot be written.
            let _ = self.trail.append(&undone, self.now);
            failed(error)
        })
    }
}

/// Returns the path to a client in the document.
pub fn client_path(client: usize) -> [PathStep<'static>; 2] {
    [PathStep::Key("clients"), PathStep::Item(client)]
}

/// Returns the path to a client's key in the document.
pub fn key_path(client: usize, key: usize) -> [PathStep<'static>; 4] {
    [PathStep::Key("clients"), PathStep::Item(client), PathStep::Key("keys"), PathStep::Item(key)]
}

/// Returns random letters and digits from the operating system. All 62 characters are equally likely.
fn random(letters: usize) -> Result<String, Failure> {
    let mut text = String::with_capacity(letters);
    let mut bytes = [0_u8; 64];
    while text.len() < letters {
        OsRng.try_fill_bytes(&mut bytes).map_err(|error| format!("no random bytes: {error}"))?;
        // 248 is the largest multiple of 62 that fits into a byte. Bytes from 248 upwards are skipped, because they would make
        // some letters more likely.
        let fair = bytes.iter().filter(|byte| **byte < 248).map(|byte| usize::from(*byte % 62));
        text.extend(fair.filter_map(|at| LETTERS.get(at)).map(|letter| char::from(*letter)).take(letters - text.len()));
    }
    Ok(text)
}

/// Parses a string that is not blank.
pub fn non_blank(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("expected text that is not blank".to_string()) } else { Ok(text.to_string()) }
}

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LOOKUP_LETTERS: usize = 12;
/// The secret part has 190 bits of randomness.
const SECRET_LETTERS: usize = 32;
