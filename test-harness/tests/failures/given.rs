//! What the gateway of the matrix is given: its document, and the sorts of requests that are sent to it.

use anyhow::Result;
use serde_json::{Map, Value, json};
use test_harness::clock;
use test_harness::issuer::{Issuer, KEY_SET_PATH};
use test_harness::load::Sort;
use test_harness::token::{Tamper, TokenSpec};
use test_harness::trial::{bearer, get};

pub fn sorts(issuer: &Issuer) -> Result<Vec<Sort>> {
    let good = token(issuer, "rsa-1")?;
    let spec = TokenSpec { tamper: Some(Tamper::Signature), ..spec(issuer, "rsa-1") };
    let forged = spec.mint(clock::unix_seconds(), &Map::new())?;
    Ok(vec![
        ("static", get("/health")),
        ("good", bearer(get("/orders/1"), &good)),
        ("no token", get("/orders/1")),
        ("forged", bearer(get("/orders/1"), &forged)),
    ])
}

pub fn token(issuer: &Issuer, key: &str) -> Result<String> {
    spec(issuer, key).mint(clock::unix_seconds(), &Map::new())
}

fn spec(issuer: &Issuer, key: &str) -> TokenSpec {
    TokenSpec::of(key).claim("sub", "user-1").claim("aud", "orders-api").claim("iss", issuer.url())
}

pub fn policy(issuer: &Issuer, upstream: u16) -> Value {
    json!({
        "version": "1.0",
        "issuers": [{
            "name": "accounts", "issuer": issuer.url(), "audiences": ["orders-api"],
            "jwks": { "uri": format!("{}{KEY_SET_PATH}", issuer.url()), "cluster": "issuer", "fresh_for": "1s",
                "stale_for": "1h", "cool_down": "1s", "timeout": "500ms", "wait": "700ms" },
        }],
        "audit": { "to": "access_log" },
        "upstreams": { "orders": { "url": format!("http://127.0.0.1:{upstream}") } },
        "routes": [
            { "path": "/health", "auth": "none", "response": { "body": { "status": "ok" } } },
            { "path": "/orders/{.+}", "upstream": "orders", "timeout": "1s" },
        ],
    })
}
