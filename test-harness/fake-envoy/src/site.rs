//! The document of the gateway, and the requests with their expected decisions.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_compact::{KeyPair, Seed};
use serde_json::json;

use crate::random::Random;

/// The counters of the module, with their numbers of labels.
pub const COUNTERS: [(&str, usize); 7] = [
    ("portcullis_requests_total", 2),
    ("portcullis_refusals_total", 2),
    ("portcullis_response_faults_total", 2),
    ("portcullis_authentications_total", 2),
    ("portcullis_limit_hits_total", 2),
    ("portcullis_calls_total", 3),
    ("portcullis_panics_total", 0),
];

/// The number of `portcullis_panics_total` in [`COUNTERS`].
pub const PANICS: usize = 6;

/// The expected decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The request is forwarded.
    Forwarded,
    /// The request is refused with this status.
    Refused(u32),
    /// The request is forwarded, or refused with one of these statuses.
    Either(&'static [u32]),
}

/// A request with the response of its upstream.
pub struct Request {
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<Vec<u8>>,
    pub trailers: bool,
    pub response: Vec<u8>,
    pub is_mapped: bool,
    pub is_grpc: bool,
    pub expect: Expect,
}

/// Returns the document. `rate` is the rate of the local limit.
pub fn document(rate: usize) -> String {
    json!({
        "version": "1.0",
        "environment": "test",
        "issuers": [{ "name": "accounts", "issuer": "https://issuer.example", "audiences": ["orders-api"],
            "jwks": { "uri": "https://issuer.example/jwks", "cluster": "issuer" } }],
        "identity_headers": { "X-User-ID": "sub" },
        "api_keys": { "from": [{ "header": "X-API-Key" }] },
        "clients": [{ "id": "billing", "owner": "payments@example.com", "purpose": "settles orders at night", "keys":
            [{ "id": "b-1", "prefix": "pck_test_bill0000ing1",
               "hash": "sha256:e9e2de7848614c3ade03610a9cd630406a8b86a674aab267875ae4b35bf5e571" }] }],
        "upstreams": { "orders": { "url": "http://orders.internal" } },
        "rate_limit_service": { "cluster": "limits", "url": "http://limits.internal:8081" },
        "limits": [
            { "name": "local", "by": "route", "rate": format!("{rate}/s"), "routes": ["limited"] },
            { "name": "shared", "by": "user", "rate": "500/s", "store": "global", "lease": { "most": 1 }, "routes": ["shared"] },
        ],
        "routes": [
            { "name": "public", "path": "/public", "auth": "none", "upstream": "orders" },
            { "name": "orders", "path": "/orders", "upstream": "orders" },
            { "name": "keys", "path": "/keys", "upstream": "orders", "auth": { "any_of": ["api_key"] } },
            { "name": "limited", "path": "/limited", "auth": "none", "upstream": "orders" },
            { "name": "json", "path": "/json", "auth": "none", "upstream": "orders",
              "checks": { "json": { "max_depth": 3, "required": true } } },
            { "name": "both", "path": "/both", "upstream": "orders", "checks": { "json": { "max_depth": 3 } } },
            { "name": "mapped", "path": "/mapped", "auth": "none", "upstream": "orders", "jsonapi": { "type": "things" } },
            { "name": "shared", "path": "/shared", "upstream": "orders" },
        ],
        "audit": { "to": "access_log" },
    })
    .to_string()
}

