//! Tests a revocation during traffic: each worker refuses the revoked token and still accepts other tokens.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use test_harness::case::CaseFile;
use test_harness::client;
use test_harness::clock::Deadline;
use test_harness::stage::Stage;
use test_harness::{envoy, ports};

#[test]
fn a_revocation_under_load_reaches_every_worker_and_affects_no_other_caller() -> Result<()> {
    let mut file: CaseFile = serde_saphyr::from_str(FILE).context("the file of tests/revoked.rs")?;
    let cases = std::mem::take(&mut file.cases);
    let mut stage = Stage::set(&file, &envoy::module()?)?;
    let [revoked, other] = cases.as_slice() else { anyhow::bail!("FILE must have two cases") };
    let (revoked, other) = (stage.scene.request(revoked)?, stage.scene.request(other)?);
    let to = ports::loopback(stage.port);
    let send = |request: &client::Request| Ok::<u16, anyhow::Error>(client::send(to, request, PATIENCE)?.status);
    let documents = stage.scene.issuer.documents.clone();
    for _ in 0..ROUND {
        ensure!(send(&revoked)? == 200 && send(&other)? == 200, "a token was refused before the revocation");
    }
    let changed = AtomicBool::new(false);
    let rounds: Result<Vec<usize>> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| load(&send, &revoked, &other, &changed))).collect();
        let list = serde_json::json!({ "version": "1.0", "revoked": [{ "jti": "one" }] });
        changed.store(true, Ordering::Release);
        documents.publish("/documents/revocations", list);
        clients.into_iter().map(|client| client.join().map_err(|_| anyhow::anyhow!("a client panicked"))?).collect()
    });
    let rounds = rounds?;
    ensure!(
        rounds.iter().all(|passed| *passed > 0),
        "a client sent no request before the revocation took effect: {rounds:?}"
    );
    let unchanged =
        Deadline::after(PATIENCE).poll(|| (documents.unchanged("/documents/revocations") >= 2).then_some(()));
    ensure!(unchanged.is_some(), "the issuer did not answer 304 for the unchanged list");
    stage.filter_never_failed()
}

/// Sends both requests until every worker is likely to have refused the revoked one. Returns how often the revoked request passed
/// before that.
fn load(
    send: &(impl Fn(&client::Request) -> Result<u16> + Sync),
    revoked: &client::Request,
    other: &client::Request,
    changed: &AtomicBool,
) -> Result<usize> {
    let (mut passed, mut refused_in_turn) = (0, 0);
    let deadline = Deadline::after(PATIENCE);
    while refused_in_turn < ROUND {
        match send(revoked)? {
            200 => (passed, refused_in_turn) = (passed + 1, 0),
            401 => {
                ensure!(changed.load(Ordering::Acquire), "the token was refused before it was revoked");
                refused_in_turn += 1;
            }
            status => anyhow::bail!("{status} for the revoked token"),
        }
        let status = send(other)?;
        ensure!(status == 200, "{status} for a token that is not revoked");
        ensure!(!deadline.passed(), "the revocation did not reach every worker");
    }
    Ok(passed)
}

const ROUND: usize = 20;
const CLIENTS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(20);
const FILE: &str = r#"
about: A revocation under load.
policy:
  version: "1.0"
  issuers:
    - { name: accounts, issuer: "${ISSUER}", audiences: [orders-api], jwks: { uri: "${JWKS}", cluster: issuer } }
  revocation: { uri: "${DOCUMENT.revocations}", cluster: issuer, poll: 1s }
  upstreams: { orders: { url: "${UPSTREAM.orders}" } }
  routes: [{ path: /orders, upstream: orders }]
documents: { revocations: { version: "1.0", revoked: [] } }
cases:
  - { name: revoked, request: { path: /orders, token: { key: ed-1, claims: { jti: one } } }, expect: { status: 200 } }
  - { name: other, request: { path: /orders, token: { key: ed-1, claims: { jti: two } } }, expect: { status: 200 } }
"#;
