//! A real authorization server that shares no code with this project: the npm package `oidc-provider`, run under Node.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::envoy;

/// A running authorization server. It stops on drop.
#[derive(Debug)]
pub struct Provider {
    child: Child,
    /// The issuer URL of the server, which is also its address.
    pub issuer: String,
}

impl Provider {
    /// Starts an authorization server with these clients. The server signs tokens for one resource with ES256. If `tls` contains
    /// a PEM certificate and its key, the server uses TLS.
    pub fn start(clients: &Value, resource: &str, tls: Option<(&str, &str)>) -> Result<Self> {
        let tls = tls.map(|(cert, key)| json!({ "cert": cert, "key": key }));
        let job = json!({ "clients": clients, "resource": resource, "tls": tls });
        let mut command = Command::new("node");
        command.arg(envoy::root().join("test-harness/browser/provider.mjs")).arg(job.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().context("Node cannot be started: run `make browser`")?;
        let stdout = child.stdout.take().context("the provider has no standard output")?;
        let mut provider = Self { child, issuer: String::new() };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        line.trim_end().clone_into(&mut provider.issuer);
        ensure!(provider.issuer.starts_with("http"), "the provider did not start: run `make browser`");
        Ok(provider)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // The error is ignored, because the process may have exited already.
        let _gone = self.child.kill().and_then(|()| self.child.wait().map(drop));
    }
}
