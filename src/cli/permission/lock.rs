//! `permission lock`: records the bits of permissions in a file beside the document, so that no bit ever changes its meaning.
//!
//! Old tokens can still contain the bit of a removed permission, so the lock file keeps the bit forever.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::PermissionFile;
use crate::cli::files::{self, FolderLock, Staged};
use crate::cli::{Exit, Failure, Output, ToolOutcome};
use crate::config::document::Document;
use crate::config::problem::{Place, Problem};

/// The options of `permission lock`.
#[derive(Args)]
pub struct PermissionLockOptions {
    #[command(flatten)]
    file: PermissionFile,
    /// Write nothing; exit with 1 if a permission of the document is not in the lock file
    #[arg(long)]
    check: bool,
}

/// The content of the lock file: every permission that was ever released, by domain and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermissionLock {
    version: u32,
    digest: String,
    permissions: BTreeMap<String, BTreeMap<String, u16>>,
}

/// Checks the document against the lock file, and adds new permissions to that file unless `--check` is set.
pub fn run(options: &PermissionLockOptions) -> Result<ToolOutcome, Failure> {
    let gateway = options.file.open()?;
    let path = options.file.lock();
    let _lock = (!options.check).then(|| FolderLock::wait(&path));
    let before = PermissionLock::read(&path)?.unwrap_or_default();
    let problems = before.problems(&gateway.document);
    if !problems.is_empty() {
        return Err(Failure::Problems(problems.into_iter().map(|p| (options.file.file.clone(), p)).collect()));
    }
    let mut after = before.clone();
    let mut added = Vec::new();
    for domain in &gateway.document.permissions {
        for permission in &domain.permissions {
            let bits = after.permissions.entry(domain.name.value.clone()).or_default();
            if bits.insert(permission.name.value.clone(), permission.bit.value).is_none() {
                added.push(super::full_name(domain, permission));
            }
        }
    }
    let shown = path.display();
    if options.check && !added.is_empty() {
        return Err(Failure::Message(format!("{shown} does not have {}: run `permission lock`", added.join(", "))));
    }
    let count = after.permissions.values().map(BTreeMap::len).sum::<usize>();
    let result = match added.is_empty() {
        true => format!("{shown}: {count} permissions, nothing new"),
        false => format!("{shown}: {count} permissions, new: {}", added.join(", ")),
    };
    if !added.is_empty() {
        after.version = VERSION;
        after.digest = after.compute_digest();
        let text = serde_json::to_string_pretty(&after).map_err(|fault| fault.to_string())?;
        let written = Staged::write(&path, &(text + "\n")).and_then(|staged| staged.commit());
        written.map_err(|error| format!("{shown}: {error}"))?;
    }
    Ok(ToolOutcome { result: Output::line(result), notes: Vec::new(), exit: Exit::Success })
}

/// Returns the path of the lock file, `permissions.lock` in the directory of the document. If the document is a symbolic link,
/// returns the lock file beside the link if it exists, and otherwise the lock file beside the target.
pub fn beside(file: &str) -> PathBuf {
    let here = Path::new(file).with_file_name("permissions.lock");
    match files::real(Path::new(file)) {
        Ok(real) if !here.exists() && Path::new(file).is_symlink() => real.with_file_name("permissions.lock"),
        _ => here,
    }
}

/// Returns the conflicts between a document and its lock file. Without a lock file, there are no conflicts.
pub fn check(file: &str, document: &Document) -> Result<Vec<Problem>, Failure> {
    Ok(PermissionLock::read(&beside(file))?.map(|lock| lock.problems(document)).unwrap_or_default())
}

impl PermissionLock {
    /// Reads the lock file; `None` if it does not exist.
    pub fn read(path: &Path) -> Result<Option<PermissionLock>, Failure> {
        let shown = path.display();
        let Some(text) = files::read_if_present(path)? else { return Ok(None) };
        let lock: PermissionLock =
            serde_json::from_str(&text).map_err(|fault| format!("{shown}: not a valid lock file: {fault}"))?;
        if lock.version != VERSION {
            return Err(Failure::Message(format!(
                "{shown}: has version {}, but this command reads only version {VERSION}",
                lock.version
            )));
        }
        if lock.digest != lock.compute_digest() {
            let message = "its digest does not match its content: it was edited by hand or merged incorrectly";
            return Err(Failure::Message(format!("{shown}: {message}")));
        }
        Ok(Some(lock))
    }

    /// Returns the released bits of a domain, including the bits of removed permissions.
    pub fn bits(&self, domain: &str) -> impl Iterator<Item = u16> {
        self.permissions.get(domain).into_iter().flat_map(|names| names.values().copied())
    }

    /// Reports permissions that changed their released bit, and released bits that changed their permission.
    fn problems(&self, document: &Document) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add = |place: &Place, message| problems.push(Problem { place: place.clone(), message });
        for domain in &document.permissions {
            let Some(released) = self.permissions.get(&domain.name.value) else { continue };
            for permission in &domain.permissions {
                let (name, bit) = (&permission.name.value, permission.bit.value);
                if let Some(locked) = released.get(name).filter(|locked| **locked != bit) {
                    add(
                        &permission.bit.place,
                        format!("`{}.{name}` was released as bit {locked} and keeps that bit", domain.name.value),
                    );
                }
                if let Some((other, _)) = released.iter().find(|(other, locked)| **locked == bit && *other != name) {
                    let message =
                        format!("bit {bit} was released as `{}.{other}` and keeps that meaning", domain.name.value);
                    add(&permission.bit.place, message);
                }
            }
        }
        problems
    }

    /// Hashes one line per permission, such as `LIC.READ=0`, sorted by name.
    fn compute_digest(&self) -> String {
        let mut hash = Sha256::new();
        for (domain, names) in &self.permissions {
            names.iter().for_each(|(name, bit)| hash.update(format!("{domain}.{name}={bit}\n")));
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

const VERSION: u32 = 1;
