//! Creates, rotates and revokes API keys with `portcullis keys`, and checks that a real Envoy enforces each change.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use test_harness::case::CaseFile;
use test_harness::client::{self, Request};
use test_harness::clock::Deadline;
use test_harness::stage::Stage;
use test_harness::{envoy, ports, program};

/// A folder with the gateway's document and the client document, and a running gateway that fetches the client document.
struct KeysFixture {
    stage: Stage,
    folder: PathBuf,
}

impl KeysFixture {
    fn set() -> Result<KeysFixture> {
        let file: CaseFile = serde_saphyr::from_str(FILE).context("the file of tests/keys.rs")?;
        let stage = Stage::set(&file, &envoy::module()?)?;
        let folder = envoy::fresh_folder()?;
        std::fs::write(folder.join("gateway.json"), stage.scene.policy.to_string())?;
        std::fs::write(folder.join("clients.json"), CLIENTS)?;
        let fixture = KeysFixture { stage, folder };
        fixture.publish()?;
        Ok(fixture)
    }

    /// Runs `portcullis keys`, which changes the client document, and publishes the document. Returns the created key, if any.
    fn keys(&self, action: &str, arguments: &[&str]) -> Result<String> {
        let common = ["clients.json", "--gateway", "gateway.json", "--by", "admin", "--reason", "a test"];
        let mut command = Command::new(program::program()?);
        command.current_dir(&self.folder).args(["keys", action]).args(common).args(arguments).stdin(Stdio::null());
        let output = command.output()?;
        ensure!(output.status.success(), "keys {action}: {}", String::from_utf8_lossy(&output.stderr));
        self.publish()?;
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// Publishes the client document and waits for two fetches. Before the second fetch, every worker has applied the result of
    /// the first.
    fn publish(&self) -> Result<()> {
        let documents = &self.stage.scene.issuer.documents;
        let text = std::fs::read_to_string(self.folder.join("clients.json"))?;
        documents.publish(PUBLISHED, serde_json::from_str(&text)?);
        let before = documents.requests(PUBLISHED);
        let polled = Deadline::after(PATIENCE).poll(|| (documents.requests(PUBLISHED) >= before + 2).then_some(()));
        polled.context("the gateway did not fetch the client document twice in time")
    }

    fn status(&self, key: &str) -> Result<u16> {
        let request = Request::new("GET", "/orders", "api.example.com").header("x-api-key", key);
        Ok(client::send(ports::loopback(self.stage.port), &request, PATIENCE)?.status)
    }

    /// Checks the status of several requests, so that every worker is likely to answer one.
    fn everywhere(&self, key: &str, status: u16) -> Result<()> {
        for _ in 0..ROUND {
            let got = self.status(key)?;
            ensure!(got == status, "status {got} instead of {status}\n{}", self.stage.envoy.log_tail(10));
        }
        Ok(())
    }
}

impl Drop for KeysFixture {
    fn drop(&mut self) {
        let _left = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn every_worker_applies_a_created_rotated_and_revoked_key() -> Result<()> {
    let mut fixture = KeysFixture::set()?;
    let first = fixture.keys("create", &["--client", "nightly", "--expires", "30d"])?;
    fixture.everywhere(&first, 200)?;
    let next = fixture.keys("rotate", &["--client", "nightly", "--expires", "60d", "--overlap", "1d"])?;
    ensure!(first != next, "the new key is the same as the old key");
    fixture.everywhere(&first, 200)?;
    fixture.everywhere(&next, 200)?;
    let of_first = first.rsplit_once('_').context("no key")?.0;
    fixture.keys("revoke", &["--key", of_first])?;
    fixture.everywhere(&first, 401)?;
    fixture.everywhere(&next, 200)?;
    let last = fixture.keys("rotate", &["--client", "nightly", "--expires", "60d", "--overlap", "0s"])?;
    fixture.everywhere(&next, 401)?;
    fixture.everywhere(&last, 200)?;
    let trail = std::fs::read_to_string(fixture.folder.join("clients.audit.jsonl"))?;
    ensure!(trail.lines().count() == 4, "{trail}");
    for key in [&first, &next, &last] {
        let secret = key.rsplit('_').next().unwrap_or_default();
        ensure!(!trail.contains(secret), "the audit trail contains a key");
        let written = fixture.stage.envoy.lines().into_iter().find(|line| line.contains(secret));
        ensure!(written.is_none(), "a log line contains a key: {written:?}");
    }
    fixture.stage.filter_never_failed()
}

const PUBLISHED: &str = "/documents/clients";
const ROUND: usize = 10;
const PATIENCE: Duration = Duration::from_secs(20);
const CLIENTS: &str = r#"{
  "version": "1.0",
  "clients": [
    { "id": "nightly", "owner": "payments@example.com", "purpose": "settles orders" }
  ]
}
"#;
const FILE: &str = r#"
about: The life of an API key.
policy:
  version: "1.0"
  environment: test
  api_keys: { from: [{ header: X-API-Key }] }
  clients_from: { uri: "${DOCUMENT.clients}", cluster: issuer, poll: 1s }
  upstreams: { orders: { url: "${UPSTREAM.orders}" } }
  routes: [{ path: /orders, upstream: orders, auth: { any_of: [api_key] } }]
documents: { clients: { version: "1.0", clients: [] } }
cases: []
"#;
