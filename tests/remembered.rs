//! Tests that a valid token is verified once and then cached, and that an invalid token is verified each time.

#![expect(clippy::unwrap_used, reason = "a panic in a helper fails the test")]

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::config::source;
use portcullis::gateway::Gateway;
use portcullis::gateway::shared::LocalData;
use portcullis::gateway::simulation::{SimulatedHost, StillWaiting};
use portcullis::gateway::transaction::Transaction;
use portcullis::gateway::waiting::StreamId;
use portcullis::policy::Policy;
use portcullis::policy::credentials::algorithm::Algorithm;
use portcullis::policy::credentials::jwks::VerifyingKey;
use portcullis::policy::credentials::signature::SignatureVerifier;
use serde_json::json;

/// A verifier that returns a fixed result and counts its calls.
struct Counting {
    result: Cell<bool>,
    calls: Cell<usize>,
}

impl SignatureVerifier for Counting {
    fn verify(&self, _: &VerifyingKey, _: Algorithm, _: &[u8], _: &[u8]) -> bool {
        self.calls.set(self.calls.get() + 1);
        self.result.get()
    }
}

struct Site {
    gateway: Gateway,
    verifier: Counting,
}

impl Site {
    fn open() -> Self {
        let document = json!({
            "version": "1.0",
            "bounds": { "token_cache_bytes": 16_384 },
            "issuers": [{ "name": "accounts", "issuer": "https://auth.example.com", "audiences": ["orders-api"], "secret": { "env": "SECRET" } }],
            "upstreams": { "orders": { "url": "http://127.0.0.1:9000" } },
            "routes": [{ "path": "/orders", "upstream": "orders" }],
        });
        let node = source::read(document.to_string().as_bytes()).unwrap();
        let policy = Policy::from_node(&node, &|_| Some("0123456789abcdef0123456789abcdef".to_owned())).unwrap();
        let verifier = Counting { result: Cell::new(true), calls: Cell::new(0) };
        Site { gateway: Gateway::new(Arc::new(policy), &LocalData::default()), verifier }
    }

    /// Sends a request with this token, `seconds` after the token was issued. Returns whether the request is forwarded, and how
    /// often the signature of the token was verified.
    fn ask(&self, token: &str, seconds: u64) -> (bool, usize) {
        let authorization = format!("Bearer {token}");
        let headers: Vec<(&[u8], &[u8])> = vec![
            (b":authority", b"api.example.com"),
            (b":method", b"GET"),
            (b":path", b"/orders"),
            (b":scheme", b"https"),
            (b"authorization", authorization.as_bytes()),
        ];
        self.verifier.calls.set(0);
        let mut host = SimulatedHost::new(Duration::from_secs(ISSUED + seconds));
        host.verifier = &self.verifier;
        let mut transaction = Transaction::new(StreamId::default());
        let sent = host.run(&self.gateway, &mut transaction, &headers, None, |_, _| Err(StillWaiting)).unwrap();
        (sent.reply.is_none(), self.verifier.calls.get())
    }
}

#[test]
fn a_token_is_verified_once() {
    let gateway = Site::open();
    let token = token("user-1");
    assert_eq!(gateway.ask(&token, 0), (true, 1));
    gateway.verifier.result.set(false);
    assert_eq!(gateway.ask(&token, 1), (true, 0));
    assert_eq!(gateway.ask(&token, 3_599), (true, 0));
    assert_eq!(
        gateway.ask(&token, 3_700),
        (false, 0),
        "refused as expired, but not verified again, because it is cached"
    );
}

#[test]
fn an_invalid_token_is_verified_each_time() {
    let gateway = Site::open();
    let token = token("user-1");
    gateway.verifier.result.set(false);
    assert_eq!(gateway.ask(&token, 0), (false, 1));
    assert_eq!(gateway.ask(&token, 0), (false, 1));
    gateway.verifier.result.set(true);
    assert_eq!(gateway.ask(&token, 0), (true, 1));
}

#[test]
fn an_evicted_token_is_verified_again() {
    let gateway = Site::open();
    for user in 0..40 {
        assert_eq!(gateway.ask(&token(&format!("user-{user}")), 0), (true, 1));
    }
    assert_eq!(gateway.ask(&token("user-39"), 0), (true, 0));
    assert_eq!(gateway.ask(&token("user-0"), 0), (true, 1));
}

/// Returns an HS256 token with a signature of the right length. [`Counting`] decides whether the signature is valid.
fn token(subject: &str) -> String {
    let claims = json!({ "iss": "https://auth.example.com", "aud": "orders-api", "sub": subject, "iat": ISSUED, "exp": ISSUED + 3_600 });
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signature = format!("{subject:=<32}");
    let parts = [br#"{"alg":"HS256"}"#.as_slice(), claims.to_string().as_bytes(), signature.as_bytes()].map(encode);
    parts.join(".")
}

const ISSUED: u64 = 1_800_000_000;
