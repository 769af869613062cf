//! `portcullis generate`: writes an Envoy configuration that runs the filter; equal input always produces equal output.

mod access_log;
mod address;
mod clusters;
mod condition;
mod envoy;
mod filter;
mod listener;
mod local_reply;
mod removed_headers;
mod tls;
mod traffic;
mod version;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::gateway::{GatewayFile, Variables};
use super::module::Module;
use super::yaml_scalar::Loader;
use super::{Exit, Failure, Output, ToolOutcome, gateway, yaml_emitter, yaml_scalar};
use crate::config::problem::Problems;
use crate::policy::pipeline::rule::RouteAction;
use crate::policy::request::route::{Method, RouteMatch};
use crate::printable;
use tls::TlsOptions;
use traffic::TrafficOptions;
use version::EnvoyVersion;

/// The subcommands of `generate`.
#[derive(Subcommand)]
pub enum GenerateTarget {
    /// An Envoy bootstrap with a listener, the filter, and clusters for upstreams, fetched documents and the rate limit service
    Envoy(EnvoyOptions),
}

/// The settings of an Envoy configuration that are not in the gateway document.
#[derive(Args)]
pub struct EnvoyOptions {
    /// The gateway document
    #[arg(value_name = "FILE")]
    file: String,
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    address: String,
    /// The port to listen on
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The port of Envoy's admin interface on 127.0.0.1
    #[arg(long, default_value_t = 9901, conflicts_with = "no_admin")]
    admin_port: u16,
    /// Disable the admin interface
    #[arg(long)]
    no_admin: bool,
    /// The path from which Envoy loads the filter's module; documents with JSON Schemas or `jsonapi` use portcullis-full.wasm in
    /// the same directory
    #[arg(long, value_name = "PATH", default_value = "dist/portcullis.wasm")]
    wasm: String,
    /// The interface through which Envoy loads the filter
    #[arg(long, value_enum, default_value = "wasm")]
    host: FilterHost,
    /// The path of the dynamic module for Envoy; used with `--host dynamic-module`
    #[arg(long, value_name = "PATH", default_value = "dist/libportcullis.so")]
    dynamic_module: String,
    /// The form in which the configuration contains the document
    #[arg(long, value_enum, default_value = "json")]
    embed: EmbeddedForm,
    /// The number of trusted proxies in front of Envoy that append to X-Forwarded-For
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    trusted_hops: u32,
    /// A file with the CA certificates for upstreams and other servers with `https` URLs (PEM)
    #[arg(long, value_name = "PATH", default_value = "/etc/ssl/certs/ca-certificates.crt")]
    ca_file: String,
    #[command(flatten)]
    traffic: TrafficOptions,
    /// The Envoy version that will read the configuration; versions without the required features are refused
    #[arg(long, value_name = "VERSION", value_parser = version::parse, default_value_t = EnvoyVersion::NEWEST)]
    envoy_version: EnvoyVersion,
    #[command(flatten)]
    tls: TlsOptions,
    #[command(flatten)]
    variables: Variables,
}

/// The interface through which Envoy loads the filter.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FilterHost {
    /// The wasm module, in a sandbox
    Wasm,
    /// The dynamic module, which runs in Envoy's process without a sandbox (Envoy 1.38 or later)
    DynamicModule,
}

/// The form in which the plugin receives the document.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EmbeddedForm {
    /// A StringValue of compact JSON
    Json,
    /// A Struct: plain YAML inside the Envoy file
    Struct,
}

