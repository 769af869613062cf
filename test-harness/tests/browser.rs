//! Tests cross-origin calls and requests with cookies from a real Chromium through Envoy.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use test_harness::case::CaseFile;
use test_harness::runner::{self, Check, Group};
use test_harness::server::{self, Server};
use test_harness::stage::Stage;
use test_harness::token::TokenSpec;
use test_harness::{clock, envoy, node, ports};

fn main() -> ExitCode {
    let (calls, acts) = match (serde_saphyr::from_str::<Vec<Call>>(CALLS), serde_saphyr::from_str::<Vec<Act>>(ACTS)) {
        (Ok(calls), Ok(acts)) => (calls, acts),
        (calls, acts) => {
            eprintln!("error: CALLS or ACTS in tests/browser.rs cannot be parsed: {:?} {:?}", calls.err(), acts.err());
            return ExitCode::FAILURE;
        }
    };
    let cookies = Group {
        name: "browser/cookies".to_owned(),
        checks: acts.iter().map(|act| act.name.clone()).collect(),
        set_up: Box::new(move || {
            let verdicts = act(&acts)?;
            let check: Check = Box::new(move |index| match (acts.get(index), verdicts.get(index)) {
                (Some(act), Some(verdict)) => act.judge(verdict),
                _ => Err("the browser returned no result for this call".to_owned()),
            });
            Ok(check)
        }),
    };
    let checks = calls.iter().map(|call| call.name.clone()).collect();
    let set_up = Box::new(move || {
        let verdicts = browse(&calls)?;
        let check: Check = Box::new(move |index| match (calls.get(index), verdicts.get(index)) {
            (Some(call), Some(verdict)) => call.judge(verdict),
            _ => Err("the browser returned no result for this call".to_owned()),
        });
        Ok(check)
    });
    runner::run(vec![Group { name: "browser/chromium".to_owned(), checks, set_up }, cookies], 1)
}

/// One call of a script and its expected result in the browser.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    name: String,
    /// The host of the page that runs the script.
    from: String,
    path: String,
    #[serde(default)]
    init: Map<String, Value>,
    /// Whether the script sends a valid token.
    #[serde(default)]
    token: bool,
    /// The status that the script can read, or `None` if the browser blocks the call.
    #[serde(default)]
    status: Option<u16>,
    /// Chromium's error code, such as `MissingAllowOriginHeader`, if Chromium blocks the call.
    #[serde(default)]
    blocked: Option<String>,
    /// Headers that the script can read (`*`) or cannot read (`-`).
    #[serde(default)]
    headers: Map<String, Value>,
}

/// The result of a call, as `browser/cors.mjs` prints it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    status: Option<u16>,
    cors_error: Option<String>,
    #[serde(default)]
    headers: Map<String, Value>,
}

impl Call {
    fn judge(&self, verdict: &Verdict) -> Result<(), String> {
        let readable = |name: &String| verdict.headers.contains_key(name);
        let headers_hold = self.headers.iter().all(|(name, wanted)| readable(name) == (wanted == "*"));
        if verdict.status == self.status && verdict.cors_error == self.blocked && headers_hold {
            return Ok(());
        }
        Err(format!("expected {self:?}\ngot {verdict:?}"))
    }
}

/// A request that a page makes with the visitor's cookie, and the expected response of the gateway.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Act {
    name: String,
    /// The page: `own` for a page of the gateway, or `foreign` for a page on another port of the gateway's host.
    from: String,
    /// The kind of request, as named in `browser/forgery.mjs`.
    way: String,
    /// The name of the visitor's cookie.
    cookie: String,
    status: u16,
}

/// The gateway's response, as `browser/forgery.mjs` prints it.
#[derive(Debug, Clone, Deserialize)]
struct Answer {
    status: Option<u16>,
    opened: bool,
}

impl Act {
    fn judge(&self, answer: &Answer) -> Result<(), String> {
        if answer.status == Some(self.status) && answer.opened == (self.status == 101) {
            return Ok(());
        }
        Err(format!("expected {self:?}\ngot {answer:?}"))
    }
}

