//! `portcullis import`: converts the configuration of another gateway, and reports every key that it leaves out.
//!
//! An unknown value never removes a token requirement: the file is refused, and each unknown value is reported with its
//! location.

mod precedence;
#[cfg(test)]
mod properties;
mod reader;
mod routes_yaml;
mod serverless;
mod unsupported_formats;
mod verify_result;

use clap::{ArgGroup, Args};
use serde_json::{Map, Value, json};

use super::private_argument::PrivateArgument;
use super::{Exit, Failure, Output, ToolOutcome, gateway, yaml, yaml_emitter};
use crate::config::node::Node;
use crate::config::problem::{Place, Problem};
use crate::policy::request::guard::percent;
use crate::policy::request::route::{Method, RoutePattern};
use crate::printable;
use reader::{Findings, ImportReader, ImportValue};

/// The options of `import`.
#[derive(Args)]
#[command(group = ArgGroup::new("key").args(["jwks_uri", "secret_env"]))]
pub struct ImportOptions {
    /// A serverless gateway's JSON (`paths`, `servers`), or a routes.yaml (`public_paths`, `proxy_upstream`)
    #[arg(value_name = "FILE")]
    file: String,
    /// The `iss` claim of the tokens that protected routes accept
    #[arg(long, value_name = "ISS", requires = "key")]
    issuer: Option<String>,
    /// An accepted `aud` claim; can be repeated
    #[arg(long = "audience", value_name = "AUD", requires = "issuer")]
    audiences: Vec<String>,
    /// The URL of the issuer's key set
    #[arg(long, value_name = "URL", requires = "issuer")]
    jwks_uri: Option<String>,
    /// The environment variable from which Envoy reads the issuer's shared secret
    #[arg(long, value_name = "NAME", requires = "issuer")]
    secret_env: Option<String>,
    /// Set the URL of an upstream; replaces the URL in the file; can be repeated
    #[arg(long = "upstream", value_name = "NAME=URL", value_parser = PrivateArgument(gateway::assignment))]
    upstreams: Vec<(String, String)>,
    /// The name of an unknown key to leave out; other unknown keys make import refuse the file; can be repeated
    #[arg(long = "ignore-key", value_name = "KEY")]
    ignored_keys: Vec<String>,
}

/// The content of the imported file, in the form of a gateway document.
#[derive(Default)]
struct Imported {
    issuer: Option<Value>,
    identity_headers: Option<Value>,
    cors: Option<Value>,
    upstreams: Map<String, Value>,
    public_paths: Vec<Value>,
    routes: Vec<Value>,
    /// Parts of the result, such as `routes[2]`, each with the location in the imported file from which it was read.
    origins: Vec<(String, Place)>,
}

/// The command-line options that the readers of the file formats need.
struct ImportContext<'o> {
    has_issuer: bool,
    upstreams: &'o [(String, String)],
}

/// The converted document and the notes for the user.
struct Import {
    document: Value,
    /// Whether a route needs a token, but neither the file nor the options define an issuer.
    lacks_issuer: bool,
    warnings: Vec<Problem>,
}

/// Reads the file and prints the converted document.
pub fn run(options: &ImportOptions) -> Result<ToolOutcome, Failure> {
    let text = gateway::read(&options.file)?;
    let in_file = |problem| Failure::Problems(vec![(options.file.clone(), problem)]);
    // A Kubernetes manifest can have several documents. The error for its format is more useful than an error about the number of
    // documents, so it comes first.
    for root in &yaml::read_all(&text).map_err(in_file)? {
        refuse_unsupported(root).map_err(in_file)?;
    }
    let root = yaml::read(&text).map_err(in_file)?;
    let issuer = issuer_from_options(options)?;
    let import = import(&root, issuer, options).map_err(|findings| refused(options, findings))?;
    let mut result = format!("# Imported from {} by `portcullis import`.\n", printable::one_line(&options.file));
    if import.lacks_issuer {
        result.push_str(NO_ISSUER);
    }
    result.push_str(&yaml_emitter::yaml(&import.document));
    let notes = import.warnings.iter().map(|warning| note(&options.file, warning)).collect();
    Ok(ToolOutcome { result: Output::Whole(result), notes, exit: Exit::Success })
}

