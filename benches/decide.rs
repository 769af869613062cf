//! Measures the time of a decision and of each of its stages, without Envoy: `cargo bench --bench decide`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::{Criterion, criterion_group, criterion_main};
use jwt_compact::alg::{Hs256, Hs256Key};
use jwt_compact::{AlgorithmExt, Claims, Header};
use portcullis::config::source;
use portcullis::gateway::Gateway;
use portcullis::gateway::command::Command;
use portcullis::gateway::shared::LocalData;
use portcullis::gateway::simulation::SimulatedHost;
use portcullis::gateway::transaction::Transaction;
use portcullis::gateway::waiting::StreamId;
use portcullis::policy::Policy;
use portcullis::policy::credentials::algorithm::Algorithm;
use portcullis::policy::credentials::jwks::{KeySet, KeySource};
use portcullis::policy::credentials::signature::{SignatureVerifier, SoftwareVerifier};
use portcullis::policy::credentials::token::UnverifiedToken;
use portcullis::policy::request::guard::{read_host, read_target};
use portcullis::policy::request::{Request, RequestParts};
use serde_json::{Value, json};

criterion_group!(benches, stages, signatures, whole);
criterion_main!(benches);

/// Measures the stages that read the request, remove forged headers and format the audit record.
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
    let mut site = Site::new(&policy);
    site.decide(&headers);
    let mut edits = Vec::new();
    criterion.bench_function("stage/audit", |b| {
        let transaction = site.decide(&headers).0;
        b.iter(|| black_box(transaction.record()).to_json());
    });
    let harmless: Vec<_> = headers.iter().filter(|header| policy.forged(&[**header]).is_empty()).copied().collect();
    criterion.bench_function("stage/strip", |b| {
        b.iter(|| {
            edits = policy.forged(black_box(&harmless));
            edits.len()
        });
    });
}

/// Measures the signature verification in Rust, with signatures from OpenSSL. In the filter, Envoy verifies RS and ES signatures.
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
        assert!(SoftwareVerifier.verify(key, algorithm, input.as_bytes(), &signature), "{name}");
        criterion.bench_function(&format!("verify/{name}"), |b| {
            b.iter(|| SoftwareVerifier.verify(black_box(key), algorithm, input.as_bytes(), black_box(&signature)));
        });
    }
}

/// Measures the whole decision: `Transaction::on_request_headers`, including the audit record.
fn whole(criterion: &mut Criterion) {
    let Some(policy) = policy() else { return };
    let token = token();
    // Changes the first character of the signature.
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
        let mut site = Site::new(&policy);
        assert_eq!(site.decide(&headers).1, forwarded, "{what}");
        criterion.bench_function(&format!("decide/{what}"), |b| {
            b.iter(|| site.decide(black_box(&headers)).0.record().to_json().len());
        });
    }
    let request = request("GET", "/api/v1/orders/42", Some(&token));
    let headers = request.headers();
    criterion.bench_function("decide/cold, HS256", |b| {
        let mut site = Site::new(&policy);
        b.iter(|| {
            site.gateway = Gateway::new(policy.clone(), &LocalData::default());
            site.decide(black_box(&headers)).0.record().to_json().len()
        });
    });
}

/// A gateway, and a host that simulates Envoy.
struct Site {
    gateway: Gateway,
    host: SimulatedHost<'static>,
}

impl Site {
    fn new(policy: &Arc<Policy>) -> Self {
        let gateway = Gateway::new(policy.clone(), &LocalData::default());
        Site { gateway, host: SimulatedHost::new(NOW) }
    }

    /// Passes the headers of a request to a new transaction. Returns the transaction, and `true` if it forwards the request.
    fn decide(&mut self, headers: &[(&[u8], &[u8])]) -> (Transaction, bool) {
        let mut transaction = Transaction::new(StreamId::default());
        let gateway = &self.gateway;
        let commands = self.host.with(None, |host| transaction.on_request_headers(gateway, headers, true, host));
        let forwards = !commands.iter().any(|command| matches!(command, Command::Reply(_)));
        (transaction, forwards)
    }
}

fn parts<'r>(headers: &'r [(&'r [u8], &'r [u8])]) -> RequestParts<'r> {
    RequestParts { headers, received_at: NOW, ended: true }
}

/// The headers of a request as a browser sends them.
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

fn policy() -> Option<Arc<Policy>> {
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
    compiled.ok()?.ok().map(Arc::new)
}

const SECRET: &str = "bench-only-secret-0123456789abcdef-0123456789abcdef";
const NOW: Duration = Duration::from_secs(1_800_000_000);
const VECTORS: &str = include_str!("../src/policy/credentials/signature/vectors.json");
