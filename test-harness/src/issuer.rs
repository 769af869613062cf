//! The development issuer: publishes a key set, mints tokens for the demo, and fails in every way a real one can.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::server::{self, Request, Response, Server};
use crate::token::TokenSpec;
use crate::upstream::percent_decoded;
use crate::{clock, keys};

/// The path of the key set.
pub const KEY_SET_PATH: &str = "/.well-known/jwks.json";

/// Where a redirection leads.
pub const ELSEWHERE: &str = "/elsewhere.json";

/// A running issuer.
#[derive(Debug)]
pub struct Issuer {
    server: Server,
    state: State,
}

/// How the key endpoint fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// It does not.
    #[default]
    None,
    /// The connection is closed without a response.
    Down,
    /// It does not fail, but the answer takes a second.
    Late,
    /// The answer takes 30 seconds.
    Slow,
    /// Status 500.
    Error,
    /// Status 200 with HTML.
    Garbage,
    /// A valid key set of 5 MB.
    Huge,
    /// The body breaks off half-way.
    Truncated,
    /// A key set without keys.
    Empty,
    /// A redirection to another path, where a key set of somebody else's is.
    Redirecting,
    /// No answer until it fails differently or not at all; then that.
    Held,
}

#[derive(Debug, Clone, Default)]
struct State(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    published: Vec<String>,
    fault: Fault,
    claims: Map<String, Value>,
    requests: BTreeMap<String, usize>,
}

impl Issuer {
    /// Starts one on `port` (0: any free one) that publishes the named keys.
    pub fn start(port: u16, published: &[&str]) -> Result<Self> {
        let state = State::default();
        state.lock().published = published.iter().map(|kid| (*kid).to_owned()).collect();
        let shared = state.clone();
        let server = Server::start(port, move |request| answer(shared.clone(), request))?;
        Ok(Self { server, state })
    }

    /// Its base URL, without a slash at the end; also the `iss` of its tokens.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Publishes these keys from now on, and no others.
    pub fn publish(&self, kids: &[impl AsRef<str>]) {
        self.state.lock().published = kids.iter().map(|kid| kid.as_ref().to_owned()).collect();
    }

    /// Fails like this from now on.
    pub fn fail(&self, fault: Fault) {
        self.state.lock().fault = fault;
    }

    /// Claims that every token of `POST /token` carries besides `iss`, `sub` and `scope`.
    pub fn default_claims(&self, claims: Map<String, Value>) {
        self.state.lock().claims = claims;
    }

    /// How often `path` was asked for.
    pub fn requests(&self, path: &str) -> usize {
        self.state.lock().requests.get(path).copied().unwrap_or(0)
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(state: State, request: Request) -> io::Result<Response> {
    let path = request.uri().path().to_owned();
    *state.lock().requests.entry(path.clone()).or_default() += 1;
    match (request.method().as_str(), path.as_str()) {
        ("GET", KEY_SET_PATH) => key_set(state).await,
        ("GET", ELSEWHERE) => json_reply(200, &keys::key_set(&["rsa-stranger"]).map_err(io::Error::other)?),
        ("POST", "/token") => token(state, request).await,
        _ => json_reply(404, &json!({ "error": "not_found" })),
    }
}

async fn key_set(state: State) -> io::Result<Response> {
    while state.lock().fault == Fault::Held {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (fault, published) = {
        let inner = state.lock();
        (inner.fault, inner.published.clone())
    };
    let mut set = keys::key_set(&published).map_err(io::Error::other)?;
    match fault {
        Fault::None | Fault::Held => {}
        Fault::Down => return Err(io::Error::other("down, as asked")),
        Fault::Late => tokio::time::sleep(Duration::from_secs(1)).await,
        Fault::Slow => tokio::time::sleep(Duration::from_secs(30)).await,
        Fault::Error => return json_reply(500, &json!({ "error": "server_error" })),
        Fault::Garbage => return server::reply(200, "text/html", "<!doctype html><title>Maintenance</title>"),
        Fault::Huge => set = json!({ "keys": set.get("keys"), "padding": "x".repeat(5_000_000) }),
        Fault::Truncated => {
            let whole = set.to_string();
            let half = whole.get(..whole.len() / 2).unwrap_or_default().to_owned();
            let response = hyper::Response::builder().header("content-type", "application/json");
            let response = response.header("content-length", whole.len()).body(server::broken_off(half));
            return response.map_err(io::Error::other);
        }
        Fault::Redirecting => {
            let response = hyper::Response::builder().status(302).header("location", ELSEWHERE);
            return response.body(server::full("")).map_err(io::Error::other);
        }
        Fault::Empty => set = json!({ "keys": [] }),
    }
    json_reply(200, &set)
}

/// RFC 6749 §4.4: the client credentials grant, for a client without a secret, because this is a demo.
async fn token(state: State, request: Request) -> io::Result<Response> {
    let header =
        |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (host, accept) = (header("host"), header("accept"));
    let form = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
    let form = String::from_utf8_lossy(&form).replace('+', " ");
    let field = |wanted: &str| {
        let pair = form.split('&').filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == wanted);
        pair.map(|(_, value)| percent_decoded(value))
    };
    let Some(client) = field("client_id").filter(|client| !client.is_empty()) else {
        return json_reply(400, &json!({ "error": "invalid_request", "error_description": "client_id is missing" }));
    };
    let lifetime: i64 = field("expires_in").and_then(|text| text.parse().ok()).unwrap_or(3600);
    let (claims, key) = {
        let inner = state.lock();
        (inner.claims.clone(), inner.published.first().cloned())
    };
    let mut spec = TokenSpec::of(&field("key").or(key).unwrap_or_default()).claim("sub", client.as_str());
    spec.claims.insert("iss".into(), format!("http://{host}").into());
    spec.claims.extend(field("scope").map(|scope| ("scope".to_owned(), scope.into())));
    spec.exp_in = Some(lifetime);
    match spec.mint(clock::unix_seconds(), &claims) {
        // For shells, which read plain text more easily than JSON.
        Ok(token) if accept == "text/plain" => server::reply(200, "text/plain", token),
        Ok(token) => json_reply(200, &json!({ "access_token": token, "token_type": "Bearer", "expires_in": lifetime })),
        Err(error) => json_reply(400, &json!({ "error": "invalid_request", "error_description": error.to_string() })),
    }
}

fn json_reply(status: u16, body: &Value) -> io::Result<Response> {
    server::reply(status, "application/json", body.to_string())
}