fn import(root: &Node, issuer: Option<Value>, options: &ImportOptions) -> Result<Import, Findings> {
    let refused = |problem| Findings { problems: vec![problem], warnings: Vec::new() };
    refuse_unsupported(root).map_err(refused)?;
    let reader = ImportReader::new(root, &options.ignored_keys);
    let context = ImportContext { has_issuer: issuer.is_some(), upstreams: &options.upstreams };
    let mut imported = if root.get("paths").is_some() {
        serverless::read(&reader.root(), &context)
    } else {
        routes_yaml::read(&reader.root(), &context)
    };
    let mut findings = reader.finish();
    if findings.problems.is_empty() && imported.routes.is_empty() && imported.public_paths.is_empty() {
        findings.problems.push(problem_of(root, "there is nothing to import: the file has no paths".to_string()));
    }
    if !findings.problems.is_empty() {
        return Err(findings);
    }
    for (name, url) in &options.upstreams {
        imported.upstreams.insert(name.clone(), json!({ "url": url }));
    }
    let issuer = issuer.or(imported.issuer.take());
    let needs_tokens = imported.routes.iter().any(|route| route.get("auth").is_none());
    let lacks_issuer = needs_tokens && issuer.is_none();
    if lacks_issuer {
        findings.warnings.insert(0, Problem { place: Place::default(), message: LACKS_ISSUER.to_string() });
    }
    let origins = std::mem::take(&mut imported.origins);
    let document = document(imported, issuer);
    findings.problems = verify_result::problems(&document, &origins);
    if !findings.problems.is_empty() {
        return Err(findings);
    }
    findings.warnings.sort_by(|a, b| a.place.cmp(&b.place));
    Ok(Import { document, lacks_issuer, warnings: findings.warnings })
}

/// Refuses a file in an unknown format. Otherwise, the result would be an empty document, which looks like a success.
fn refuse_unsupported(root: &Node) -> Result<(), Problem> {
    let is_known = ["paths", "routes", "public_paths"].iter().any(|key| root.get(key).is_some());
    let unknown =
        || (!is_known).then(|| format!("this is not a file that import can read; {}", unsupported_formats::SUPPORTED));
    match unsupported_formats::refusal(root).or_else(unknown) {
        Some(message) => Err(problem_of(root, message)),
        None => Ok(()),
    }
}

fn problem_of(root: &Node, message: String) -> Problem {
    Problem { place: Place { line: root.at.line, column: root.at.column, path: String::new() }, message }
}

/// Returns all problems and warnings for a file that cannot be imported, in file order.
fn refused(options: &ImportOptions, findings: Findings) -> Failure {
    let warning = |found: Problem| Problem { message: format!("warning: {}", found.message), ..found };
    let mut all = findings.problems;
    all.extend(findings.warnings.into_iter().map(warning));
    all.sort_by(|a, b| a.place.cmp(&b.place));
    Failure::Problems(all.into_iter().map(|problem| (options.file.clone(), problem)).collect())
}

/// Formats a warning as `file:line:col: path: warning: message`.
fn note(file: &str, warning: &Problem) -> String {
    match warning.place.line {
        0 => format!("{file}: warning: {}", warning.message),
        _ => format!("{file}:{}: warning: {}", warning.place, warning.message),
    }
}

impl Imported {
    /// Adds a route, and records the item from which it was read.
    fn route(&mut self, route: Value, item: &ImportValue<'_, '_>) {
        self.origin(&format!("routes[{}]", self.routes.len()), item);
        self.routes.push(route);
    }

    /// Records the location from which a part of the result was read.
    fn origin(&mut self, part: &str, item: &ImportValue<'_, '_>) {
        self.origins.push((part.to_string(), item.place.clone()));
    }
}

impl ImportContext<'_> {
    /// Returns whether `--upstream` sets the URL of this upstream.
    fn is_declared(&self, name: &str) -> bool {
        self.upstreams.iter().any(|(known, _)| known == name)
    }
}

/// Reads a path that the filter's route table accepts, and returns it in canonical spelling. Any other syntax is reported as a
/// problem.
fn pattern(item: &ImportValue<'_, '_>) -> Option<String> {
    let text = item.text()?;
    match RoutePattern::parse(text) {
        Ok(pattern) => Some(pattern.spelling()),
        Err(fault) => {
            item.problem(fault.to_string());
            None
        }
    }
}

