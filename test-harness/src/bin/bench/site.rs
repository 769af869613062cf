//! What all variants are set up to do: the routes, the claims that become headers, the origins, and the requests that are sent.

use crate::tokens::Algorithm;

/// One site, in front of one upstream.
#[derive(Debug, Clone, Copy)]
pub struct Site {
    /// How many protected routes it has: `/api/v1/r0/items/{id}` and so on.
    pub routes: usize,
    /// Whether its issuer signs with public keys or with a shared secret.
    pub shared_secret: bool,
    /// Whether each request leaves one JSON line in an access log.
    pub audit: bool,
    /// Whether each caller, told apart by the header [`CALLER`], may come [`CALLS`] times a day.
    pub limited: bool,
    /// The port of the upstream on 127.0.0.1.
    pub upstream: u16,
}

impl Site {
    /// A site of `routes` routes and public keys.
    pub fn new(upstream: u16, routes: usize) -> Self {
        Self { routes, shared_secret: false, audit: true, limited: false, upstream }
    }

    /// The same with the issuer that can verify `algorithm`.
    pub fn verifying(self, algorithm: Algorithm) -> Self {
        Self { shared_secret: algorithm == Algorithm::Hs256, ..self }
    }

    /// The algorithms whose keys it knows.
    pub fn algorithms(&self) -> &'static [Algorithm] {
        let [public @ .., shared] = &Algorithm::ALL;
        if self.shared_secret { std::slice::from_ref(shared) } else { public }
    }

    /// The path of a request that the last route answers.
    pub fn last_path(&self) -> String {
        format!("/api/v1/r{}/items/42", self.routes.saturating_sub(1))
    }
}

/// The bytes of one request.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nhost: gateway.bench.test\r\n{BROWSER}{lines}\r\n").into_bytes()
}

/// A cross-origin GET with a token.
pub fn call(path: &str, token: &str) -> Vec<u8> {
    request("GET", path, &[("origin", ORIGIN), ("authorization", &format!("Bearer {token}"))])
}

/// A cross-origin GET without one.
pub fn anonymous(path: &str) -> Vec<u8> {
    request("GET", path, &[("origin", ORIGIN)])
}

/// The preflight that a browser sends before `call`.
pub fn preflight(path: &str, origin: &str) -> Vec<u8> {
    let asks = [("access-control-request-method", "GET"), ("access-control-request-headers", "authorization")];
    request("OPTIONS", path, &[[("origin", origin)].as_slice(), &asks].concat())
}

/// A call of one of many callers.
pub fn call_of(path: &str, token: &str, caller: &str) -> Vec<u8> {
    request("GET", path, &[("origin", ORIGIN), ("authorization", &format!("Bearer {token}")), (CALLER, caller)])
}

/// The header that tells callers apart where they are limited.
pub const CALLER: &str = "x-caller";
/// How often each of them may come in a day.
pub const CALLS: usize = 10_000;
/// Upstream header and the claim it carries.
pub const IDENTITY: [(&str, &str); 4] =
    [("X-Org-ID", "org_id"), ("X-User-ID", "user_id"), ("X-User-Email", "email"), ("X-User-Role", "role")];
/// The allowed origin.
pub const ORIGIN: &str = "https://admin.example.com";
/// Methods that preflights are granted.
pub const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];
/// Request headers that preflights are granted.
pub const HEADERS: [&str; 2] = ["authorization", "content-type"];
/// The response header that scripts may read.
pub const EXPOSED: &str = "x-trace-id";
/// Seconds for which a preflight is good.
pub const MAX_AGE: u32 = 300;
/// The route that is answered by the proxy.
pub const HEALTH: &str = "/health";
/// A path that no route has.
pub const NOWHERE: &str = "/api/v2/nothing";
/// The answer of [`HEALTH`].
pub const HEALTH_BODY: &str = r#"{"status":"ok"}"#;
const BROWSER: &str = "user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    accept: application/json\r\naccept-language: en-GB,en;q=0.7\r\naccept-encoding: gzip, deflate\r\n";
