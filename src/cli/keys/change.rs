//! A change to a document of clients: it has an author and a reason, is checked first, and is applied completely or not at all.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use rsa::rand_core::{OsRng, RngCore};

use super::client_file::{ClientFile, ClientFileContext};
use super::trail;
use super::trail::{Trail, TrailEntry};
use crate::cli::Failure;
use crate::cli::files::Staged;
use crate::cli::yaml_edit::Draft;
use crate::policy::credentials::api_key::ApiKey;

/// The author of a change and the reason.
#[derive(Args)]
pub struct ChangeReason {
    /// The author of the change; by default the value of `USER`
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
    /// The reason
    #[arg(long, value_name = "TEXT", value_parser = non_blank)]
    reason: String,
    /// The audit trail file, which gets one line without the key; by default beside FILE: clients.audit.jsonl for clients.yaml
    #[arg(long, value_name = "FILE")]
    pub trail: Option<PathBuf>,
}

/// The author of a change and the reason.
pub struct Author<'o> {
    /// The author.
    pub by: String,
    /// The reason.
    pub reason: &'o str,
}

impl Author<'_> {
    /// The trail entry for a change of a key: it contains id and prefix, never the key.
    pub fn entry<'a>(
        &'a self,
        action: &'static str,
        client: &'a str,
        (key, prefix): (&'a str, &'a str),
        more: Vec<(&'static str, String)>,
    ) -> TrailEntry<'a> {
        TrailEntry { action, client, key, prefix, by: &self.by, reason: self.reason, more }
    }
}

impl ChangeReason {
    /// Returns the author (`--by`, or `USER`) together with the reason.
    pub fn author(&self) -> Result<Author<'_>, Failure> {
        Ok(Author { by: self.author_name()?, reason: &self.reason })
    }

    /// Opens the document, its trail and the author. The trail is locked before the document is read, until it is dropped.
    pub fn open(&self, context: &ClientFileContext, file: &str) -> Result<(ClientFile, Trail, Author<'_>), Failure> {
        let author = self.author()?;
        let trail = match &self.trail {
            Some(trail) => Trail::open(trail)?,
            None => Trail::open(&trail::beside(file)?)?,
        };
        Ok((context.open(file)?, trail, author))
    }

    fn author_name(&self) -> Result<String, Failure> {
        let user = || std::env::var("USER").ok();
        let name = self.by.clone().or_else(user).filter(|who| !who.trim().is_empty());
        name.ok_or_else(|| Failure::Message("--by is required: `USER` is not set".to_string()))
    }
}

/// A new key and its public parts.
pub struct NewKey {
    /// The key itself.
    pub secret: String,
    /// Its lookup part, also used as its id.
    pub lookup: String,
    /// The part that is not secret.
    pub prefix: String,
    /// The hash of the complete key.
    pub hash: String,
}

impl NewKey {
    /// Generates a key for an environment.
    pub fn generate(environment: &str) -> Result<NewKey, Failure> {
        let lookup = random(LOOKUP_LETTERS)?;
        let secret = ApiKey::compose(environment, &lookup, &random(SECRET_LETTERS)?);
        let read = ApiKey::read(secret.as_bytes()).map_err(|fault| fault.to_string())?;
        let hash = read.digest.iter().fold("sha256:".to_string(), |text, byte| text + &format!("{byte:02x}"));
        let prefix = read.prefix.to_string();
        Ok(NewKey { secret, lookup, prefix, hash })
    }

    /// Its record in the document.
    pub fn record(&self, created: String, expires: String, author: &Author<'_>) -> Vec<(&'static str, String)> {
        vec![
            ("id", self.lookup.clone()),
            ("prefix", self.prefix.clone()),
            ("hash", self.hash.clone()),
            ("created", created),
            ("expires", expires),
            ("created_by", author.by.clone()),
            ("reason", author.reason.to_string()),
        ]
    }
}

/// Edits the document and records the change. Nothing is changed if a gateway would refuse the new text.
pub fn apply(
    document: &ClientFile,
    context: &ClientFileContext,
    trail: &mut Trail,
    entry: &TrailEntry<'_>,
    now: Duration,
    edit: impl FnOnce(&mut Draft) -> Option<()>,
) -> Result<(), Failure> {
    document.check_editable()?;
    let mut draft = Draft::new(&document.text, &document.root);
    let edited = edit(&mut draft).and_then(|()| draft.finish());
    let refusal = || format!("{}: the layout of its `clients` cannot be edited", document.file);
    let (text, _) = edited.ok_or_else(refusal)?;
    context.read(&document.file, &text)?;
    replace(Path::new(&document.file), &document.text, &text, trail, entry, now)
}

/// Replaces the text of a file and adds the line about it to the trail.
fn replace(
    file: &Path,
    before: &str,
    text: &str,
    trail: &mut Trail,
    entry: &TrailEntry<'_>,
    now: Duration,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::Message(format!("{}: {error}", file.display()));
    let staged = Staged::write(file, text).map_err(failed)?;
    staged.check_unchanged(before).map_err(failed)?;
    // The line is written first: a change without a line would be worse than a line without a change.
    trail.append(entry, now)?;
    staged.commit().map_err(|error| {
        let failed_entry = TrailEntry { action: "failed", more: vec![("failed", entry.action.to_string())], ..*entry };
        // The user sees the failure even if this fails.
        let _ = trail.append(&failed_entry, now);
        failed(error)
    })
}

/// Random letters and digits from the operating system, all 62 equally likely.
fn random(letters: usize) -> Result<String, Failure> {
    let mut text = String::with_capacity(letters);
    let mut bytes = [0_u8; 64];
    while text.len() < letters {
        OsRng.try_fill_bytes(&mut bytes).map_err(|error| format!("no random bytes: {error}"))?;
        // 248 is the largest multiple of 62 in a byte: higher values would favour the first letters.
        let fair = bytes.iter().filter(|byte| **byte < 248).map(|byte| usize::from(*byte % 62));
        text.extend(fair.filter_map(|at| LETTERS.get(at)).map(|letter| char::from(*letter)).take(letters - text.len()));
    }
    Ok(text)
}

/// Parses text that is not blank.
pub fn non_blank(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("expected text".to_string()) } else { Ok(text.to_string()) }
}

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LOOKUP_LETTERS: usize = 12;
/// 190 bits of randomness.
const SECRET_LETTERS: usize = 32;
