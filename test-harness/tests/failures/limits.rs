//! The service that counts limits for several proxies: gone, or there and silent. How it comes back, `tests/global_limits.rs` shows.

use std::net::TcpListener;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use test_harness::issuer::Issuer;
use test_harness::ports;
use test_harness::trial::put;

use crate::Plain;
use crate::site::{Allowed, Site, WELL, but};

pub const CELLS: &[Plain] =
    &[("rate limit service down", || without_service(false)), ("rate limit service silent", || without_service(true))];

fn without_service(silent: bool) -> Result<()> {
    // Connections are taken by the kernel, and nobody ever reads them.
    let listener = TcpListener::bind(ports::loopback(0))?;
    let port = listener.local_addr()?.port();
    let listener = silent.then_some(listener);
    let refused = but(&[("good", &[(503, "LIMIT_UNAVAILABLE")])]);
    for (word, allowed) in [("closed", refused.as_slice()), ("open", WELL), ("local", WELL)] {
        one(port, word, allowed).with_context(|| format!("on_failure: {word}"))?;
    }
    drop(listener);
    Ok(())
}

fn one(port: u16, on_failure: &str, allowed: Allowed<'_>) -> Result<()> {
    let limited = |policy: &mut serde_json::Value, _: &Issuer| {
        let service = json!({ "cluster": "counting", "url": format!("http://127.0.0.1:{port}"), "domain": "portcullis",
            "timeout": "50ms" });
        put(policy, "/rate_limit_service", service)?;
        let limit = json!({ "name": "per-user", "by": "user", "rate": "100000/m", "store": "global", "on_failure": on_failure });
        put(policy, "/limits", json!([limit]))
    };
    let mut site = Site::bent(limited, |_| Ok(()))?;
    site.until("good", if on_failure == "closed" { 503 } else { 200 })?;
    site.under_load(allowed)?;
    if on_failure == "closed" {
        let reasons = site.reasons(503)?;
        let unavailable = reasons.keys().any(|reason| reason == "rate_limit_service_unavailable");
        ensure!(unavailable, "the records say {reasons:?}");
    }
    site.filter_never_failed()
}