/// Generates the configuration for standard output.
pub fn run(target: &GenerateTarget) -> Result<ToolOutcome, Failure> {
    let GenerateTarget::Envoy(options) = target;
    if !options.no_admin && options.port == options.admin_port {
        let message = format!(
            "the listener and the admin interface both use port {}: choose another --port or --admin-port",
            options.port
        );
        return Err(Failure::Message(message));
    }
    if options.host == FilterHost::DynamicModule && options.envoy_version < version::LOADS_DYNAMIC_MODULES {
        let message = format!(
            "`--host dynamic-module` needs Envoy {} or later, not {}: use `--host wasm`",
            version::LOADS_DYNAMIC_MODULES,
            options.envoy_version
        );
        return Err(Failure::Message(message));
    }
    let gateway = gateway::open(&options.file, &options.variables)?;
    if options.embed == EmbeddedForm::Struct
        && let Some(number) = number_that_envoy_misreads(&gateway.configuration)
    {
        let message = format!("Envoy would read {number} as a string in a Struct: use `--embed json`");
        return Err(Failure::Message(format!("{}: {message}", options.file)));
    }
    let mut problems = Problems::default();
    let bootstrap = envoy::bootstrap(&gateway, options, &mut problems);
    removed_headers::check(&gateway, options, &mut problems);
    if !problems.is_empty() {
        let found = problems.sorted().into_iter().map(|problem| (options.file.clone(), problem));
        return Err(Failure::Problems(found.collect()));
    }
    // Lists all secrets, even those that are set for this command, because Envoy runs in another environment.
    let needed = filter::secrets(&gateway.document).into_iter();
    let needed = needed.map(|name| format!("Envoy needs `{name}` in its environment"));
    let public_paths_without_route = public_paths_without_route(&gateway)
        .map(|path| format!("`{path}` is public, but no route matches it, so Envoy refuses its requests"));
    let version = options.envoy_version.notes();
    let buffers = listener::note(&gateway, options);
    let certificates = options.tls.note(&gateway.document);
    let module = (options.host == FilterHost::Wasm).then(|| needed_module(&gateway, options)).flatten();
    let notes =
        needed.chain(public_paths_without_route).chain(module).chain(certificates).chain(buffers).chain(version);
    let notes = notes.map(|note| format!("{}: note: {note}", options.file)).collect();
    let file = printable::one_line(&options.file);
    let heading = format!("# Written by `portcullis generate envoy {file}`; change that file, not this one.\n");
    Ok(ToolOutcome { result: Output::Whole(heading + &yaml_emitter::yaml(&bootstrap)), notes, exit: Exit::Success })
}

/// Returns a note that names the full module, if the document needs that module and `--wasm` is another file.
fn needed_module(gateway: &GatewayFile, options: &EnvoyOptions) -> Option<String> {
    let reason = Module::reason(&gateway.document)?;
    match Module::Full.beside(&options.wasm) {
        Some(file) => Some(format!("the document has {reason}, so the module is {file}")),
        None if !options.wasm.ends_with(Module::Full.file()) => {
            let full = Module::Full.file();
            Some(format!("the document has {reason}, so {} must be a copy of {full}", options.wasm))
        }
        None => None,
    }
}

/// Returns the public paths whose requests no route answers or forwards to an upstream. Only additional Envoy routes could
/// forward these requests, and the generated configuration has no such routes.
fn public_paths_without_route(gateway: &GatewayFile) -> impl Iterator<Item = &str> {
    gateway.document.public_paths.iter().map(|public| public.path.value.as_str()).filter(|path| {
        let example = path.strip_suffix('*').map(|tree| format!("{tree}any"));
        let example = example.as_deref().unwrap_or(path);
        match gateway.policy.routes().find("", example, &Method::Get) {
            RouteMatch::Route { value, .. } => {
                matches!(&value.action, RouteAction::Forward(to) if to.upstream.is_none())
            }
            _ => true,
        }
    })
}

/// Returns the first number in the document that Envoy's YAML reader would read as a string.
fn number_that_envoy_misreads(value: &Value) -> Option<String> {
    match value {
        Value::Number(n) => {
            let text = n.to_string();
            yaml_scalar::reading_of_loader(&text, Loader::Envoy).map(|_| text)
        }
        Value::Array(items) => items.iter().find_map(number_that_envoy_misreads),
        Value::Object(members) => members.values().find_map(number_that_envoy_misreads),
        _ => None,
    }
}
