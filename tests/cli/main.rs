//! Tests the output and the exit codes of the command line, which runs as a separate process.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic in a helper fails the test")]

mod check;
mod clients;
mod explain;
mod generate;
mod import;
mod keys;
mod permission;
mod printing;
mod reading;
mod revocation;
mod secrets;
mod token;
mod who_can;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const GATEWAY: &str = r#"version: "1.0"
issuers:
  - name: accounts
    issuer: https://auth.example.com/
    audiences: [orders-api]
    algorithms: [RS256]
    jwks: { uri: https://auth.example.com/jwks.json, cluster: auth }
  - name: legacy
    issuer: eloquent-gateway
    audiences: [eloquent-api]
    secret: { env: PORTCULLIS_TEST_SECRET }
identity_headers: { X-Org-ID: org_id }
upstreams:
  orders: { url: $PORTCULLIS_TEST_ORDERS }
  files: { url: "https://10.0.0.7:8443/base" }
audit: { to: access_log }
routes:
  - { path: /health, auth: none, response: { body: { status: ok } } }
  - { path: "/orders/{id}", method: GET, upstream: orders, scopes: [read:orders], timeout: 3s }
  - { path: "/files/{.+}", upstream: files, strip_prefix: true, auth: optional }
"#;

/// A separate directory with the files of one test.
struct Bench(PathBuf);

impl Bench {
    fn new(name: &str) -> Bench {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let bench = Bench(directory);
        bench.write("gateway.yaml", GATEWAY);
        bench
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }

    /// Returns the output of another program, which must succeed, or `None` if the program is not installed.
    fn tool(&self, program: &str, arguments: &[&str]) -> Option<String> {
        let output = Command::new(program).args(arguments).current_dir(&self.0).output().ok()?;
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8(output.stdout).unwrap())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.current_dir(&self.0).args(arguments).stdin(Stdio::null());
        command.env("PORTCULLIS_TEST_ORDERS", "http://orders.internal:8080").env_remove("PORTCULLIS_TEST_SECRET");
        command
    }

    fn run(&self, arguments: &[&str]) -> CommandOutput {
        CommandOutput::from(self.command(arguments).output().unwrap())
    }
}

struct CommandOutput {
    code: i32,
    out: String,
    err: String,
}

impl From<Output> for CommandOutput {
    fn from(output: Output) -> CommandOutput {
        CommandOutput {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
