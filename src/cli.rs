//! The command line: checks and explains documents, turns them into Envoy's configuration, imports those of other gateways.
//!
//! Results go to standard output, everything else to standard error. Each command is a file of its own.

mod asking;
mod can;
mod cast;
mod check;
mod clients;
mod clock;
mod documents;
mod edit;
mod emit;
mod explain;
mod fetched;
mod files;
mod gateway;
mod generate;
mod import;
mod json_escapes;
mod json_text;
mod keys;
mod module;
mod permission;
mod printed;
mod private;
mod revocation;
mod scalar;
mod schema;
mod table;
mod token;
mod who_can;
pub mod yaml;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::problem::{Problem, Problems};
use crate::printable;
use printed::Printed;

/// How a command ended, for whatever started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, and nothing wrong; for `explain`: the request is allowed.
    Success = 0,
    /// The document has problems, or the command could not do its work.
    Failure = 1,
    /// `explain`: the request is refused.
    Denied = 2,
    /// The command line itself was not understood (EX_USAGE of sysexits).
    Usage = 64,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// What a command prints, and how it ended.
struct Outcome {
    /// For standard output.
    result: Printed,
    /// For standard error, a line each.
    notes: Vec<String>,
    exit: Exit,
}

/// Why a command could not do what was asked.
enum Failure {
    /// The documents that were read have these problems.
    Problems(Vec<(String, Problem)>),
    /// Anything else, in one line.
    Message(String),
}

/// What is said behind a name that nobody has.
fn hint(near: Option<&str>) -> String {
    near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default()
}

/// Checks and explains the documents of the Portcullis filter, and writes the Envoy configuration around it.
#[derive(Parser)]
#[command(name = "portcullis", version, arg_required_else_help = true, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Tell which routes a caller with these claims, or a client, gets through
    Can(can::Options),
    /// Find every problem of a document: a gateway.yaml, an Envoy file that embeds the plugin, an Istio manifest
    Check(check::Options),
    /// Check a document of clients before gateways fetch it
    Clients(clients::Options),
    /// Tell what the filter does with one request, stage by stage; exits with 0 when it is allowed and 2 when it is refused
    Explain(explain::Options),
    /// Write the configuration of the proxy around the filter
    Generate(generate::Options),
    /// Turn the configuration of another gateway into a document for this one
    Import(import::Options),
    /// Add, list, explain and lock the permissions of a document
    Permission(permission::Options),
    /// Make, exchange, revoke and list API keys, and keep a trail of who did it and why
    Keys(keys::Options),
    /// Check a revocation list before gateways fetch it
    Revocation(revocation::Options),
    /// Print the JSON Schema of the document
    Schema,
    /// Get a token by client credentials, make a short-lived one for trying things out, or look into one
    Token(token::Options),
    /// Tell what a caller needs for a request, a route, or everything of an upstream
    WhoCan(who_can::Options),
}

/// Runs one command line, program name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let command = match Arguments::try_parse_from(&arguments) {
        Ok(arguments) => arguments.command,
        Err(error) => return misunderstood(&arguments, error),
    };
    let outcome = match command {
        Command::Can(options) => can::run(&options),
        Command::Check(options) => check::run(&options),
        Command::Clients(options) => clients::run(&options),
        Command::Explain(options) => explain::run(&options),
        Command::Generate(options) => generate::run(&options),
        Command::Import(options) => import::run(&options),
        Command::Permission(options) => permission::run(&options),
        Command::Keys(options) => keys::run(&options),
        Command::Revocation(options) => revocation::run(&options),
        Command::Schema => Ok(schema::run()),
        Command::Token(options) => token::run(&options),
        Command::WhoCan(options) => who_can::run(&options),
    };
    finish(outcome)
}

/// Prints why a command line was not understood, or the help it asked for.
fn misunderstood(arguments: &[OsString], error: clap::Error) -> Exit {
    // The message may repeat arguments, so it is made again from their printable form.
    let printable: Vec<OsString> = arguments.iter().map(|argument| printed::argument(argument)).collect();
    match Arguments::try_parse_from(&printable) {
        Err(error) => drop(error.print()),
        Ok(_) => drop(write!(std::io::stderr(), "{}", printable::lines(&error.render().to_string()))),
    }
    if error.use_stderr() { Exit::Usage } else { Exit::Success }
}

/// Writes the outcome. A reader that went away (`| head`) is no fault of the command's.
fn finish(outcome: Result<Outcome, Failure>) -> Exit {
    let (result, notes, exit) = match outcome {
        Ok(Outcome { result, notes, exit }) => (result, notes, exit),
        Err(Failure::Message(message)) => (Printed::nothing(), vec![format!("portcullis: {message}")], Exit::Failure),
        Err(Failure::Problems(problems)) => {
            (Printed::nothing(), problems.iter().map(|(file, problem)| line(file, problem)).collect(), Exit::Failure)
        }
    };
    let _ = std::io::stdout().lock().write_all(result.text().as_bytes());
    for note in notes {
        let _ = writeln!(std::io::stderr(), "{}", printable::one_line(&note));
    }
    exit
}

/// `file:line:col: path: message`, as editors and CI systems read it.
fn line(file: &str, problem: &Problem) -> String {
    if problem.place.line > 0 { format!("{file}:{problem}") } else { format!("{file}: {problem}") }
}

impl Failure {
    /// What is wrong with one file.
    fn in_file(file: &str, problems: Problems) -> Failure {
        Failure::Problems(problems.sorted().into_iter().map(|problem| (file.to_string(), problem)).collect())
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure::Message(message)
    }
}
