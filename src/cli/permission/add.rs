//! `permission add`: inserts a permission into the text of the document and changes no other character.

use std::path::Path;

use clap::Args;

use super::lock::{self, PermissionLock};
use crate::cli::files::{FolderLock, Staged};
use crate::cli::yaml_edit::{Draft, PathStep, StyledText};
use crate::cli::{Exit, Failure, Output, ToolOutcome, gateway, yaml};
use crate::config::document::Document;
use crate::config::mask::{MAX_BITS, Mask};
use crate::config::node::Node;
use crate::config::permission::{PermissionDomain, name_fault};

/// The options of `permission add`.
#[derive(Args)]
pub struct PermissionAddOptions {
    /// A gateway.yaml; the file is changed
    #[arg(value_name = "FILE")]
    file: String,
    /// The name of the domain; the domain is created if it does not exist
    #[arg(value_name = "DOMAIN")]
    domain: String,
    /// The name of the permission
    #[arg(value_name = "NAME")]
    name: String,
    /// The description: what the permission allows
    #[arg(long)]
    description: String,
    /// The version or date that introduces the permission
    #[arg(long)]
    since: Option<String>,
    /// The owner who is responsible for the permission
    #[arg(long)]
    owner: Option<String>,
}

/// Adds the permission.
pub fn run(options: &PermissionAddOptions) -> Result<ToolOutcome, Failure> {
    if let Some(fault) = name_fault(&options.domain).or_else(|| name_fault(&options.name)) {
        return Err(Failure::Message(fault));
    }
    let _lock = FolderLock::wait(Path::new(&options.file));
    let text = gateway::read(&options.file)?;
    let (root, document) = read(&text, &options.file)?;
    let domain = document.permissions.iter().find(|domain| domain.name.value == options.domain);
    let full = format!("{}.{}", options.domain, options.name);
    if domain.is_some_and(|domain| domain.permissions.iter().any(|p| p.name.value == options.name)) {
        return Err(Failure::Message(format!("{}: `{full}` already exists", options.file)));
    }
    let lock = PermissionLock::read(&lock::beside(&options.file))?.unwrap_or_default();
    let bit = next_bit(domain, &lock, &options.domain)?;
    let edited = insert(&text, &root, options, bit);
    let refusal = || {
        format!(
            "{}: the command cannot edit the layout of `permissions`; write it in block style without aliases",
            options.file
        )
    };
    let edited = edited.filter(|edited| adds_only(edited, &root, options, bit)).ok_or_else(refusal)?;
    read(&edited, &options.file)?;
    let staged = Staged::write_with_mark(Path::new(&options.file), &edited);
    let written = staged.and_then(|staged| staged.check_unchanged(&text).and_then(|()| staged.commit()));
    written.map_err(|error| format!("{}: {error}", options.file))?;
    let result = format!("{}: added {full}, bit {bit} (mask {})", options.file, Mask::of_bit(bit));
    Ok(ToolOutcome { result: Output::line(result), notes: Vec::new(), exit: Exit::Success })
}

/// Reads the document. Reports only problems under `permissions`, because this command does not use the rest.
fn read(text: &str, file: &str) -> Result<(Node, Document), Failure> {
    let in_file = |problem| (file.to_string(), problem);
    let root = yaml::read(text).map_err(|problem| Failure::Problems(vec![in_file(problem)]))?;
    let (document, problems) = Document::read(&root, &|_| Some("http://unset.invalid".to_string()));
    let ours = problems.sorted().into_iter().filter(|problem| problem.place.path.starts_with("permissions"));
    let ours: Vec<_> = ours.map(in_file).collect();
    if ours.is_empty() { Ok((root, document)) } else { Err(Failure::Problems(ours)) }
}

/// Returns the bit after the highest bit of this domain in the document and in the lock file. Bits of removed permissions are not
/// reused, because old tokens can still contain them.
fn next_bit(domain: Option<&PermissionDomain>, lock: &PermissionLock, name: &str) -> Result<u16, Failure> {
    let used = domain.into_iter().flat_map(|domain| domain.permissions.iter().map(|permission| permission.bit.value));
    let next = used.chain(lock.bits(name)).max().map_or(0, |highest| highest + 1);
    match next < MAX_BITS {
        true => Ok(next),
        false => Err(Failure::Message(format!(
            "`{name}` has no free bit: a domain has at most {MAX_BITS} bits, and bits are never reused"
        ))),
    }
}

/// Formats the entry of a permission, such as `{ bit: 0, description: "…" }`. Strings are in JSON syntax, which is also valid
/// YAML.
fn entry(options: &PermissionAddOptions, bit: u16, as_json: bool) -> String {
    let quoted = |text: &str| serde_json::Value::String(text.to_string()).to_string();
    let key = |name: &str| if as_json { quoted(name) } else { name.to_string() };
    let mut members =
        vec![format!("{}: {bit}", key("bit")), format!("{}: {}", key("description"), quoted(&options.description))];
    for (name, value) in [("since", &options.since), ("owner", &options.owner)] {
        members.extend(value.as_ref().map(|value| format!("{}: {}", key(name), quoted(value))));
    }
    format!("{{ {} }}", members.join(", "))
}

/// Returns the text with the entry inserted.
fn insert(text: &str, root: &Node, options: &PermissionAddOptions, bit: u16) -> Option<String> {
    let as_json = text.trim_start().starts_with('{');
    let (domain, name, value) = (&options.domain, &options.name, entry(options, bit, as_json));
    let key = |name: &str| if as_json { format!("\"{name}\"") } else { name.to_string() };
    let new_domain = StyledText { flow: format!("{{ {}: {value} }}", key(name)), block: format!("{name}: {value}\n") };
    let mut draft = Draft::new(text, root);
    match root.get("permissions").map(|permissions| permissions.get(domain)) {
        None if !as_json => {
            let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
            let separator = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
            let section = format!("{separator}\npermissions:\n  {domain}:\n    {name}: {value}\n");
            return Some(format!("{text}{}", section.replace('\n', newline)));
        }
        None => {
            let section = format!("{{ {}: {} }}", key(domain), new_domain.flow);
            draft.insert(&[], "permissions", &StyledText { block: section.clone(), flow: section })?;
        }
        Some(None) => draft.insert(&[PathStep::Key("permissions")], domain, &new_domain)?,
        Some(Some(_)) => {
            let value = StyledText { flow: value.clone(), block: value };
            draft.insert(&[PathStep::Key("permissions"), PathStep::Key(domain)], name, &value)?;
        }
    }
    draft.finish().map(|(text, _)| text)
}

/// Returns whether the edited text has the old content and, in addition, only the new permission.
fn adds_only(edited: &str, root: &Node, options: &PermissionAddOptions, bit: u16) -> bool {
    let Ok(after) = yaml::read(edited) else { return false };
    let (mut before, mut after) = (root.to_json(), after.to_json());
    let added = after.pointer(&format!("/permissions/{}/{}/bit", options.domain, options.name)).cloned();
    for tree in [&mut before, &mut after] {
        let Some(members) = tree.as_object_mut() else { return false };
        let section = members.entry("permissions").or_insert_with(|| serde_json::json!({}));
        let Some(domains) = section.as_object_mut() else { return false };
        let domain = domains.entry(options.domain.clone()).or_insert_with(|| serde_json::json!({}));
        domain.as_object_mut().map(|names| names.remove(&options.name));
    }
    added == Some(bit.into()) && before == after
}
