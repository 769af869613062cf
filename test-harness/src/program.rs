//! Runs the `portcullis` command line, which the first call builds so that no test runs an outdated version.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use crate::envoy;

/// Runs `portcullis` with these arguments and additional environment variables. Returns its standard output, or an error if it
/// fails.
pub fn output(arguments: &[String], env: &[(String, String)]) -> Result<String> {
    let mut command = Command::new(program()?);
    let output = command.current_dir(envoy::root()).args(arguments).envs(env.iter().cloned()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "portcullis {}:\n{}", arguments.join(" "), said.trim_end());
    Ok(String::from_utf8(output.stdout)?)
}

/// Returns the document that `portcullis import` creates from another gateway's file.
pub fn import(file: &str, arguments: &[String]) -> Result<Value> {
    let all = [&["import".to_owned(), file.to_owned()], arguments].concat();
    serde_saphyr::from_str(&output(&all, &[])?).context("the imported document cannot be read")
}

/// Builds the command line on the first call and returns its path.
pub fn program() -> Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.as_deref().map_err(|why| anyhow!("{why}"))
}

fn build() -> Result<PathBuf> {
    let target = envoy::root().join("target");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(envoy::root()).args(["build", "--quiet", "--package", "portcullis", "--bin", "portcullis"]);
    let output = command.arg("--target-dir").arg(&target).output().context("cannot run cargo")?;
    ensure!(output.status.success(), "portcullis cannot be built:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(target.join("debug/portcullis"))
}
