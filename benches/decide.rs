//! What each stage of a decision costs, and the whole of it, without an Envoy: `cargo bench --bench decide`.

use std::hint::black_box;
use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use criterion::{Criterion, criterion_group, criterion_main};
use jwt_compact::alg::{Hs256, Hs256Key};
use jwt_compact::{AlgorithmExt, Claims, Header};
use portcullis::config::source;
use portcullis::policy::Policy;
use portcullis::policy::algorithm::Algorithm;
use portcullis::policy::decision::Decision;
use portcullis::policy::guard::{read_host, read_target};
use portcullis::policy::jwks::{KeySet, KeySource};
use portcullis::policy::limit::store::LocalStore;
use portcullis::policy::peer::KnownPeer;
use portcullis::policy::polled::Polled;
use portcullis::policy::quota::Quotas;
use portcullis::policy::request::{Request, RequestParts};
use portcullis::policy::signature::{SignatureVerifier, Software};
use portcullis::policy::token::UnverifiedToken;
use portcullis::policy::token_cache::TokenCache;
use portcullis::policy::world::World;
use serde_json::{Value, json};

criterion_group!(benches, stages, signatures, whole);
criterion_main!(benches);

/// The stages that read the request.
fn stages(criterion: &mut Criterion) {
    let token = token();
    let request = request("GET", "/api/v1/orders/42", Some(&token));
    let headers = request.headers();
    let parts = parts(&headers);
    criterion.bench_function("stage/headers", |b| b.iter(|| Request::read(black_box(&parts)).is_ok()));
    criterion.bench_function("stage/target", |b| b.iter(|| read_target(black_box(b"/api/v1/orders/42")).is_ok()));
    criterion.bench_function("stage/host", |b| b.iter(|| read_host(black_box(b"api.example.com")).is_ok()));
    criterion.bench_function("stage/token", |b| b.iter(|| UnverifiedToken::read(black_box(token.as_bytes())).is_ok()));
    let Some(policy) = policy() else { return };
    let mut gateway = Gateway::new(&policy);
    gateway.decide(&headers);
    let mut edits = Vec::new();
    criterion.bench_function("stage/audit", |b| {
        let record = gateway.decide(&headers).audit;
        b.iter(|| black_box(&record).to_json());
    });
    let harmless: Vec<_> = headers.iter().filter(|header| policy.forged(&[**header]).is_empty()).copied().collect();
    criterion.bench_function("stage/strip", |b| {
        b.iter(|| {
            edits = policy.forged(black_box(&harmless));
            edits.len()
        });
    });
}

/// The algorithms in pure Rust, by OpenSSL's signatures. Inside Envoy, RS and ES are its own affair.
fn signatures(criterion: &mut Criterion) {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap_or_default();
    let input = vectors.get("signing_input").and_then(Value::as_str).unwrap_or_default();
    let listed = vectors.get("good").and_then(Value::as_array).cloned().unwrap_or_default();
    for name in ["RS256", "PS256", "ES256", "EdDSA", "HS256"] {
        let of_this = |vector: &&Value| vector.get("alg").and_then(Value::as_str) == Some(name);
        let Some(vector) = listed.iter().find(of_this) else { continue };
        let document = json!({ "keys": [vector.get("jwk")] }).to_string();
        let Ok((keys, _)) = KeySet::parse(document.as_bytes(), KeySource::Inline) else { continue };
        let (Some(key), Some(algorithm)) = (keys.iter().next(), Algorithm::from_name(name)) else { continue };
        let signature = vector.get("signature").and_then(Value::as_str).unwrap_or_default();
        let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { continue };
        assert!(Software.verify(key, algorithm, input.as_bytes(), &signature), "{name}");
        criterion.bench_function(&format!("verify/{name}"), |b| {
            b.iter(|| Software.verify(black_box(key), algorithm, input.as_bytes(), black_box(&signature)));
        });
    }
}

/// `Policy::decide` from the headers to the verdict and its record.
fn whole(criterion: &mut Criterion) {
    let Some(policy) = policy() else { return };
    let token = token();
    // The first character of the signature is another one.
    let forged = match token.rsplit_once('.') {
        Some((signed, signature)) => {
            format!("{signed}.{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, signature.split_at(1).1)
        }
        None => String::new(),
    };
    let cases = [
        ("warm", request("GET", "/api/v1/orders/42", Some(&token)), true),
        ("no token", request("GET", "/api/v1/orders/42", None), false),
        ("forged", request("GET", "/api/v1/orders/42", Some(&forged)), false),
        ("no route", request("GET", "/api/v2/nothing", None), false),
        ("preflight", request("OPTIONS", "/api/v1/orders/42", None), false),
        ("static", request("GET", "/health", None), false),
    ];
    for (what, request, forwarded) in cases {
        let headers = request.headers();
        let mut gateway = Gateway::new(&policy);
        assert_eq!(matches!(gateway.decide(&headers).decision, Decision::Forward(_)), forwarded, "{what}");
        criterion.bench_function(&format!("decide/{what}"), |b| {
            b.iter(|| gateway.decide(black_box(&headers)).audit.to_json().len());
        });
    }
    let request = request("GET", "/api/v1/orders/42", Some(&token));
    let headers = request.headers();
    criterion.bench_function("decide/cold, HS256", |b| {
        let mut gateway = Gateway::new(&policy);
        b.iter(|| {
            gateway.tokens = TokenCache::new(16, 1 << 20);
            gateway.decide(black_box(&headers)).audit.to_json().len()
        });
    });
}

/// What a worker has beside the policy.
struct Gateway<'p> {
    policy: &'p Policy,
    polled: Polled,
    limits: LocalStore,
    quotas: Quotas,
    tokens: TokenCache,
}