fn act(acts: &[Act]) -> Result<Vec<Answer>> {
    let page = Server::start(0, |_| async { server::reply(200, "text/html", "<!doctype html><title>page</title>") })?;
    let [sockets] = ports::free()?;
    let file: CaseFile = serde_saphyr::from_str(&COOKIES.replace("SOCKETS", &sockets.to_string()))?;
    let mut stage = Stage::set(&file, &envoy::module()?)?;
    let gate = format!("http://127.0.0.1:{}", stage.port);
    let own_issuer = stage.scene.issuer.url();
    let asked = acts.iter().map(|act| {
        let issuer = if act.cookie == "unchecked" { "https://unchecked.example" } else { &own_issuer };
        let claims = json!({ "iss": issuer, "aud": "orders-api", "sub": "user-1" });
        let token = TokenSpec::of("rsa-1").mint(clock::unix_seconds(), claims.as_object().context("claims")?)?;
        let page = if act.from == "own" { format!("{gate}/page") } else { page.url() };
        let path = if act.way == "socket" { "/socket" } else { "/orders" };
        let cookie = json!({ "name": act.cookie, "value": token, "url": gate, "sameSite": "Lax" });
        Ok(json!({ "page": page, "way": act.way, "url": format!("{gate}{path}"), "cookie": cookie }))
    });
    let asked: Vec<Value> = asked.collect::<Result<_>>()?;
    let job = json!({ "chromiumPath": chromium_path()?, "sockets": sockets, "calls": asked });
    let answers = node::run("forgery.mjs", &job)?;
    stage.filter_never_failed()?;
    Ok(answers)
}

fn browse(calls: &[Call]) -> Result<Vec<Verdict>> {
    let page = Server::start(0, |_| async { server::reply(200, "text/html", "<!doctype html><title>page</title>") })?;
    let pages = page.address().port();
    let policy = POLICY.replace("PORT", &pages.to_string());
    let file: CaseFile = serde_saphyr::from_str(&policy).context("the policy of tests/browser.rs")?;
    let mut stage = Stage::set(&file, &envoy::module()?)?;
    let claims = json!({ "iss": stage.scene.issuer.url(), "aud": "orders-api", "sub": "user-1" });
    let token = TokenSpec::of("rsa-1").mint(clock::unix_seconds(), claims.as_object().context("claims")?)?;
    let asked: Vec<_> = calls
        .iter()
        .map(|call| {
            let mut init = call.init.clone();
            if call.token {
                init.insert("headers".to_owned(), json!({ "authorization": format!("Bearer {token}") }));
            }
            let page = format!("http://{}:{pages}/", call.from);
            json!({ "page": page, "url": format!("http://127.0.0.1:{}{}", stage.port, call.path), "init": init })
        })
        .collect();
    let verdicts = node::run("cors.mjs", &json!({ "chromiumPath": chromium_path()?, "calls": asked }))?;
    stage.filter_never_failed()?;
    Ok(verdicts)
}

fn chromium_path() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM").filter(|named| !named.is_empty()) {
        return Ok(named.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("chromium")).find(|program| program.is_file());
    found.context("no Chromium: run `make browser`, or set $CHROMIUM")
}

/// The pages have hosts such as `allowed.localhost`. Every browser resolves them to the loopback address (RFC 6761 §6.3).
const POLICY: &str = r#"
about: Cross-origin requests from a browser.
policy:
  version: "1.0"
  issuers:
    - { name: accounts, issuer: "${ISSUER}", audiences: [orders-api], jwks: { uri: "${JWKS}", cluster: issuer } }
  cors:
    allow_origins: ["http://allowed.localhost:PORT", "http://*.tenant.localhost:PORT"]
    allow_methods: [GET, PUT]
    allow_headers: [Authorization, Content-Type]
    expose_headers: [X-Total]
    allow_credentials: true
    max_age: 60
  upstreams: { orders: { url: "${UPSTREAM.orders}" } }
  routes:
    - { path: /health, auth: none, response: { body: { status: ok } } }
    - { path: /open, auth: none, upstream: orders }
    - { path: /orders, upstream: orders }
cases: []
"#;

