//! The command line tool `portcullis`: parses the command line, runs the command, and writes its result.
//!
//! Results go to standard output, and all other messages go to standard error. Each command has its own file or folder in `cli`.

mod can;
mod check;
mod clients;
mod clock;
mod documents;
mod explain;
mod fetched_document;
mod files;
mod gateway;
mod generate;
mod import;
mod json_escapes;
mod json_text;
mod keys;
mod module;
mod output;
mod permission;
mod private_argument;
mod revocation;
mod schema;
mod stand_in_clients;
mod text_table;
mod token;
mod try_routes;
mod who_can;
pub mod yaml;
mod yaml_edit;
mod yaml_emitter;
mod yaml_scalar;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::problem::{Problem, Problems};
use crate::printable;
use output::Output;

/// The exit status of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command succeeded. For `explain`, the request is allowed.
    Success = 0,
    /// A document has problems, or the command failed.
    Failure = 1,
    /// The request is refused. Only `explain` returns this status.
    Denied = 2,
    /// The command line is invalid. The number is that of `EX_USAGE` in the C header `sysexits.h`.
    Usage = 64,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// The output of a command that ran to its end, and its exit status.
struct ToolOutcome {
    /// The text for standard output.
    result: Output,
    /// The lines for standard error.
    notes: Vec<String>,
    exit: Exit,
}

/// The reason why a command has no result.
enum Failure {
    /// The problems in documents, each with the name of its file.
    Problems(Vec<(String, Problem)>),
    /// A description of any other failure, in one line.
    Message(String),
}

/// Formats a SHA-256 digest as `sha256:` and 64 hexadecimal digits, as in the `hash` of an API key.
fn hash_text(digest: impl AsRef<[u8]>) -> String {
    digest.as_ref().iter().fold("sha256:".to_string(), |text, byte| text + &format!("{byte:02x}"))
}

/// Returns the end of an error message about an unknown name. It suggests `near`, a similar known name, or is empty if there is
/// no such name.
fn hint(near: Option<&str>) -> String {
    near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default()
}

/// Checks the gateway documents of the Portcullis filter, shows how the filter decides requests, and generates Envoy
/// configurations that run it.
#[derive(Parser)]
#[command(name = "portcullis", version, arg_required_else_help = true, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: ToolCommand,
}

#[derive(Subcommand)]
enum ToolCommand {
    /// List the routes that a client, or a caller with given token claims, can use
    Can(can::CanOptions),
    /// Find every problem in a document: a gateway.yaml, an Envoy file that embeds the plugin, or an Istio manifest
    Check(check::CheckOptions),
    /// Check a document of clients before gateways fetch it
    #[command(subcommand)]
    Clients(clients::ClientsAction),
    /// Show how the filter decides one request, stage by stage; exits with 0 if it is allowed and 2 if it is refused
    Explain(explain::ExplainOptions),
    /// Generate an Envoy configuration that runs the filter
    #[command(subcommand)]
    Generate(generate::GenerateTarget),
    /// Convert the configuration of another gateway
    Import(import::ImportOptions),
    /// Add, list, decode and lock the permissions of a document, and print them as constants
    #[command(subcommand)]
    Permission(permission::PermissionAction),
    /// Create, rotate, revoke and list API keys, and record each change with its author and reason
    #[command(subcommand)]
    Keys(keys::KeysAction),
    /// Check a revocation list before gateways fetch it
    #[command(subcommand)]
    Revocation(revocation::RevocationAction),
    /// Print the JSON Schema of gateway documents
    Schema,
    /// Get a token with client credentials, mint a short-lived one for development, or inspect one
    #[command(subcommand)]
    Token(token::TokenAction),
    /// List what a caller needs for a request, a route or an upstream
    WhoCan(who_can::WhoCanOptions),
}

/// Parses a command line, runs its command, and writes the result. The first argument is the program name. Returns the exit
/// status.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let command = match Arguments::try_parse_from(&arguments) {
        Ok(arguments) => arguments.command,
        Err(error) => return misunderstood(&arguments, error),
    };
    let outcome = match command {
        ToolCommand::Can(options) => can::run(&options),
        ToolCommand::Check(options) => check::run(&options),
        ToolCommand::Clients(action) => clients::run(&action),
        ToolCommand::Explain(options) => explain::run(&options),
        ToolCommand::Generate(target) => generate::run(&target),
        ToolCommand::Import(options) => import::run(&options),
        ToolCommand::Permission(action) => permission::run(&action),
        ToolCommand::Keys(action) => keys::run(&action),
        ToolCommand::Revocation(action) => revocation::run(&action),
        ToolCommand::Schema => Ok(schema::run()),
        ToolCommand::Token(action) => token::run(&action),
        ToolCommand::WhoCan(options) => who_can::run(&options),
    };
    finish(outcome)
}

/// Prints a usage error, or the help or version that the user requested.
fn misunderstood(arguments: &[OsString], error: clap::Error) -> Exit {
    // The error message can contain arguments, and an argument can contain control characters. Such characters could change the
    // display of the terminal, so the error is created again from arguments in which they are escaped.
    let printable: Vec<OsString> = arguments.iter().map(|argument| output::argument(argument)).collect();
    match Arguments::try_parse_from(&printable) {
        Err(error) => drop(error.print()),
        Ok(_) => drop(write!(std::io::stderr(), "{}", printable::lines(&error.render().to_string()))),
    }
    if error.use_stderr() { Exit::Usage } else { Exit::Success }
}

/// Writes the result to standard output, and notes and failures to standard error. Ignores write errors, such as a pipe that
/// `portcullis … | head` has closed.
fn finish(outcome: Result<ToolOutcome, Failure>) -> Exit {
    let (result, notes, exit) = match outcome {
        Ok(ToolOutcome { result, notes, exit }) => (result, notes, exit),
        Err(Failure::Message(message)) => (Output::nothing(), vec![format!("portcullis: {message}")], Exit::Failure),
        Err(Failure::Problems(problems)) => {
            (Output::nothing(), problems.iter().map(|(file, problem)| line(file, problem)).collect(), Exit::Failure)
        }
    };
    let _ = std::io::stdout().lock().write_all(result.text().as_bytes());
    for note in notes {
        let _ = writeln!(std::io::stderr(), "{}", printable::one_line(&note));
    }
    exit
}

/// Formats a problem as `file:line:col: path: message`, which editors and CI systems can parse. If the line is unknown, the line
/// and the column are omitted.
fn line(file: &str, problem: &Problem) -> String {
    if problem.place.line > 0 { format!("{file}:{problem}") } else { format!("{file}: {problem}") }
}

impl Failure {
    fn in_file(file: &str, problems: Problems) -> Failure {
        Failure::Problems(problems.sorted().into_iter().map(|problem| (file.to_string(), problem)).collect())
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure::Message(message)
    }
}
