//! Generates the Envoy configuration as users do: it runs the command `portcullis generate envoy`.

use std::path::Path;

use anyhow::Result;

use crate::certificate::Certificates;
use crate::envoy::Host;
use crate::{envoy, program};

/// The inputs of `portcullis generate envoy`.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The gateway's document.
    pub document: &'a Path,
    /// The port that Envoy listens on.
    pub port: u16,
    /// The port of Envoy's admin interface.
    pub admin: u16,
    /// The path of the filter's module.
    pub module: &'a Path,
    /// The format of the gateway's document in the Envoy configuration: `json` or `struct`.
    pub embed: &'a str,
    /// The number of trusted proxies in front of Envoy. These proxies report the client's address in `x-forwarded-for`.
    pub trusted_hops: u32,
    /// The certificates of the listener. With `None`, the listener accepts plaintext HTTP.
    pub tls: Option<&'a Certificates>,
}

impl Wanted<'_> {
    /// Runs `portcullis generate envoy` with these environment variables and returns the Envoy configuration.
    pub fn generate(&self, env: &[(String, String)]) -> Result<String> {
        let text = |path: &Path| path.display().to_string();
        let (document, module) = (text(self.document), text(self.module));
        let (port, admin) = (self.port.to_string(), self.admin.to_string());
        let (host, option) = options(Host::of(self.module));
        let arguments =
            ["generate", "envoy", &document, "--host", host, option, &module, "--port", &port, "--admin-port", &admin];
        let hops = self.trusted_hops.to_string();
        let (major, minor) = envoy::version()?;
        let version = format!("{major}.{minor}");
        let further = ["--embed", self.embed, "--trusted-hops", &hops, "--envoy-version", &version];
        let mut arguments: Vec<String> = arguments.into_iter().chain(further).map(str::to_owned).collect();
        arguments.extend(self.tls.iter().flat_map(|certificates| certificates.arguments()));
        program::output(&arguments, env)
    }
}

/// Returns the value of `--host` of `portcullis generate envoy`, and the option with the path of the module.
pub fn options(host: Host) -> (&'static str, &'static str) {
    match host {
        Host::Wasm => ("wasm", "--wasm"),
        Host::DynamicModule => ("dynamic-module", "--dynamic-module"),
    }
}
