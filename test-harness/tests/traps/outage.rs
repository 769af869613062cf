//! Tests a key endpoint that is down for an hour or longer, with a simulated clock.

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use test_harness::client::Request;
use test_harness::native::{Arrival, Gateway};
use test_harness::outcome::Outcome;
use test_harness::token::TokenSpec;
use test_harness::{core_gateway, keys};

use crate::Trap;

pub const TRAPS: &[Trap] = &[
    ("a key endpoint that is down for an hour stops nobody whose key is known", down_for_an_hour),
    ("keys are trusted no longer than the configured bound", no_longer_than_the_bound),
    ("an empty or withdrawn key set of a failing endpoint removes no key", failures_remove_nothing),
];

/// Tests a part of guarantee 6 in `README.md`: during an outage of an hour, the gateway still uses its keys.
fn down_for_an_hour() -> Result<()> {
    let mut gateway = gateway()?;
    let now = START;
    let warm = ask(&mut gateway, now, Some(key_set()?), "rsa-1", "first")?;
    ensure!(warm.status == 200, "{} while the key endpoint works", warm.status);
    for minute in 1..=60 {
        let now = now + minute * 60;
        for (kid, token) in [("rsa-1", "known"), ("rsa-1", "new"), ("p256-1", "new")] {
            let subject = if token == "new" { format!("user-{minute}") } else { token.to_owned() };
            let outcome = ask(&mut gateway, now, None, kid, &subject)?;
            ensure!(outcome.status == 200, "{} for a {token} token of {kid} after {minute} minutes", outcome.status);
        }
        let stranger = ask(&mut gateway, now, None, "rsa-2", "anybody")?;
        ensure!(stranger.status == 401, "{} for an unknown key after {minute} minutes", stranger.status);
    }
    Ok(())
}

fn no_longer_than_the_bound() -> Result<()> {
    let mut gateway = gateway()?;
    ask(&mut gateway, START, Some(key_set()?), "rsa-1", "first")?;
    let bound = START + FRESH + STALE;
    let before = ask(&mut gateway, bound - 5, None, "rsa-1", "first")?;
    ensure!(before.status == 200, "{} within the bound", before.status);
    for late in [5, 60, 3_600] {
        // The verified token of `first` is cached. Its cache entry must expire with the keys.
        for subject in ["first", "other"] {
            let outcome = ask(&mut gateway, bound + late, None, "rsa-1", subject)?;
            let code = outcome.body_json().and_then(|body| Some(body.pointer("/error/code")?.as_str()?.to_owned()));
            ensure!(outcome.status == 503, "{} instead of 503 after the bound", outcome.status);
            ensure!(code.as_deref() == Some("AUTH_UNAVAILABLE"), "the code is {code:?}");
            ensure!(outcome.forwarded.is_none(), "a refused request was forwarded");
        }
    }
    let back = ask(&mut gateway, bound + 7_200, Some(key_set()?), "rsa-1", "first")?;
    ensure!(back.status == 200, "{} after the endpoint recovered", back.status);
    Ok(())
}

fn failures_remove_nothing() -> Result<()> {
    let mut gateway = gateway()?;
    ask(&mut gateway, START, Some(key_set()?), "rsa-1", "first")?;
    let broken = [json!({ "keys": [] }), json!({}), json!([]), json!("keys"), json!({ "keys": [{ "kty": "RSA" }] })];
    for (index, set) in (1..).zip(broken) {
        let outcome = ask(&mut gateway, START + index * FRESH, Some(set.clone()), "rsa-1", "first")?;
        ensure!(outcome.status == 200, "{} after the endpoint answered {set}", outcome.status);
    }
    // A valid key set without the key means that the issuer has withdrawn the key.
    let withdrawn = keys::key_set(&["p256-1"])?;
    let outcome = ask(&mut gateway, START + 7 * FRESH, Some(withdrawn), "rsa-1", "first")?;
    ensure!(outcome.status == 401, "{} with a key that was withdrawn", outcome.status);
    Ok(())
}

fn gateway() -> Result<Box<dyn Gateway>> {
    let keys = json!({ "uri": "https://auth.example.com/jwks", "cluster": "auth", "fresh_for": format!("{FRESH}s"),
        "stale_for": format!("{STALE}s"), "cool_down": "30s" });
    let policy = json!({
        "version": "1.0",
        "issuers": [{ "name": "accounts", "issuer": ISSUER, "audiences": ["orders-api"], "jwks": keys }],
        "upstreams": { "orders": { "url": "http://orders.example.com" } },
        "routes": [{ "path": "/orders/{.+}", "upstream": "orders" }],
    });
    core_gateway::open(&policy, &[])
}

/// Sends one request. `key_set` is the response of the key endpoint, or `None` if the endpoint fails.
fn ask(gateway: &mut Box<dyn Gateway>, now: i64, key_set: Option<Value>, kid: &str, subject: &str) -> Result<Outcome> {
    let mut spec = TokenSpec::of(kid).claim("iss", ISSUER).claim("aud", "orders-api").claim("sub", subject);
    // The token of a subject never changes, so that the gateway can cache the token.
    spec.claims.extend([("iat".to_owned(), START.into()), ("exp".to_owned(), (START + 86_400).into())]);
    let token = spec.mint(START, &Map::new())?;
    let request = Request::new("GET", "/orders/1", "api.example.com");
    let request = request.header("authorization", &format!("Bearer {token}"));
    gateway
        .decide(&Arrival { now, request: &request, key_set, from: None, certificate: None, audit: false })
        .context("the gateway did not decide")
}

fn key_set() -> Result<Value> {
    keys::key_set(&["rsa-1", "p256-1"])
}

const ISSUER: &str = "https://auth.example.com/";
const START: i64 = 1_800_000_000;
const FRESH: i64 = 300;
/// The seconds for which stale keys remain usable: slightly more than an hour.
const STALE: i64 = 4_000;