const CALLS: &str = r#"
- { name: a listed origin reads a static route, from: allowed.localhost, path: /health, status: 200 }
- { name: a listed origin reads the upstream's answer, from: allowed.localhost, path: /open, status: 200 }
- { name: a subdomain of a listed pattern may call, from: a.tenant.localhost, path: /open, status: 200 }
- { name: an unlisted origin may not read a static route, from: evil.localhost, path: /health, blocked: MissingAllowOriginHeader }
- { name: an unlisted origin may not read the upstream's answer, from: evil.localhost, path: /open, blocked: MissingAllowOriginHeader }
- { name: the bare domain of a pattern is not listed by it, from: tenant.localhost, path: /open, blocked: MissingAllowOriginHeader }
- { name: a listed method passes its preflight, from: allowed.localhost, path: /open, status: 200,
    init: { method: PUT, body: '{}', headers: { content-type: application/json } } }
- { name: an unlisted method is blocked, from: allowed.localhost, path: /open, init: { method: DELETE }, blocked: MethodDisallowedByPreflightResponse }
- { name: an unlisted header is blocked, from: allowed.localhost, path: /open, init: { headers: { x-other: '1' } }, blocked: HeaderDisallowedByPreflightResponse }
- { name: an unlisted origin fails at the preflight, from: evil.localhost, path: /open, init: { method: PUT }, blocked: PreflightMissingAllowOriginHeader }
- { name: a preflight needs no token and the call with one passes, from: allowed.localhost, path: /orders, token: true, status: 200 }
- { name: a refusal can be read by a listed origin, from: allowed.localhost, path: /orders, status: 401 }
- { name: a call with cookies may be read, from: allowed.localhost, path: /open, init: { credentials: include }, status: 200 }
- { name: only exposed headers can be read, from: allowed.localhost, path: '/open?h.x-total=7&h.x-inner=1', status: 200, headers: { x-total: '*', x-inner: '-' } }
- { name: the upstream's own permission does not count, from: evil.localhost, path: '/open?h.access-control-allow-origin=*', blocked: MissingAllowOriginHeader }
"#;

/// The foreign page and the gateway differ only in the port. They belong to one site, so `SameSite` does not block the
/// visitor's cookies.
const COOKIES: &str = r#"
about: Requests from pages with the visitor's cookie.
policy:
  version: "1.0"
  issuers:
    - { name: accounts, issuer: "${ISSUER}", audiences: [orders-api], jwks: { uri: "${JWKS}", cluster: issuer }, token_from: [{ cookie: session }] }
    - name: unchecked
      issuer: https://unchecked.example
      audiences: [orders-api]
      jwks: { uri: "${JWKS}", cluster: issuer }
      token_from: [{ cookie: unchecked, insecure_cross_origin: true }]
  upstreams: { orders: { url: "${UPSTREAM.orders}" }, sockets: { url: "http://127.0.0.1:SOCKETS" } }
  routes:
    - { path: /page, auth: none, response: { body: { status: ok } } }
    - { path: /orders, upstream: orders }
    - { path: /socket, upstream: sockets }
cases: []
"#;

const ACTS: &str = r#"
- { name: a foreign page cannot post by fetch, from: foreign, way: fetch, cookie: session, status: 403 }
- { name: nor without asking for CORS, from: foreign, way: no-cors, cookie: session, status: 403 }
- { name: nor by a form, from: foreign, way: form, cookie: session, status: 403 }
- { name: nor open a WebSocket, from: foreign, way: socket, cookie: session, status: 403 }
- { name: the own page can post by fetch, from: own, way: fetch, cookie: session, status: 200 }
- { name: and without asking for CORS, from: own, way: no-cors, cookie: session, status: 200 }
- { name: and by a form, from: own, way: form, cookie: session, status: 200 }
- { name: and open a WebSocket, from: own, way: socket, cookie: session, status: 101 }
- { name: unchecked a foreign page posts by fetch, from: foreign, way: fetch, cookie: unchecked, status: 200 }
- { name: unchecked it posts without asking for CORS, from: foreign, way: no-cors, cookie: unchecked, status: 200 }
- { name: unchecked it posts by a form, from: foreign, way: form, cookie: unchecked, status: 200 }
- { name: unchecked it opens a WebSocket, from: foreign, way: socket, cookie: unchecked, status: 101 }
"#;
