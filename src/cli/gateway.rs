//! Opens a file with a gateway document, compiles it with the filter's own compiler, and expands variables in upstream URLs.

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::Args;

use super::private_argument::PrivateArgument;
use super::{Failure, documents, files, json_text};
use crate::config::document::{Document, IssuerKeySettings};
use crate::config::environment::expand;
use crate::config::node::{Node, Value};
use crate::config::problem::Problem;
use crate::policy::Policy;

/// A gateway document without problems.
pub struct GatewayFile {
    /// The document with typed values.
    pub document: Document,
    /// The compiled policy.
    pub policy: Arc<Policy>,
    /// The document as JSON for the filter. Upstream URLs contain the values of their variables.
    pub configuration: serde_json::Value,
    /// The names of the variables for secrets that are not set for this command. Such a secret was not checked.
    pub unset: BTreeSet<String>,
}

/// The values of `$NAME` in upstream URLs and of the variables for secrets. A value in `--set` overrides the environment.
#[derive(Args)]
pub struct Variables {
    /// Set a variable for an upstream URL or a secret; overrides the environment; can be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = PrivateArgument(assignment))]
    set: Vec<(String, String)>,
    /// The value for variables that are not set. If it is `None`, an unset variable in an upstream URL is a problem.
    #[arg(skip)]
    stand_in: Option<&'static str>,
}

impl Variables {
    fn get(&self, name: &str) -> Option<String> {
        let set = self.set.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        set.or_else(|| std::env::var(name).ok()).filter(|value| !value.is_empty())
    }

    fn look_up(&self, name: &str) -> Option<String> {
        self.get(name).or_else(|| self.stand_in.map(str::to_string))
    }

    fn with_stand_in(&self) -> Variables {
        Variables { set: self.set.clone(), stand_in: Some(STAND_IN_URL) }
    }
}

/// Opens a file with exactly one gateway document. An unset variable in an upstream URL is a problem.
pub fn open(file: &str, variables: &Variables) -> Result<GatewayFile, Failure> {
    only(file, open_all_text(file, &read_document(file)?, variables)?)
}

fn only(file: &str, mut gateways: Vec<GatewayFile>) -> Result<GatewayFile, Failure> {
    match (gateways.pop(), gateways.is_empty()) {
        (Some(gateway), true) => Ok(gateway),
        _ => Err(Failure::Message(format!(
            "{file} contains several gateway documents, but this command accepts only one"
        ))),
    }
}

/// Opens a file with exactly one gateway document for a command that sends no requests. Variables in upstream URLs can
/// therefore be unset.
pub fn open_for_inspection(file: &str, variables: &Variables) -> Result<GatewayFile, Failure> {
    inspect_text(file, &read_document(file)?, variables)
}

/// Like [`open_for_inspection`], but reads `text` instead of the file, for example a change that is not yet in the file.
pub fn inspect_text(file: &str, text: &str, variables: &Variables) -> Result<GatewayFile, Failure> {
    only(file, open_all_text(file, text, &variables.with_stand_in())?)
}

/// Opens every document in a file and reports the problems of all documents together.
pub fn open_all_text(file: &str, text: &str, variables: &Variables) -> Result<Vec<GatewayFile>, Failure> {
    let nodes = documents::find(file, text).map_err(|problem| Failure::Problems(vec![(file.to_string(), problem)]))?;
    let mut gateways = Vec::new();
    let mut problems = Vec::new();
    for node in &nodes {
        match GatewayFile::compile(node, variables) {
            Ok(gateway) => gateways.push(gateway),
            Err(found) => problems.extend(found.into_iter().map(|problem| (file.to_string(), problem))),
        }
    }
    if problems.is_empty() { Ok(gateways) } else { Err(Failure::Problems(problems)) }
}

