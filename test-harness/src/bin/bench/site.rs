//! The task that all variants must perform: the routes, the identity headers, the CORS settings, and the requests.

use crate::tokens::Algorithm;

/// The settings that all variants are configured with.
#[derive(Debug, Clone, Copy)]
pub struct Site {
    /// The number of protected routes: `/api/v1/r0/items/{id}` and so on.
    pub routes: usize,
    /// Whether the issuer uses a shared secret instead of public keys.
    pub shared_secret: bool,
    /// Whether Envoy writes one JSON line to an access log for each request.
    pub audit: bool,
    /// Whether each caller may send only [`CALLS`] requests per day. The header [`CALLER`] identifies the caller.
    pub limited: bool,
    /// Whether a further route maps responses to JSON:API documents. Its paths start with [`MAPPED`].
    pub json_api: bool,
    /// The port of the upstream on 127.0.0.1.
    pub upstream: u16,
}

impl Site {
    /// Creates a site with `routes` protected routes, public keys and an access log, and without limits.
    pub fn new(upstream: u16, routes: usize) -> Self {
        Self { routes, shared_secret: false, audit: true, limited: false, json_api: false, upstream }
    }

    /// Returns this site with an issuer that signs tokens with `algorithm`.
    pub fn verifying(self, algorithm: Algorithm) -> Self {
        Self { shared_secret: algorithm == Algorithm::Hs256, ..self }
    }

    /// Returns the algorithms of the issuer's keys.
    pub fn algorithms(&self) -> &'static [Algorithm] {
        let [public @ .., shared] = &Algorithm::ALL;
        if self.shared_secret { std::slice::from_ref(shared) } else { public }
    }

    /// Returns a path that matches the last route.
    pub fn last_path(&self) -> String {
        self.last_path_to("42")
    }

    /// Returns a path that matches the last route and ends with `id`. The id selects the response of the upstream.
    pub fn last_path_to(&self, id: &str) -> String {
        format!("/api/v1/r{}/items/{id}", self.routes.saturating_sub(1))
    }
}

/// Returns the bytes of one request.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nhost: gateway.bench.test\r\n{BROWSER}{lines}\r\n").into_bytes()
}

/// Returns a cross-origin `GET` request with a token.
pub fn call(path: &str, token: &str) -> Vec<u8> {
    request("GET", path, &[("origin", ORIGIN), ("authorization", &format!("Bearer {token}"))])
}

/// Returns a cross-origin `GET` request without a token.
pub fn anonymous(path: &str) -> Vec<u8> {
    request("GET", path, &[("origin", ORIGIN)])
}

/// Returns the preflight request that a browser sends before the request of [`call`].
pub fn preflight(path: &str, origin: &str) -> Vec<u8> {
    let asks = [("access-control-request-method", "GET"), ("access-control-request-headers", "authorization")];
    request("OPTIONS", path, &[[("origin", origin)].as_slice(), &asks].concat())
}

/// Returns the request of [`call`] with the name of the caller in the header [`CALLER`].
pub fn call_of(path: &str, token: &str, caller: &str) -> Vec<u8> {
    request("GET", path, &[("origin", ORIGIN), ("authorization", &format!("Bearer {token}")), (CALLER, caller)])
}

/// The header that identifies callers for the limit.
pub const CALLER: &str = "x-caller";
/// The daily limit of each caller.
pub const CALLS: usize = 10_000;
/// The identity headers and the claim that each of them contains.
pub const IDENTITY: [(&str, &str); 4] =
    [("X-Org-ID", "org_id"), ("X-User-ID", "user_id"), ("X-User-Email", "email"), ("X-User-Role", "role")];
/// The allowed origin.
pub const ORIGIN: &str = "https://admin.example.com";
/// The methods that CORS allows.
pub const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];
/// The request headers that CORS allows.
pub const HEADERS: [&str; 2] = ["authorization", "content-type"];
/// The response header that scripts may read.
pub const EXPOSED: &str = "x-trace-id";
/// The time in seconds for which browsers may cache a preflight response.
pub const MAX_AGE: u32 = 300;
/// The path of the static route, which the proxy answers itself.
pub const HEALTH: &str = "/health";
/// The start of the paths that match the route with `jsonapi`.
pub const MAPPED: &str = "/api/v1/mapped";
/// A path that matches no route.
pub const NOWHERE: &str = "/api/v2/nothing";
/// The response body of [`HEALTH`].
pub const HEALTH_BODY: &str = r#"{"status":"ok"}"#;
const BROWSER: &str = "user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    accept: application/json\r\naccept-language: en-GB,en;q=0.7\r\naccept-encoding: gzip, deflate\r\n";
