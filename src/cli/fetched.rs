//! Documents that gateways fetch: read as gateways read them, and the arguments of the commands that check one beforehand.

use clap::Args;

use super::Failure;
use super::gateway::{self, Variables};
use super::yaml;
use crate::config::node::Node;
use crate::config::problem::{Place, Problem};
use crate::strict_json;

/// The document, and the gateway that will fetch it.
#[derive(Args)]
pub struct Fetched {
    /// The document; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub file: String,
    /// The document of a gateway that will poll it: what they both name must be the same, and the gateway's bound holds
    #[arg(long, value_name = "FILE")]
    pub gateway: Option<String>,
    #[command(flatten)]
    pub variables: Variables,
}

/// The document of a file, as gateways read it: strict JSON. Places are those of the text.
pub fn open(file: &str) -> Result<Node, Failure> {
    read(file, &gateway::read(file)?)
}

/// The same with the text that a file has.
pub fn read(file: &str, text: &str) -> Result<Node, Failure> {
    match strict_json::parse(text.as_bytes()) {
        Ok(json) => Ok(yaml::read(text).unwrap_or_else(|_| Node::from(json))),
        Err(fault) => Err(Failure::Problems(vec![(file.to_string(), unread(text, &fault))])),
    }
}

/// Where and why a text is not read: the strict reader tells no place, and two others refuse the same.
fn unread(text: &str, fault: &strict_json::Malformed) -> Problem {
    let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) else {
        let document = Place { line: 1, column: 1, path: String::new() };
        return yaml::read(text).err().unwrap_or(Problem { place: document, message: fault.to_string() });
    };
    let said = error.to_string();
    let reason = said.split(" at line ").next().unwrap_or_default();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Problem {
        place: Place { line: count(error.line()), column: count(error.column()), path: String::new() },
        message: format!("not JSON, which gateways fetch: {reason}"),
    }
}
