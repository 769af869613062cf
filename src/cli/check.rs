//! `portcullis check`: reports every problem with its location, and summarizes each gateway document without problems.

mod caches;
mod carriers;
pub mod clients;
mod looser_routes;
pub mod overlaps;
mod permissions;
mod requirements;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::gateway::{self, GatewayFile, Variables};
use super::module::Module;
use super::permission::lock;
use super::{Exit, Failure, Output, ToolOutcome, documents, line};
use crate::config::problem::{Place, Problem};

/// The options of `check`.
#[derive(Args)]
pub struct CheckOptions {
    /// A gateway.yaml, an Envoy configuration or an Istio manifest; `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// The output format
    #[arg(long, value_enum, default_value = "text")]
    format: CheckFormat,
    /// Also report requests that match two routes, and which of the two routes handles them
    #[arg(long)]
    overlaps: bool,
    #[command(flatten)]
    variables: Variables,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    /// One line for each problem: `file:line:column: path: message`
    Text,
    /// One JSON object with the problems, the notes, the overlaps and the summaries of documents without problems
    Json,
}

/// Checks all files, even if the first file has problems. If a file cannot be read, the command fails at once.
pub fn run(options: &CheckOptions) -> Result<ToolOutcome, Failure> {
    let mut problems = Vec::new();
    let mut notes = Vec::new();
    let mut summaries = Vec::new();
    let mut met = Vec::new();
    for file in &options.files {
        let text = gateway::read_document(file)?;
        match gateway::open_all_text(file, &text, &options.variables) {
            Ok(gateways) => {
                let cached = caches::problems(file, &text, &gateways);
                for (gateway, carrier) in gateways.iter().zip(documents::carriers(file, &text)) {
                    let mut broken = lock::check(file, &gateway.document)?;
                    broken.extend(carriers::problems(&carrier, gateway));
                    if broken.is_empty() && cached.is_empty() {
                        summaries.push(summary(file, gateway));
                    }
                    problems.extend(broken.into_iter().map(|problem| (file.clone(), problem)));
                    notes.extend(gateway.notes(file));
                    if gateway.document.routes.is_empty() && gateway.document.public_paths.is_empty() {
                        notes.push(format!(
                            "{file}: note: the document has no routes and no public paths, so every request is refused"
                        ));
                    }
                    let about_clients = clients::notes(&gateway.document);
                    let about_permissions = permissions::notes(&gateway.document);
                    let about_looser_routes = looser_routes::notes(&gateway.document, &gateway.policy);
                    let about_carrier = carriers::note(&carrier, gateway);
                    let placed = about_clients.iter().chain(&about_permissions).chain(&about_looser_routes);
                    let placed = placed.chain(&about_carrier);
                    notes.extend(placed.map(|(place, note)| noted(file, place, note)));
                    if options.overlaps {
                        let found = overlaps::find(&gateway.document, &gateway.policy);
                        met.extend(found.into_iter().map(|overlap| (file, overlap)));
                    }
                }
                problems.extend(cached.into_iter().map(|problem| (file.clone(), problem)));
            }
            Err(Failure::Problems(found)) => problems.extend(found),
            Err(failure) => return Err(failure),
        }
    }
    let exit = if problems.is_empty() { Exit::Success } else { Exit::Failure };
    if options.format == CheckFormat::Json {
        let found: Vec<Value> = problems
            .iter()
            .map(|(file, p)| {
                let place = &p.place;
                json!({ "file": file, "line": place.line, "column": place.column, "path": place.path, "message": p.message })
            })
            .collect();
        let met: Vec<Value> = met
            .iter()
            .map(|(file, o)| json!({ "file": file, "line": o.line, "column": o.column, "message": o.message }))
            .collect();
        let result = json!({ "problems": found, "checked": summaries, "notes": notes, "overlaps": met });
        return Ok(ToolOutcome { result: Output::json(&result), notes: Vec::new(), exit });
    }
    let met = met.iter().map(|(file, o)| format!("{file}:{}:{}: overlap: {}", o.line, o.column, o.message));
    let result = Output::Lines(summaries.into_iter().chain(met).collect());
    notes.extend(problems.iter().map(|(file, problem)| line(file, problem)));
    Ok(ToolOutcome { result, notes, exit })
}

/// Formats a note with its location, such as `gateway.yaml:8:5: routes[0].permissions[0]: note: …`.
pub fn noted(file: &str, place: &Place, note: &str) -> String {
    line(file, &Problem { place: place.clone(), message: format!("note: {note}") })
}

/// Returns a summary such as `gateway.yaml: 7 routes, 2 issuers, no problems`. If the document needs a module other than
/// `portcullis.wasm`, the summary ends with the name of that module.
fn summary(file: &str, gateway: &GatewayFile) -> String {
    let count = |n: usize, what: &str| if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") };
    let document = &gateway.document;
    let (routes, issuers) = (count(document.routes.len(), "route"), count(document.issuers.len(), "issuer"));
    let module = match Module::needed(document) {
        Module::Plain => String::new(),
        needed => format!(", needs {}", needed.file()),
    };
    format!("{file}: {routes}, {issuers}, no problems{module}")
}
