//! `portcullis generate`: the proxy's configuration around the filter, the same text for the same document every time.

mod access_log;
mod clusters;
mod envoy;
mod filter;
mod listener;
mod local_reply;

use clap::{Args, Subcommand, ValueEnum};

use super::gateway::{self, Variables};
use super::{Exit, Failure, Outcome, emit};
use crate::config::problem::Problems;

/// What `generate` is asked to do.
#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    target: Target,
}

#[derive(Subcommand)]
enum Target {
    /// An Envoy bootstrap with a listener, the filter, and a cluster for each upstream and each key set
    Envoy(EnvoyOptions),
}

/// What an Envoy configuration needs to know beyond the document.
#[derive(Args)]
pub struct EnvoyOptions {
    /// The gateway's document
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
    /// No admin interface at all
    #[arg(long)]
    no_admin: bool,
    /// The filter's file, as Envoy finds it
    #[arg(long, value_name = "PATH", default_value = "dist/portcullis.wasm")]
    wasm: String,
    /// How the document is embedded
    #[arg(long, value_enum, default_value = "json")]
    embed: Form,
    /// How many proxies in front of this one add to X-Forwarded-For and can be believed
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    trusted_hops: u32,
    /// The certificates that TLS to upstreams and key endpoints trusts
    #[arg(long, value_name = "PATH", default_value = "/etc/ssl/certs/ca-certificates.crt")]
    ca_file: String,
    /// The heap beyond which new requests are refused, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    max_heap_mib: u64,
    /// How many client connections may be open at a time
    #[arg(long, value_name = "COUNT", default_value_t = 50_000)]
    max_connections: u64,
    #[command(flatten)]
    variables: Variables,
}

/// The form in which the plugin receives the document.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A StringValue of compact JSON
    Json,
    /// A Struct: plain YAML inside the Envoy file
    Struct,
}

/// Writes the configuration.
pub fn run(options: &Options) -> Result<Outcome, Failure> {
    let Target::Envoy(options) = &options.target;
    let gateway = gateway::open(&options.file, &options.variables)?;
    let mut problems = Problems::default();
    let bootstrap = envoy::bootstrap(&gateway.document, &gateway.configuration, options, &mut problems);
    if !problems.is_empty() {
        let found = problems.sorted().into_iter().map(|problem| (options.file.clone(), problem));
        return Err(Failure::Problems(found.collect()));
    }
    let notes =
        gateway.unset.iter().map(|name| format!("{}: note: Envoy needs `{name}` in its environment", options.file));
    let heading =
        format!("# Written by `portcullis generate envoy {}`; change that file, not this one.\n", options.file);
    Ok(Outcome { result: heading + &emit::yaml(&bootstrap), notes: notes.collect(), exit: Exit::Success })
}
