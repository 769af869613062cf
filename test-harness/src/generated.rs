//! The Envoy configuration as users get it: written by the product's own command line, run as a process.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::envoy;

/// What the configuration is made of.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The gateway's document.
    pub document: &'a Path,
    /// The port Envoy listens on.
    pub port: u16,
    /// The port of its admin interface.
    pub admin: u16,
    /// The filter's module.
    pub module: &'a Path,
    /// How the document is embedded: `json` or `struct`.
    pub embed: &'a str,
}

impl Wanted<'_> {
    /// Runs `portcullis generate envoy` with these variables in its environment.
    pub fn generate(&self, env: &[(String, String)]) -> Result<String> {
        let mut command = Command::new(portcullis()?);
        command.args(["generate", "envoy"]).arg(self.document).arg("--wasm").arg(self.module);
        command.args([
            "--port",
            &self.port.to_string(),
            "--admin-port",
            &self.admin.to_string(),
            "--embed",
            self.embed,
        ]);
        let output = command.current_dir(envoy::root()).envs(env.iter().cloned()).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} is refused:\n{}", self.document.display(), said.trim_end());
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// The command line's program, which cargo puts beside this one or, for a test, one folder above.
pub fn portcullis() -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    let found =
        this.ancestors().skip(1).take(2).map(|folder| folder.join("portcullis")).find(|program| program.is_file());
    found.context("the program `portcullis` is not built: run `cargo build --bin portcullis`")
}