/// Compiles a changed copy of a document that has already been compiled.
pub fn recompile(configuration: serde_json::Value, variables: &Variables) -> Result<GatewayFile, Failure> {
    let compiled = GatewayFile::compile(&Node::from(configuration), &variables.with_stand_in());
    let in_file = |problem| ("the document with stand-in keys".to_string(), problem);
    compiled.map_err(|problems| Failure::Problems(problems.into_iter().map(in_file).collect()))
}

/// Reads a text file, or standard input for `-`, and removes a byte order mark at the start.
pub fn read(file: &str) -> Result<String, Failure> {
    let text = read_whole(file)?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_string).unwrap_or(text))
}

/// Reads the text of a gateway document. A byte order mark in JSON is an error (RFC 8259 §8.1). It is therefore kept, so that
/// the JSON parser reports it.
pub fn read_document(file: &str) -> Result<String, Failure> {
    if json_text::is_name_of_json(file) { read_whole(file) } else { read(file) }
}

/// Reads a text file, or standard input for `-`, and keeps a byte order mark.
pub fn read_whole(file: &str) -> Result<String, Failure> {
    String::from_utf8(files::read(file)?).map_err(|error| {
        let line = 1 + error.as_bytes().iter().take(error.utf8_error().valid_up_to()).filter(|b| **b == b'\n').count();
        Failure::Message(format!("{file}:{line}: not UTF-8 text"))
    })
}

impl GatewayFile {
    fn compile(node: &Node, variables: &Variables) -> Result<GatewayFile, Vec<Problem>> {
        let (document, _) = Document::read(node, &|name| variables.look_up(name));
        let unset: BTreeSet<String> = document
            .issuers
            .iter()
            .filter_map(|issuer| match &issuer.keys.value {
                IssuerKeySettings::Secret { env } if variables.get(env).is_none() => Some(env.clone()),
                _ => None,
            })
            .collect();
        // Secrets are often set only in Envoy's environment. A stand-in for an unset secret lets this command check the rest of
        // the document.
        let environment = |name: &str| match unset.contains(name) {
            true => Some(STAND_IN.to_string()),
            false => variables.look_up(name),
        };
        let policy = Arc::new(Policy::from_node(node, &environment)?);
        Ok(GatewayFile { document, policy, configuration: resolved(node, variables), unset })
    }

    /// Returns one note for each secret that was not checked.
    pub fn notes<'g>(&'g self, file: &'g str) -> impl Iterator<Item = String> + 'g {
        self.unset.iter().map(move |name| {
            format!("{file}: note: `{name}` is not set for this command, so its secret was not checked")
        })
    }
}

/// Returns the document as JSON, with the values of variables in upstream URLs. A URL with an unset variable stays unchanged;
/// the compiler accepts it only for inspection.
fn resolved(node: &Node, variables: &Variables) -> serde_json::Value {
    let mut node = node.clone();
    if let Some(Value::Map(upstreams)) = member(&mut node, "upstreams") {
        for (_, upstream) in upstreams {
            if let Some(Value::Text(url)) = member(upstream, "url")
                && let Ok(expanded) = expand(url, &|name| variables.get(name))
            {
                *url = expanded;
            }
        }
    }
    node.to_json()
}

fn member<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Value> {
    match &mut node.value {
        Value::Map(entries) => entries.iter_mut().find(|(k, _)| k.text == key).map(|(_, node)| &mut node.value),
        _ => None,
    }
}

/// Parses `NAME=VALUE`; the value can be empty.
pub fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_string(), value.to_string())),
        _ => Err("expected NAME=VALUE".to_string()),
    }
}

/// The value of an unset variable during inspection: a URL whose host never resolves (RFC 2606 §2).
const STAND_IN_URL: &str = "http://unset.invalid";
/// The value of an unset secret: long enough for every HMAC algorithm (RFC 7518 §3.2), and never used for a signature.
const STAND_IN: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0-stands-in-for-a-secret-that-is-not-set-here-and-signs-nothing";
