//! Reads a document that gateways fetch, with the same rules as a gateway, and defines the arguments of the `check` commands.

use clap::Args;

use super::Failure;
use super::gateway::{self, Variables};
use super::json_text;
use crate::config::node::Node;
use crate::strict_json::Bounds;

/// The document, and the gateway that will fetch it.
#[derive(Args)]
pub struct FetchedDocument {
    /// The document; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub file: String,
    /// The document of the gateway that fetches this one; its names and its size limit are used for the check
    #[arg(long, value_name = "FILE")]
    pub gateway: Option<String>,
    #[command(flatten)]
    pub variables: Variables,
}

/// Parses a file with the rules for a fetched document: strict JSON with the same limits. Records the position of each value.
pub fn open(file: &str, most_bytes: usize, bounds: Bounds) -> Result<Node, Failure> {
    let text = gateway::read_whole(file)?;
    if text.len() > most_bytes {
        return Err(Failure::Message(format!("{file}: longer than the {most_bytes} bytes that gateways read")));
    }
    read(file, &text, bounds)
}

/// Parses the content of a file with the rules of [`open`], except for the maximum size.
pub fn read(file: &str, text: &str, bounds: Bounds) -> Result<Node, Failure> {
    json_text::read_within(text, bounds).map_err(|mut problem| {
        if let Some(reason) = problem.message.strip_prefix("not JSON: ") {
            problem.message = format!("not JSON, the format that gateways fetch: {reason}");
        }
        Failure::Problems(vec![(file.to_string(), problem)])
    })
}
