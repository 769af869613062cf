//! Creates the gateway's document, the documents that the gateway fetches, and the kinds of requests.

use std::time::Duration;

use anyhow::{Context, Result};
use portcullis::policy::credentials::api_key::ApiKey;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use test_harness::client::Request;
use test_harness::clock;
use test_harness::issuer::{Issuer, KEY_SET_PATH};
use test_harness::load::RequestKind;
use test_harness::token::{Tamper, TokenSpec};
use test_harness::trial::{bearer, below, get, put};

pub fn sorts(issuer: &Issuer) -> Result<Vec<RequestKind>> {
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

/// Returns a token whose `jti` is `id`. The token never expires during the tests.
pub fn lasting(issuer: &Issuer, id: &str) -> Result<String> {
    let spec = spec(issuer, "rsa-1").claim("jti", id).claim("iat", 1_700_000_000).claim("exp", 4_102_444_800_i64);
    spec.mint(0, &Map::new())
}

/// Returns a request with the API key named `name`.
pub fn key(name: &str) -> Request {
    get("/keys/1").header("x-api-key", &key_text(name))
}

/// Makes the gateway fetch a client document, and adds one client to the gateway's own document.
pub fn add_clients(policy: &mut Value, issuer: &Issuer) -> Result<()> {
    issuer.documents.publish(CLIENTS_PATH, clients(&["polled"]));
    put(policy, "/environment", json!("test"))?;
    put(policy, "/api_keys", json!({ "from": [{ "header": "X-API-Key" }] }))?;
    put(policy, "/clients", json!([client("operations", &["own"])]))?;
    put(policy, "/clients_from", fetched(issuer, CLIENTS_PATH))?;
    let route =
        json!({ "path": "/keys/{.+}", "upstream": "orders", "timeout": "1s", "auth": { "any_of": ["api_key"] } });
    let routes = below(policy, "/routes")?.as_array_mut();
    routes.map(|routes| routes.push(route)).context("the routes are not a list")
}

/// Makes the gateway fetch a revocation list.
pub fn add_revocations(policy: &mut Value, issuer: &Issuer) -> Result<()> {
    issuer.documents.publish(REVOCATIONS_PATH, revoked(&["one"]));
    put(policy, "/revocation", fetched(issuer, REVOCATIONS_PATH))
}

/// Returns a client document. It has one client with these keys, or no client if there are no keys.
pub fn clients(keys: &[&str]) -> Value {
    let all: Vec<Value> =
        [keys].into_iter().filter(|keys| !keys.is_empty()).map(|keys| client("reports", keys)).collect();
    json!({ "version": "1.0", "clients": all })
}

/// Returns a revocation list with these values of `jti`.
pub fn revoked(ids: &[&str]) -> Value {
    let entries: Vec<Value> = ids.iter().map(|id| json!({ "jti": id })).collect();
    json!({ "version": "1.0", "revoked": entries })
}

fn client(id: &str, keys: &[&str]) -> Value {
    let record = |name: &&str| {
        let text = key_text(name);
        let hash: String = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let prefix = text.rsplit_once('_').map(|(prefix, _)| prefix);
        json!({ "id": name, "prefix": prefix, "hash": format!("sha256:{hash}") })
    };
    json!({ "id": id, "owner": "o", "purpose": "p", "keys": keys.iter().map(record).collect::<Vec<_>>() })
}

fn key_text(name: &str) -> String {
    ApiKey::compose("test", &format!("{name:0<12}"), "0123456789abcdefghijKLMNOPQRSTUV")
}

/// Returns the settings of a polled document. The poll interval is the shortest that is allowed, so that tests wait only briefly
/// for a poll.
fn fetched(issuer: &Issuer, path: &str) -> Value {
    json!({ "uri": format!("{}{path}", issuer.url()), "cluster": "issuer", "poll": "1s", "stale_for": "1h",
        "timeout": "500ms", "wait": "700ms", "max_entries": 100 })
}

/// The value of `cool_down` of the key set.
pub const COOL_DOWN: Duration = Duration::from_secs(1);
/// The value of `poll` of the polled documents and of `fresh_for` of the key set.
pub const POLL: Duration = Duration::from_secs(1);
/// The longest delay between fetches from a failing endpoint.
pub const RETRY: Duration = Duration::from_secs(5);
pub const CLIENTS_PATH: &str = "/documents/clients";
pub const REVOCATIONS_PATH: &str = "/documents/revocations";
