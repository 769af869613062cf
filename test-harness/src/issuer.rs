//! The test issuer, which publishes a key set and other documents, issues tokens for the demo, and simulates failures.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use http_body_util::BodyExt;
use serde_json::{Map, Value, json};

use crate::documents::Documents;
pub use crate::documents::{ELSEWHERE, Fault};
use crate::server::{self, Request, Response, Server};
use crate::token::TokenSpec;
use crate::upstream::percent_decoded;
use crate::{clock, keys};

/// The path of the key set.
pub const KEY_SET_PATH: &str = "/.well-known/jwks.json";

/// A running issuer.
#[derive(Debug)]
pub struct Issuer {
    /// The published documents, with the key set under [`KEY_SET_PATH`].
    pub documents: Documents,
    server: Server,
    state: State,
}

#[derive(Debug, Clone, Default)]
struct State(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    published: Vec<String>,
    claims: Map<String, Value>,
}

impl Issuer {
    /// Starts an issuer on `port` (0: any free port) that publishes these keys.
    pub fn start(port: u16, published: &[&str]) -> Result<Self> {
        let (documents, state) = (Documents::default(), State::default());
        let shared = (documents.clone(), state.clone());
        let server = Server::start(port, move |request| answer(shared.0.clone(), shared.1.clone(), request))?;
        let issuer = Self { documents, server, state };
        issuer.publish(published);
        Ok(issuer)
    }

    /// Returns the base URL of the issuer without a trailing slash. The issuer's tokens have this URL as `iss`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Publishes these keys and removes all other keys.
    pub fn publish(&self, kids: &[impl AsRef<str>]) {
        self.state.lock().published = kids.iter().map(|kid| kid.as_ref().to_owned()).collect();
        // If a name is unknown, the issuer publishes an empty key set. Tests that need a key then fail with a clear message.
        self.documents.publish(KEY_SET_PATH, keys::key_set(kids).unwrap_or_default());
    }

    /// Sets the failure that the key endpoint simulates.
    pub fn fail(&self, fault: Fault) {
        self.documents.fail(KEY_SET_PATH, fault);
    }

    /// Sets the claims of every token from `POST /token`, in addition to `iss`, `sub` and `scope`.
    pub fn default_claims(&self, claims: Map<String, Value>) {
        self.state.lock().claims = claims;
    }

    /// Returns how often the document under `path` was requested.
    pub fn requests(&self, path: &str) -> usize {
        self.documents.requests(path)
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(documents: Documents, state: State, request: Request) -> io::Result<Response> {
    if request.method() == "POST" && request.uri().path() == "/token" {
        return token(state, request).await;
    }
    let published = documents.answer(&request).await;
    published.unwrap_or_else(|| json_reply(404, &json!({ "error": "not_found" })))
}

/// Issues a token with the client credentials grant (RFC 6749 §4.4). The demo does not require a client secret.
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
    spec.exp_in = Some(lifetime.into());
    match spec.mint(clock::unix_seconds(), &claims) {
        // A plain token is easier to use in shell commands than JSON.
        Ok(token) if accept == "text/plain" => server::reply(200, "text/plain", token),
        Ok(token) => json_reply(200, &json!({ "access_token": token, "token_type": "Bearer", "expires_in": lifetime })),
        Err(error) => json_reply(400, &json!({ "error": "invalid_request", "error_description": error.to_string() })),
    }
}

fn json_reply(status: u16, body: &Value) -> io::Result<Response> {
    server::reply(status, "application/json", body.to_string())
}
