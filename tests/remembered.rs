//! What is remembered of a token: whoever was proven once is not proven again, and whoever was not is tried each time.

#![expect(clippy::unwrap_used, reason = "a test's helpers end it as its assertions do")]

use std::cell::Cell;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::config::source;
use portcullis::policy::Policy;
use portcullis::policy::algorithm::Algorithm;
use portcullis::policy::decision::Decision;
use portcullis::policy::jwks::VerifyingKey;
use portcullis::policy::limit::store::LocalStore;
use portcullis::policy::peer::KnownPeer;
use portcullis::policy::polled::Polled;
use portcullis::policy::quota::Quotas;
use portcullis::policy::request::RequestParts;
use portcullis::policy::signature::SignatureVerifier;
use portcullis::policy::token_cache::TokenCache;
use portcullis::policy::world::World;
use serde_json::json;

/// Says what it is told to, and counts how often it is asked.
struct Asked {
    says: Cell<bool>,
    times: Cell<usize>,
}

impl SignatureVerifier for Asked {
    fn verify(&self, _: &VerifyingKey, _: Algorithm, _: &[u8], _: &[u8]) -> bool {
        self.times.set(self.times.get() + 1);
        self.says.get()
    }
}

struct Gateway {
    policy: Policy,
    polled: Polled,
    tokens: TokenCache,
    asked: Asked,
}

impl Gateway {
    fn open() -> Self {
        let document = json!({
            "version": "1.0",
            "issuers": [{ "name": "accounts", "issuer": "https://auth.example.com", "audiences": ["orders-api"], "secret": { "env": "SECRET" } }],
            "upstreams": { "orders": { "url": "http://127.0.0.1:9000" } },
            "routes": [{ "path": "/orders", "upstream": "orders" }],
        });
        let node = source::read(document.to_string().as_bytes()).unwrap();
        let policy = Policy::from_node(&node, &|_| Some("0123456789abcdef0123456789abcdef".to_owned())).unwrap();
        let asked = Asked { says: Cell::new(true), times: Cell::new(0) };
        Gateway { polled: policy.polled(), policy, tokens: TokenCache::new(2, 1 << 16), asked }
    }

    /// Whether a request with this token goes on, so many seconds after the token was issued, and how often its signature was checked.
    fn ask(&mut self, token: &str, seconds: u64) -> (bool, usize) {
        let authorization = format!("Bearer {token}");
        let headers: Vec<(&[u8], &[u8])> = vec![
            (b":authority", b"api.example.com"),
            (b":method", b"GET"),
            (b":path", b"/orders"),
            (b":scheme", b"https"),
            (b"authorization", authorization.as_bytes()),
        ];
        let now = Duration::from_secs(ISSUED + seconds);
        self.asked.times.set(0);
        let mut world = World {
            now,
            polled: &mut self.polled,
            tokens: &mut self.tokens,
            limits: &mut LocalStore::default(),
            quotas: &mut Quotas::new(1),
            verifier: &self.asked,
            peer: &KnownPeer::default(),
            fresh_id: &|| "fresh".to_owned(),
            trace: None,
        };
        let parts = RequestParts { headers: &headers, received_at: now, again: false, ended: true };
        let goes_on = matches!(self.policy.decide(&parts, &mut world).decision, Decision::Forward(_));
        (goes_on, self.asked.times.get())
    }
}

#[test]
fn a_token_is_verified_once() {
    let mut gateway = Gateway::open();
    let token = token("user-1");
    assert_eq!(gateway.ask(&token, 0), (true, 1));
    gateway.asked.says.set(false);
    assert_eq!(gateway.ask(&token, 1), (true, 0));
    assert_eq!(gateway.ask(&token, 3_599), (true, 0));
    assert_eq!(gateway.ask(&token, 3_700), (false, 0), "expired, and believed because it was known");
}

#[test]
fn a_token_that_does_not_hold_is_verified_each_time() {
    let mut gateway = Gateway::open();
    let token = token("user-1");
    gateway.asked.says.set(false);
    assert_eq!(gateway.ask(&token, 0), (false, 1));
    assert_eq!(gateway.ask(&token, 0), (false, 1));
    gateway.asked.says.set(true);
    assert_eq!(gateway.ask(&token, 0), (true, 1));
}

#[test]
fn a_token_that_was_pushed_out_is_verified_again() {
    let mut gateway = Gateway::open();
    for user in 0..5 {
        assert_eq!(gateway.ask(&token(&format!("user-{user}")), 0), (true, 1));
    }
    assert_eq!(gateway.ask(&token("user-4"), 0), (true, 0));
    assert_eq!(gateway.ask(&token("user-0"), 0), (true, 1));
}

/// An HS256 token with a signature of the right length; whether it holds is for [`Asked`] to say.
fn token(subject: &str) -> String {
    let claims = json!({ "iss": "https://auth.example.com", "aud": "orders-api", "sub": subject, "iat": ISSUED, "exp": ISSUED + 3_600 });
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signature = format!("{subject:=<32}");
    let parts = [br#"{"alg":"HS256"}"#.as_slice(), claims.to_string().as_bytes(), signature.as_bytes()].map(encode);
    parts.join(".")
}

const ISSUED: u64 = 1_800_000_000;