impl<'p> Gateway<'p> {
    fn new(policy: &'p Policy) -> Self {
        Gateway {
            policy,
            polled: policy.polled(),
            limits: LocalStore::default(),
            quotas: Quotas::new(1),
            tokens: TokenCache::new(1_000, 1 << 20),
        }
    }

    fn decide<'r>(&mut self, headers: &'r [(&'r [u8], &'r [u8])]) -> portcullis::policy::decision::Verdict<'r> {
        let mut world = World {
            now: NOW,
            polled: &mut self.polled,
            limits: &mut self.limits,
            quotas: &mut self.quotas,
            tokens: &mut self.tokens,
            verifier: &Software,
            peer: &KnownPeer::default(),
            fresh_id: &|| "fresh".to_owned(),
            trace: None,
        };
        self.policy.decide(&parts(headers), &mut world)
    }
}

fn parts<'r>(headers: &'r [(&'r [u8], &'r [u8])]) -> RequestParts<'r> {
    RequestParts { headers, received_at: NOW, again: false, ended: true }
}

/// A request as a browser sends it.
struct Sent(Vec<(String, String)>);

impl Sent {
    fn headers(&self) -> Vec<(&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
    }
}

fn request(method: &str, path: &str, token: Option<&str>) -> Sent {
    let mut headers = vec![
        (":authority", "api.example.com".to_owned()),
        (":path", path.to_owned()),
        (":method", method.to_owned()),
        (":scheme", "https".to_owned()),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0".to_owned()),
        ("accept", "application/json".to_owned()),
        ("accept-language", "en-GB,en;q=0.7".to_owned()),
        ("accept-encoding", "gzip, deflate".to_owned()),
        ("origin", "https://admin.example.com".to_owned()),
        ("x-forwarded-proto", "https".to_owned()),
        ("x-request-id", "b2a1f0de-1111-4222-8333-444455556666".to_owned()),
    ];
    headers.extend(token.map(|token| ("authorization", format!("Bearer {token}"))));
    if method == "OPTIONS" {
        headers.push(("access-control-request-method", "GET".to_owned()));
        headers.push(("access-control-request-headers", "authorization".to_owned()));
    }
    Sent(headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn token() -> String {
    let claims = json!({
        "iss": "https://auth.example.com", "aud": "orders-api", "iat": NOW.as_secs(), "exp": NOW.as_secs() + 3_600,
        "sub": "user-7d9f31", "org_id": "org-5521", "user_id": "user-7d9f31", "email": "ada@example.com",
        "role": "editor", "scope": "orders:list orders:read",
    });
    let header = Header::empty().with_token_type("JWT");
    Hs256.token(&header, &Claims::new(claims), &Hs256Key::new(SECRET)).unwrap_or_default()
}

fn policy() -> Option<Policy> {
    let routes = (0..100).map(|number| json!({ "path": format!("/api/v1/r{number}/items/{{id}}"), "upstream": "api" }));
    let own = [
        json!({ "path": "/health", "auth": "none", "response": { "body": { "status": "ok" } } }),
        json!({ "path": "/api/v1/orders/{id}", "upstream": "api", "scopes": ["orders:read"] }),
    ];
    let document = json!({
        "version": "1.0",
        "issuers": [{
            "name": "accounts", "issuer": "https://auth.example.com", "audiences": ["orders-api"], "secret": { "env": "SECRET" },
        }],
        "identity_headers": {
            "X-Org-ID": "org_id", "X-User-ID": "user_id", "X-User-Email": "email", "X-User-Role": "role",
        },
        "cors": {
            "allow_origins": ["https://admin.example.com"], "allow_methods": ["GET"], "allow_headers": ["authorization"],
            "expose_headers": ["x-trace-id"], "allow_credentials": true,
        },
        "upstreams": { "api": { "url": "http://127.0.0.1:9000", "preserve_host": true } },
        "audit": { "to": "access_log" },
        "routes": own.into_iter().chain(routes).collect::<Vec<_>>(),
    });
    let environment = |name: &str| (name == "SECRET").then(|| SECRET.to_owned());
    let node = source::read(document.to_string().as_bytes());
    let compiled = node.map(|node| Policy::from_node(&node, &environment).map_err(|problems| format!("{problems:?}")));
    assert!(matches!(compiled, Ok(Ok(_))), "{compiled:?}");
    compiled.ok()?.ok()
}

const SECRET: &str = "bench-only-secret-0123456789abcdef-0123456789abcdef";
const NOW: Duration = Duration::from_secs(1_800_000_000);
const VECTORS: &str = include_str!("../src/policy/signature/vectors.json");
