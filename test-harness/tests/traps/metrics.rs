//! Tests the filter's counters as Envoy reports them in the Prometheus format.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use test_harness::clock::Deadline;
use test_harness::issuer::Fault;
use test_harness::trial::{self, Gate, Servers, bearer, get};

use crate::Trap;

pub const TRAPS: &[Trap] = &[
    ("each request is counted once, with labels from the policy only", labelled),
    ("calls are counted by their outcome", calls),
];

fn labelled() -> Result<()> {
    let servers = Servers::start()?;
    let mut policy = servers.policy();
    let limited = |name: &str, path: &str, shadow: bool| {
        let limit = json!({ "name": name, "rate": "1/h", "by": "route", "shadow": shadow });
        json!({ "path": path, "auth": "none", "response": {}, "limits": [limit] })
    };
    let routes = policy.pointer_mut("/routes").and_then(Value::as_array_mut).context("no routes")?;
    routes.extend([limited("burst", "/v1.0/limited", false), limited("watched", "/watched", true)]);
    let mut gate = Gate::with_changes(&policy, |_| Ok(()))?;
    let token = servers.token(&json!({}))?;
    // The first request waits for the keys of its issuer.
    for (request, status) in [
        (bearer(get("/orders/1"), &token), 200),
        (bearer(get("/orders/2?x=;route=forged"), &token), 200),
        (bearer(get("/reports/1"), &token), 403),
        (get("/orders/1"), 401),
        (get("/health"), 200),
        (get("/v1.0/limited"), 200),
        (get("/v1.0/limited"), 429),
        (get("/watched"), 200),
        (get("/watched"), 200),
        (get("/nowhere?x=;route=forged"), 404),
    ] {
        let answer = gate.send(&request)?;
        ensure!(answer.status == status, "{:?}: {}", request.target, answer.status);
    }
    let expected = [
        r#"portcullis_requests_total{decision="allow",route="ANY /orders/{.+}"} 2"#,
        r#"portcullis_requests_total{decision="deny",route="ANY /reports/{.+}"} 1"#,
        r#"portcullis_requests_total{decision="deny",route="ANY /orders/{.+}"} 1"#,
        r#"portcullis_requests_total{decision="answer",route="ANY /health"} 1"#,
        r#"portcullis_requests_total{decision="answer",route="ANY /v1.0/limited"} 1"#,
        r#"portcullis_requests_total{decision="deny",route="none"} 1"#,
        r#"portcullis_refusals_total{reason="token_missing",status="401"} 1"#,
        r#"portcullis_refusals_total{reason="scope_missing",status="403"} 1"#,
        r#"portcullis_refusals_total{reason="rate_limited",status="429"} 1"#,
        r#"portcullis_authentications_total{credential="token",issuer="accounts"} 3"#,
        r#"portcullis_limit_hits_total{limit="burst",mode="enforced"} 1"#,
        r#"portcullis_limit_hits_total{limit="watched",mode="shadow"} 1"#,
    ];
    let lines = until(&gate, &expected)?;
    ensure!(lines.iter().all(|line| !line.contains("forged")), "a client chose a label: {lines:?}");
    let requests = lines.iter().filter(|line| line.starts_with("portcullis_requests_total{"));
    let requests: Vec<u64> = requests.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect();
    ensure!(requests.iter().sum::<u64>() == 10, "10 requests are counted as {requests:?}");
    gate.never_failed()
}

fn calls() -> Result<()> {
    let servers = Servers::start()?;
    let mut policy = servers.policy();
    trial::put(&mut policy, "/issuers/0/jwks/cool_down", json!("1s"))?;
    servers.issuer.fail(Fault::Down);
    let mut gate = Gate::with_changes(&policy, |_| Ok(()))?;
    let call =
        |outcome: &str| format!("portcullis_calls_total{{call=\"key set\",cluster=\"issuer\",outcome=\"{outcome}\"}} ");
    until(&gate, &[&call("failed")])?;
    servers.issuer.fail(Fault::None);
    until(&gate, &[&call("ok")])?;
    gate.never_failed()
}

/// Waits until the filter's metrics contain each expected string at the start of a line. Returns all lines of these metrics.
fn until(gate: &Gate, expected: &[&str]) -> Result<Vec<String>> {
    let lines = || {
        let answer = gate.envoy.admin("/stats/prometheus")?;
        anyhow::Ok(answer.lines().filter(|line| line.starts_with("portcullis_")).map(str::to_owned).collect::<Vec<_>>())
    };
    let complete = || {
        let lines = lines().ok()?;
        expected.iter().all(|text| lines.iter().any(|line| line.starts_with(text))).then_some(lines)
    };
    let found = Deadline::after(Duration::from_secs(10)).poll(complete);
    found.with_context(|| format!("not all of {expected:#?} in {:#?}", lines().unwrap_or_default()))
}
