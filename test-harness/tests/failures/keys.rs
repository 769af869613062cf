//! The key endpoint in every state that an endpoint can be in.

use anyhow::{Result, ensure};
use test_harness::issuer::{ELSEWHERE, Fault};
use test_harness::trial::{bearer, get};

use crate::Cell;
use crate::site::{KEYLESS, Site, WELL, but, until};

pub const CELLS: &[Cell] = &[
    ("key endpoint down", || fails(Fault::Down)),
    ("key endpoint slow", || fails(Fault::Slow)),
    ("key endpoint answers 500", || fails(Fault::Error)),
    ("key endpoint answers garbage", || fails(Fault::Garbage)),
    ("key endpoint answers too much", || fails(Fault::Huge)),
    ("key endpoint breaks off", || fails(Fault::Truncated)),
    ("key endpoint redirects", redirects),
    ("key endpoint has no keys any more", || fails(Fault::Empty)),
    ("key set rotated", rotated),
    ("keys older than their bound", beyond_the_bound),
];

/// Before the first key set, then with keys at hand.
fn fails(fault: Fault) -> Result<()> {
    let mut site = Site::open()?;
    site.until("good", 200)?;
    keeps_its_keys(&site, fault)?;
    // A new Envoy has no keys.
    site.start()?;
    site.under_load(KEYLESS)?;
    let reasons = site.reasons(503)?;
    ensure!(reasons.len() == 1 && reasons.contains_key("keys_unavailable"), "the records say {reasons:?}");
    site.issuer.fail(Fault::None);
    site.until("good", 200)?;
    site.under_load(WELL)?;
    site.filter_never_failed()
}

fn keeps_its_keys(site: &Site, fault: Fault) -> Result<()> {
    site.issuer.fail(fault);
    let before = site.fetches();
    // Two more attempts: at least one was made, and failed, while the load was on.
    site.during(WELL, |_| until("fetches that fail", || Ok(site.fetches() >= before + 2)))?;
    site.under_load(WELL)?;
    Ok(())
}

/// Whoever can redirect a fetch must not be able to choose the keys.
fn redirects() -> Result<()> {
    fails(Fault::Redirecting)?;
    let mut site = Site::open()?;
    site.until("good", 200)?;
    let stranger = bearer(get("/orders/1"), &site.token("rsa-stranger")?);
    site.also("stranger", stranger);
    site.issuer.fail(Fault::Redirecting);
    let before = site.fetches();
    let allowed = but(&[("stranger", &[(401, "UNAUTHORIZED")])]);
    site.during(&allowed, |_| until("fetches that are redirected", || Ok(site.fetches() >= before + 2)))?;
    ensure!(site.issuer.requests(ELSEWHERE) == 0, "the redirection was followed");
    site.filter_never_failed()
}

/// The new key is taken up when a token of it comes, the old one is let go with the next fetch.
fn rotated() -> Result<()> {
    let mut site = Site::open()?;
    site.until("good", 200)?;
    let fresh = bearer(get("/orders/1"), &site.token("rsa-2")?);
    site.also("new", fresh);
    site.issuer.publish(&["rsa-1", "rsa-2"]);
    let either: &[_] = &[(200, ""), (401, "UNAUTHORIZED")];
    // A fetch less than `cool_down` ago did not bring it, and no other is made so soon.
    let coming = but(&[("new", either)]);
    site.during(&coming, |_| site.until("new", 200))?;
    site.under_load(&but(&[("new", &[(200, "")])]))?;
    site.issuer.publish(&["rsa-2"]);
    let going = but(&[("good", either), ("new", &[(200, "")])]);
    site.during(&going, |_| site.until("good", 401))?;
    site.filter_never_failed()
}

fn beyond_the_bound() -> Result<()> {
    let short = |policy: &mut serde_json::Value| {
        test_harness::trial::put(policy, "/issuers/0/jwks/stale_for", serde_json::json!("2s"))
    };
    let mut site = Site::bent(short, |_| Ok(()))?;
    site.until("good", 200)?;
    site.issuer.fail(Fault::Down);
    let either: &[_] = &[(200, ""), (503, "AUTH_UNAVAILABLE")];
    let forged: &[_] = &[(401, "UNAUTHORIZED"), (503, "AUTH_UNAVAILABLE")];
    let allowed = but(&[("good", either), ("forged", forged)]);
    site.during(&allowed, |_| site.until("good", 503))?;
    site.under_load(KEYLESS)?;
    site.issuer.fail(Fault::None);
    site.during(&allowed, |_| site.until("good", 200))?;
    site.under_load(WELL)?;
    site.filter_never_failed()
}
