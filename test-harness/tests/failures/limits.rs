//! Tests a rate limit service that is down, silent, or sends invalid responses.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use test_harness::issuer::Issuer;
use test_harness::ports;
use test_harness::rate_limits::{RateLimits, limit};
use test_harness::server::{self, Server, reply};
use test_harness::trial::put;

use crate::Plain;
use crate::allowed::{Allowed, ExpectedResponse, SERVED, WELL, but};
use crate::site::{Site, until, within};

pub const CELLS: &[Plain] = &[
    ("rate limit service down", || without_service(false)),
    ("rate limit service silent", || without_service(true)),
    ("rate limit service answers 500", || answering(|| reply(500, "text/plain", "no"))),
    ("rate limit service redirects", || {
        answering(|| {
            let mut response = reply(302, "text/plain", "")?;
            response.headers_mut().insert("location", "/elsewhere".parse().map_err(io::Error::other)?);
            Ok(response)
        })
    }),
    ("rate limit service stops and starts again", comes_back),
    ("rate limit service answers an error", || answering(|| with_status(reply(200, GRPC, "")?))),
    ("rate limit service answers garbage", || answering(|| reply(200, GRPC, message(b"\xffno message")))),
    ("rate limit service answers too much", || answering(|| reply(200, GRPC, message(&[0; 5_000_000])))),
    ("rate limit service breaks off", || {
        answering(|| {
            let begun = message(b"cut").get(..6).unwrap_or_default().to_vec();
            Ok(reply(200, GRPC, "")?.map(|_| server::broken_off(begun)))
        })
    }),
];

fn without_service(silent: bool) -> Result<()> {
    // For a silent service, the listener stays open: the kernel accepts connections, but no process responds. For a service that
    // is down, the listener is closed, and the kernel refuses connections.
    let listener = TcpListener::bind(ports::loopback(0))?;
    let port = listener.local_addr()?.port();
    let listener = silent.then_some(listener);
    each(port)?;
    drop(listener);
    Ok(())
}

fn answering(answer: fn() -> io::Result<server::Response>) -> Result<()> {
    let service = Server::start(0, move |_| async move { answer() })?;
    each(service.address().port())
}

/// Adds the error status `INTERNAL` to a response without a body, which makes it a gRPC error response (Trailers-Only).
fn with_status(mut response: server::Response) -> io::Result<server::Response> {
    const INTERNAL: &str = "13";
    response.headers_mut().insert("grpc-status", INTERNAL.parse().map_err(io::Error::other)?);
    Ok(response)
}

/// Encodes a gRPC message: a zero byte for "not compressed", the length, and the message.
fn message(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0], length.as_slice(), bytes].concat()
}

/// Checks the outcome of requests for each value of `on_failure`.
fn each(port: u16) -> Result<()> {
    let refused = but(&[("good", &[REFUSED])]);
    let passed = but(&[("good", &[UNCOUNTED])]);
    for (word, allowed) in [("closed", &refused), ("open", &passed), ("local", &passed)] {
        one(port, word, allowed).with_context(|| format!("on_failure: {word}"))?;
    }
    Ok(())
}

fn limited(port: u16, on_failure: &str, timeout: &str) -> impl FnOnce(&mut Value, &Issuer) -> Result<()> {
    let service = json!({ "cluster": "counting", "url": format!("http://127.0.0.1:{port}"), "domain": "portcullis",
        "timeout": timeout });
    let limit =
        json!({ "name": "per-user", "by": "user", "rate": "100000/m", "store": "global", "on_failure": on_failure });
    move |policy, _| {
        put(policy, "/rate_limit_service", service)?;
        put(policy, "/limits", json!([limit]))
    }
}

/// Stops and restarts a real service while requests run.
fn comes_back() -> Result<()> {
    for (word, meanwhile) in [("closed", REFUSED), ("local", UNCOUNTED)] {
        let mut service = RateLimits::start(&json!([limit("per-user", 1_000_000, 60, "user")]))?;
        let mut site = Site::with_changes(limited(service.port, word, "500ms"), |_| Ok(()))?;
        site.until("good", 200)?;
        site.under_load(WELL).context("counted")?;
        site.during(&but(&[("good", &[SERVED, meanwhile])]), |_| {
            service.stop_service();
            let noticed = || Ok(site.records()?.iter().any(|record| record.says == meanwhile.2));
            until("the gateway to notice that the service is down", noticed)
        })?;
        service.start_service()?;
        within(PAUSE, &format!("every request to be counted again with `on_failure: {word}`"), || {
            Ok(site.under_load(WELL).is_ok())
        })?;
        site.filter_never_failed()?;
    }
    Ok(())
}

fn one(port: u16, on_failure: &str, allowed: Allowed<'_>) -> Result<()> {
    let mut site = Site::with_changes(limited(port, on_failure, "50ms"), |_| Ok(()))?;
    site.until("good", if on_failure == "closed" { 503 } else { 200 })?;
    site.under_load(allowed)?;
    site.filter_never_failed()
}

/// The outcome with `on_failure: closed` if the service does not respond.
const REFUSED: ExpectedResponse<'_> = (503, "LIMIT_UNAVAILABLE", "deny rate_limit_service_unavailable");
/// The outcome with `on_failure: open` or `local` if the service does not respond.
const UNCOUNTED: ExpectedResponse<'_> = (200, "", "allow allowed uncounted per-user");
/// The time for which the gateway does not call a service that has failed several times.
const PAUSE: Duration = Duration::from_secs(1);
const GRPC: &str = "application/grpc";