/// Creates a request of a random kind.
pub fn request(random: &mut Random) -> Request {
    let (good, none) = (b"{\"a\":[1,2]}".as_slice(), b"".as_slice());
    let waits: &[u32] = &[429, 503];
    let kinds: [(&str, Credential, &[u8], Expect); 14] = [
        ("/public", Credential::None, none, Expect::Forwarded),
        ("/public", Credential::None, &[b'x'; 3000], Expect::Forwarded),
        ("/orders", Credential::Token, none, Expect::Either(waits)),
        ("/orders", Credential::Token, good, Expect::Either(waits)),
        ("/orders", Credential::BadToken, good, Expect::Either(&[401, 503])),
        ("/orders", Credential::None, good, Expect::Refused(401)),
        ("/keys", Credential::Key, none, Expect::Forwarded),
        ("/keys", Credential::BadKey, none, Expect::Refused(401)),
        ("/limited", Credential::None, none, Expect::Either(&[429])),
        ("/json", Credential::None, good, Expect::Forwarded),
        ("/json", Credential::None, b"{\"a\":[[[[1]]]]}", Expect::Refused(422)),
        ("/both", Credential::Token, good, Expect::Either(waits)),
        ("/mapped", Credential::None, none, Expect::Forwarded),
        ("/shared", Credential::Token, none, Expect::Either(waits)),
    ];
    let chosen = random.below(kinds.len() + 1);
    let (path, credential, body, expect) =
        kinds.into_iter().nth(chosen).unwrap_or(("/nowhere", Credential::None, none, Expect::Refused(404)));
    let is_grpc = body.is_empty() && path != "/mapped" && random.one_in(4);
    let method = if body.is_empty() && !is_grpc { "GET" } else { "POST" };
    let mut headers = vec![
        (":method", method.to_string()),
        (":path", path.to_string()),
        (":authority", "api.example.com".to_string()),
        (":scheme", "https".to_string()),
        ("x-user-id", FORGED.to_string()),
        ("x_user_id", FORGED.to_string()),
    ];
    if is_grpc {
        headers.push(("content-type", "application/grpc".to_string()));
    } else if !body.is_empty() {
        headers.push(("content-type", "application/json".to_string()));
    }
    match credential {
        Credential::None => {}
        Credential::Token => headers.push(("authorization", format!("Bearer {}", token(random.below(40), true)))),
        Credential::BadToken => headers.push(("authorization", format!("Bearer {}", token(random.below(40), false)))),
        Credential::Key => headers.push(("x-api-key", KEY.to_string())),
        Credential::BadKey => headers.push(("x-api-key", KEY.replace("HsT3", "HsT4"))),
    }
    let size = 1 + random.below(body.len().max(1));
    let is_mapped = path == "/mapped";
    Request {
        headers: headers.into_iter().map(|(name, value)| (name.to_string(), value.into_bytes())).collect(),
        body: body.chunks(size.max(300)).map(<[u8]>::to_vec).collect(),
        trailers: !body.is_empty() && random.one_in(4),
        response: br#"{"id":"7","name":"ada"}"#.to_vec(),
        is_mapped,
        is_grpc,
        expect,
    }
}

#[derive(Clone, Copy)]
enum Credential {
    None,
    Token,
    BadToken,
    Key,
    BadKey,
}

/// The value of an identity header that a client forges.
pub const FORGED: &str = "root";
const KEY: &str = "pck_test_bill0000ing1_HsT3cLqXo9vWm2BzYk7RfPd4NaEj8UiG49r4gm";

/// Returns the key set of the issuer.
pub fn key_set() -> String {
    let x = URL_SAFE_NO_PAD.encode(pair().pk.as_ref());
    json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k", "use": "sig", "alg": "EdDSA", "x": x }] })
        .to_string()
}

fn token(user: usize, is_good: bool) -> String {
    static BEGIN: OnceLock<u64> = OnceLock::new();
    let now = *BEGIN.get_or_init(unix_seconds);
    let header = json!({ "alg": "EdDSA", "kid": "k", "typ": "JWT" });
    let claims = json!({ "iss": "https://issuer.example", "aud": "orders-api", "sub": format!("user-{user}"),
        "iat": now, "exp": now + 3600 });
    let signed = format!("{}.{}", encode(&header.to_string()), encode(&claims.to_string()));
    let mut signature = pair().sk.sign(signed.as_bytes(), None).to_vec();
    signature.iter_mut().take(usize::from(!is_good)).for_each(|byte| *byte ^= 1);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn pair() -> KeyPair {
    KeyPair::from_seed(Seed::new([7; 32]))
}

#[expect(clippy::disallowed_methods, reason = "tokens are valid at the real time")]
fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Returns the answer of the rate limit service with its gRPC frame: `RateLimitResponse { overall_code = 1 }`, which is 1 (OK) or
/// 2 (OVER_LIMIT).
pub fn limit_answer(request: &[u8], is_over: bool) -> Vec<u8> {
    if request.len() < 5 {
        crate::checks::problem("a gRPC call has no frame");
    }
    vec![0, 0, 0, 0, 2, 0x08, if is_over { 2 } else { 1 }]
}
