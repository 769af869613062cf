//! Generates the Envoy configuration like users do: it runs the product's command line as a process.

use std::path::Path;

use anyhow::Result;

use crate::certificate::Certificates;
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
    /// The form in which the configuration contains the document: `json` or `struct`.
    pub embed: &'a str,
    /// The number of trusted proxies in front of Envoy. They report the client's address.
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
        let arguments = ["generate", "envoy", &document, "--wasm", &module, "--port", &port, "--admin-port", &admin];
        let hops = self.trusted_hops.to_string();
        let (major, minor) = envoy::version()?;
        let version = format!("{major}.{minor}");
        let further = ["--embed", self.embed, "--trusted-hops", &hops, "--envoy-version", &version];
        let mut arguments: Vec<String> = arguments.into_iter().chain(further).map(str::to_owned).collect();
        arguments.extend(self.tls.iter().flat_map(|certificates| certificates.arguments()));
        program::output(&arguments, env)
    }
}
