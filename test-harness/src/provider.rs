//! A real authorization server, npm's `oidc-provider` under Node, which shares no code with this project; stopped when dropped.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::envoy;

/// A running server.
#[derive(Debug)]
pub struct Provider {
    child: Child,
    /// Its issuer, and its address.
    pub issuer: String,
}

impl Provider {
    /// Starts one that knows these clients, and signs tokens for one resource by ES256. With `tls`, a certificate and its key in PEM, it
    /// speaks that.
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
        // It may have ended already; there is nobody left to tell.
        let _gone = self.child.kill().and_then(|()| self.child.wait().map(drop));
    }
}
