//! Tests upstreams that fail: the gateway still refuses bad requests, and allowed requests get an error.

use anyhow::{Context, Result, ensure};
use test_harness::trial::{bearer, get};
use test_harness::upstream::{Received, Upstream};
use test_harness::{h2c, ports};

use crate::Plain;
use crate::allowed::{CUT_OFF, ExpectedResponse, WELL, but};
use crate::site::{PATIENCE, Site};

pub const CELLS: &[Plain] = &[
    ("upstream down", down),
    ("upstream slow", slow),
    ("upstream resets", resets),
    ("upstream breaks off", breaks_off),
    ("upstream answers 500", answers_500),
];

fn down() -> Result<()> {
    let mut site = Site::open()?;
    site.until("good", 200)?;
    let book = site.upstream.take().map(|upstream| upstream.received().clone());
    site.until("good", 503)?;
    site.under_load(&but(&[("good", &[(503, "SERVICE_UNAVAILABLE", BROKEN)])]))?;
    let book: Received = book.context("there was no upstream")?;
    site.upstream = Some(Upstream::start("orders", site.upstream_port, book)?);
    site.until("good", 200)?;
    site.under_load(WELL)?;
    site.filter_never_failed()
}

fn slow() -> Result<()> {
    check_answer("slow", "/orders/1?delay_ms=1500", &[(504, "GATEWAY_TIMEOUT", "allow allowed response_timeout")])
}

fn resets() -> Result<()> {
    check_answer("resets", "/orders/1?reset=1", &[(502, "BAD_GATEWAY", BROKEN), (503, "SERVICE_UNAVAILABLE", BROKEN)])
}

/// Truncates response bodies with and without a declared length. A truncated body must not look complete to the client.
fn breaks_off() -> Result<()> {
    let mut site = Site::open()?;
    site.until("good", 200)?;
    let token = site.token("rsa-1")?;
    let broken = |how: &str| bearer(get(&format!("/orders/1?break={how}")), &token);
    site.also("breaks", broken("length"));
    site.also("breaks in chunks", broken("chunks"));
    let counts = site.under_load(&but(&[("breaks", &[CUT_OFF]), ("breaks in chunks", &[CUT_OFF])]))?;
    for sort in ["breaks", "breaks in chunks"] {
        ensure!(counts.keys().any(|(have, ..)| *have == sort), "no `{sort}` was sent");
    }
    for how in ["length", "chunks"] {
        site.reached();
        let answer = h2c::send(ports::loopback(site.port), &broken(how), PATIENCE);
        ensure!(answer.is_err(), "over HTTP/2, a body that was cut off ({how}) looks complete");
        ensure!(site.reached() == 1, "the request did not reach the upstream exactly once");
    }
    site.filter_never_failed()
}

/// The gateway must forward the upstream's own error unchanged.
fn answers_500() -> Result<()> {
    check_answer("fails", "/orders/1?status=500", &[(500, "", "allow allowed")])
}

/// Adds requests that make the upstream fail. All other requests must succeed.
fn check_answer(sort: &'static str, target: &str, answers: &[ExpectedResponse<'_>]) -> Result<()> {
    let mut site = Site::open()?;
    site.until("good", 200)?;
    let request = bearer(get(target), &site.token("rsa-1")?);
    site.also(sort, request);
    let counts = site.under_load(&but(&[(sort, answers)]))?;
    ensure!(counts.keys().any(|(have, ..)| *have == sort), "no request of the kind `{sort}` was sent");
    site.filter_never_failed()
}

/// The summary of the audit record if the upstream closed the connection without a response.
const BROKEN: &str = "allow allowed upstream_reset_before_response_started";