/// Refuses a path without a token requirement if it has an unneeded percent escape. If the imported gateway does not decode the
/// escape, it sends requests for the decoded path to another route, which might need a token.
fn refuse_needless_escape(item: &ImportValue<'_, '_>, pattern: &str) {
    let Some(text) = item.text() else { return };
    // Only escapes of ASCII characters can be unneeded, because clients must escape all other characters.
    let escapes = |text: &str| percent_escapes(text).filter(u8::is_ascii).count();
    if escapes(text) != escapes(pattern) {
        item.problem(format!(
            "`{text}` needs no token and has an unneeded escape: this gateway reads it as `{pattern}`, but the imported gateway might read another path; write `{pattern}`"
        ));
    }
}

fn percent_escapes(text: &str) -> impl Iterator<Item = u8> {
    text.split('%').skip(1).filter_map(|after| percent::byte(after.get(..2)?))
}

/// Reads one method or a non-empty list of methods. The inner `None` means all methods.
#[expect(clippy::option_option, reason = "the outer `None` means that a problem was reported")]
fn methods(item: &ImportValue<'_, '_>) -> Option<Option<Value>> {
    let methods = item.texts()?;
    if methods.is_empty() {
        // An empty list is refused, because the imported route would accept every method.
        item.problem("expected a method, found an empty list");
        return None;
    }
    if methods.contains(&ANY) {
        return Some(None);
    }
    let faults: Vec<String> =
        methods.iter().filter_map(|method| Some(Method::parse(method).err()?.to_string())).collect();
    if !faults.is_empty() {
        item.problem(faults.join("; "));
        return None;
    }
    Some(Some(if let [method] = methods.as_slice() { json!(method) } else { json!(methods) }))
}

/// Returns whether a pattern matches a path. The path has no parameters, and both are in canonical spelling.
fn matches(pattern: &str, path: &str) -> bool {
    let mut path = path.split('/');
    for segment in pattern.split('/') {
        match path.next() {
            Some(found) if segment == "{.+}" => return !found.is_empty() || path.next().is_some(),
            Some(found) if found == segment || segment.starts_with('{') && !found.is_empty() => {}
            _ => return false,
        }
    }
    path.next().is_none()
}

fn document(imported: Imported, issuer: Option<Value>) -> Value {
    let mut document = json!({ "version": "1.0", "routes": imported.routes });
    let sections = [
        ("issuers", issuer.map(|issuer| json!([issuer]))),
        ("identity_headers", imported.identity_headers),
        ("cors", imported.cors),
        ("upstreams", (!imported.upstreams.is_empty()).then_some(Value::Object(imported.upstreams))),
        ("public_paths", (!imported.public_paths.is_empty()).then_some(Value::Array(imported.public_paths))),
    ];
    if let Some(members) = document.as_object_mut() {
        members.extend(sections.into_iter().filter_map(|(key, value)| Some((key.to_string(), value?))));
    }
    document
}

/// Returns the issuer in the command-line options, which replaces the issuer of the file.
fn issuer_from_options(options: &ImportOptions) -> Result<Option<Value>, Failure> {
    let Some(issuer) = &options.issuer else { return Ok(None) };
    if options.audiences.is_empty() {
        return Err(Failure::Message(
            "--issuer needs an --audience: without one, tokens for any audience would be accepted".to_string(),
        ));
    }
    let mut value = json!({ "name": ISSUER, "issuer": issuer, "audiences": options.audiences });
    let key = match (&options.jwks_uri, &options.secret_env) {
        (Some(uri), _) => ("jwks", json!({ "uri": uri, "cluster": format!("{ISSUER}-keys") })),
        (None, Some(name)) => ("secret", json!({ "env": name })),
        (None, None) => return Err(Failure::Message("--issuer needs --jwks-uri or --secret-env".to_string())),
    };
    if let Some(members) = value.as_object_mut() {
        members.insert(key.0.to_string(), key.1);
    }
    Ok(Some(value))
}

/// The name of the issuer in the result. The formats of other gateways have one issuer without a name.
const ISSUER: &str = "accounts";
/// The word for all methods in both file formats that `import` reads.
const ANY: &str = "ANY";
const LACKS_ISSUER: &str = "some routes need a token, but no issuer is declared: `check` refuses the document until it declares one (--issuer, --audience, and --jwks-uri or --secret-env)";

const NO_ISSUER: &str = "#\n# PROBLEM: some routes below need a token, but no issuer is declared. Declare one under `issuers`;\n\
# until then `portcullis check` refuses this document, and so does the filter.\n";
