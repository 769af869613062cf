//! Runs a script under Node with JSON as its input and its result.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::envoy;

/// Runs `test-harness/browser/{script}` with a timeout of two minutes. The script reads `job` as JSON from its standard input
/// and prints the result as JSON.
pub fn run<T: DeserializeOwned>(script: &str, job: &Value) -> Result<T> {
    let mut node = Command::new("timeout");
    node.args(["120", "node"]).arg(envoy::root().join("test-harness/browser").join(script));
    node.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut node = node.spawn().context("Node cannot be started: run `make browser`")?;
    node.stdin.take().context("Node has no standard input")?.write_all(job.to_string().as_bytes())?;
    let output = node.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{script} ended with {}: {}", output.status, said.trim());
    serde_json::from_slice(&output.stdout).with_context(|| format!("{script} printed no valid JSON result"))
}
