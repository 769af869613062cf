//! Tests the refresh, outage and expiry of a key set in a real Envoy, with short lifetimes.

use std::time::Duration;

use anyhow::{Context, Result};
use test_harness::case::{Case, CaseFile};
use test_harness::client;
use test_harness::clock::{self, Deadline};
use test_harness::issuer::{Fault, KEY_SET_PATH};
use test_harness::stage::Stage;
use test_harness::{envoy, ports};

#[test]
fn one_worker_refreshes_keys_for_all_and_removed_keys_are_dropped() {
    let mut fixture = RefreshFixture::begin("1d").unwrap();
    assert_eq!(fixture.statuses(0).unwrap(), [200; ROUND]);
    fixture.stage.scene.issuer.publish(&["rsa-2"]);
    let (began, before) = (clock::unix_seconds(), fixture.fetches());
    fixture.until(0, 401).unwrap();
    assert_eq!(fixture.statuses(1).unwrap(), [200; ROUND], "the refresh must bring the new key");
    fixture.stage.scene.issuer.publish(&["rsa-1", "rsa-2"]);
    fixture.until(0, 200).unwrap();
    let seconds = usize::try_from(clock::unix_seconds() - began + 1).unwrap();
    let fetches = fixture.fetches() - before;
    // The gateway must wait at least 0.8 seconds between two fetches, regardless of the number of workers.
    assert!(fetches <= seconds * 5 / 4 + 2, "{fetches} fetches within {seconds} seconds");
    fixture.stage.filter_never_failed().unwrap();
}

#[test]
fn a_not_modified_response_renews_the_document() {
    let mut fixture = RefreshFixture::begin("2s").unwrap();
    assert_eq!(fixture.statuses(0).unwrap(), [200; ROUND]);
    let documents = fixture.stage.scene.issuer.documents.clone();
    let sent = || documents.requests(KEY_SET_PATH) - documents.unchanged(KEY_SET_PATH);
    let began = clock::unix_seconds();
    let many = Deadline::after(PATIENCE).poll(|| (documents.unchanged(KEY_SET_PATH) >= 6).then_some(()));
    assert!(
        many.is_some() && clock::unix_seconds() - began >= 4,
        "the responses with 304 must continue for longer than `stale_for`"
    );
    assert_eq!(fixture.statuses(0).unwrap(), [200; ROUND]);
    assert_eq!(sent(), 1, "the full key set must be sent only once");
    fixture.stage.scene.issuer.publish(&["rsa-2"]);
    fixture.until(0, 401).unwrap();
    assert_eq!(fixture.statuses(1).unwrap(), [200; ROUND]);
    assert_eq!(sent(), 2);
    fixture.stage.filter_never_failed().unwrap();
}

#[test]
fn an_outage_is_tolerated_for_the_configured_time_and_ends() {
    let mut fixture = RefreshFixture::begin("3s").unwrap();
    assert_eq!(fixture.statuses(0).unwrap(), [200; ROUND]);
    fixture.stage.scene.issuer.fail(Fault::Error);
    let began = clock::unix_seconds();
    fixture.until(0, 503).unwrap();
    assert!(clock::unix_seconds() - began >= 2, "the gateway stopped using the keys before `stale_for` ended");
    assert_eq!(
        fixture.statuses(2).unwrap(),
        [503; ROUND],
        "without keys, the gateway must answer a forged token with 503"
    );
    fixture.stage.scene.issuer.fail(Fault::None);
    fixture.until(0, 200).unwrap();
    assert_eq!(fixture.statuses(2).unwrap(), [401; ROUND]);
    fixture.stage.filter_never_failed().unwrap();
}

struct RefreshFixture {
    stage: Stage,
    cases: Vec<Case>,
}

impl RefreshFixture {
    fn begin(stale_for: &str) -> Result<RefreshFixture> {
        let file = FILE.replace("STALE_FOR", stale_for);
        let mut file: CaseFile = serde_saphyr::from_str(&file).context("the file of tests/refresh.rs")?;
        let cases = std::mem::take(&mut file.cases);
        Ok(RefreshFixture { stage: Stage::set(&file, &envoy::module()?)?, cases })
    }

    /// Sends the request of one case several times, so that every worker is likely to answer.
    fn statuses(&self, case: usize) -> Result<Vec<u16>> {
        let case = self.cases.get(case).context("there is no such case")?;
        let request = self.stage.scene.request(case)?;
        let send = || Ok(client::send(ports::loopback(self.stage.port), &request, PATIENCE)?.status);
        (0..ROUND).map(|_| send()).collect()
    }

    /// Waits until [`ROUND`] consecutive requests of one case get this status.
    fn until(&self, case: usize, status: u16) -> Result<()> {
        let all = || self.statuses(case).ok().filter(|got| got.iter().all(|got| *got == status));
        Deadline::after(PATIENCE).poll(all).with_context(|| format!("the requests did not get {status} in time"))?;
        Ok(())
    }

    fn fetches(&self) -> usize {
        self.stage.scene.issuer.requests(KEY_SET_PATH)
    }
}

const ROUND: usize = 10;
const PATIENCE: Duration = Duration::from_secs(20);
const FILE: &str = r#"
about: Keys with short lifetimes.
policy:
  version: "1.0"
  issuers:
    - name: accounts
      issuer: ${ISSUER}
      audiences: [orders-api]
      jwks: { uri: "${JWKS}", cluster: issuer, fresh_for: 1s, stale_for: STALE_FOR, cool_down: 1s, timeout: 500ms, wait: 100ms }
  upstreams: { orders: { url: "${UPSTREAM.orders}" } }
  routes: [{ path: /orders, upstream: orders }]
publish: [rsa-1]
cases:
  - { name: first, request: { path: /orders, token: { key: rsa-1 } }, expect: { status: 200 } }
  - { name: second, request: { path: /orders, token: { key: rsa-2 } }, expect: { status: 200 } }
  - { name: forged, request: { path: /orders, token: { key: rsa-1, tamper: signature } }, expect: { status: 401 } }
"#;
