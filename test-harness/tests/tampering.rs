//! Tests for every algorithm that the gateway refuses each token that differs from a valid token in one bit.

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use test_harness::client::Request;
use test_harness::native::{Arrival, Gateway};
use test_harness::outcome::Outcome;
use test_harness::token::TokenSpec;
use test_harness::{clock, core_gateway, keys};

#[test]
fn every_flipped_bit_of_an_rs_token_is_refused() {
    refuses_every_flipped_bit("rsa-1", &["RS256", "RS384", "RS512"]).unwrap();
}

#[test]
fn every_flipped_bit_of_a_ps_token_is_refused() {
    refuses_every_flipped_bit("rsa-1", &["PS256", "PS384", "PS512"]).unwrap();
}

#[test]
fn every_flipped_bit_of_an_es_token_is_refused() {
    for (key, alg) in [("p256-1", "ES256"), ("p384-1", "ES384"), ("p521-1", "ES512")] {
        refuses_every_flipped_bit(key, &[alg]).unwrap();
    }
}

#[test]
fn every_flipped_bit_of_an_eddsa_token_is_refused() {
    refuses_every_flipped_bit("ed-1", &["EdDSA"]).unwrap();
}

#[test]
fn every_flipped_bit_of_an_hs_token_is_refused() {
    refuses_every_flipped_bit("hs-text", &["HS256", "HS384", "HS512"]).unwrap();
}

fn refuses_every_flipped_bit(key: &str, algorithms: &[&str]) -> Result<()> {
    for alg in algorithms {
        let mut gateway = gateway()?;
        let token = token(key, alg)?;
        ensure!(is_accepted(&ask(&mut *gateway, token.as_bytes())?), "{alg}: the gateway refused the valid token");
        for bit in 0..token.len() * 8 {
            let mut forged = token.clone().into_bytes();
            *forged.get_mut(bit / 8).context("a bit of the token")? ^= 1 << (bit % 8);
            let outcome = ask(&mut *gateway, &forged)?;
            let refused = matches!(outcome.status, 400 | 401) && !is_accepted(&outcome);
            ensure!(refused, "{alg}, bit {bit}: {}\n{token}\n{outcome:?}", String::from_utf8_lossy(&forged));
        }
        ensure!(
            is_accepted(&ask(&mut *gateway, token.as_bytes())?),
            "{alg}: after the changed tokens, the gateway refused the valid token"
        );
    }
    Ok(())
}

fn is_accepted(outcome: &Outcome) -> bool {
    outcome.forwarded.is_some() || outcome.audit.as_ref().is_some_and(|audit| audit.get("subject").is_some())
}

/// Sends a token. All tokens of an algorithm are sent to one gateway, which has cached the valid token. Therefore the changed
/// tokens also test the cache.
fn ask(gateway: &mut dyn Gateway, token: &[u8]) -> Result<Outcome> {
    let mut request = Request::new("GET", "/orders", "api.example.com");
    request.headers.push((b"authorization".to_vec(), [b"Bearer ", token].concat()));
    let arrival = Arrival {
        now: clock::unix_seconds(),
        request: &request,
        key_set: None,
        from: None,
        certificate: None,
        audit: true,
    };
    gateway.decide(&arrival)
}

fn gateway() -> Result<Box<dyn Gateway>> {
    let issuer = |name: &str, keys: (&str, Value)| json!({ "name": name, "issuer": name, "audiences": ["orders"], keys.0: keys.1 });
    let published = keys::key_set(&["rsa-1", "p256-1", "p384-1", "p521-1", "ed-1"])?;
    let policy = json!({
        "version": "1.0",
        "issuers": [issuer("asymmetric", ("keys", published)), issuer("symmetric", ("secret", json!({ "env": "SECRET" })))],
        "upstreams": { "orders": null },
        "routes": [{ "path": "/orders", "upstream": "orders" }],
    });
    let secret = String::from_utf8(keys::Key::named("hs-text")?.bytes("k")?)?;
    core_gateway::open(&policy, &[("SECRET".to_owned(), secret)])
}

fn token(key: &str, alg: &str) -> Result<String> {
    let issuer = if alg.starts_with("HS") { "symmetric" } else { "asymmetric" };
    let mut spec = TokenSpec::of(key).claim("iss", issuer).claim("aud", "orders").claim("sub", "u");
    spec.alg = Some(alg.to_owned());
    spec.exp_in = Some(3_600.into());
    spec.mint(clock::unix_seconds(), &Map::new())
}
