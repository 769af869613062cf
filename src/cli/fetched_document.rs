//! Reads a document that gateways fetch, as a gateway would read it. `clients check` and `revocation check` use this file.

use clap::Args;

use super::Failure;
use super::gateway::{self, Variables};
use super::json_text;
use crate::config::node::Node;
use crate::strict_json::Bounds;

/// The document to check, and the gateway that fetches it.
#[derive(Args)]
pub struct FetchedDocument {
    /// The document; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub file: String,
    /// The document of the gateway that fetches FILE; the check compares the names in FILE with that document, and uses its size
    /// limit
    #[arg(long, value_name = "FILE")]
    pub gateway: Option<String>,
    #[command(flatten)]
    pub variables: Variables,
}

/// Parses a file with a gateway's rules for a fetched document: strict JSON of at most `most_bytes` bytes, within `bounds`.
/// Each value of the result has its position in the file.
pub fn open(file: &str, most_bytes: usize, bounds: Bounds) -> Result<Node, Failure> {
    let text = gateway::read_whole(file)?;
    if text.len() > most_bytes {
        return Err(Failure::Message(format!("{file}: is longer than the {most_bytes} bytes that gateways read")));
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
