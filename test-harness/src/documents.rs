//! Documents that the issuer publishes by path, with `ETag` validators and with simulated failures.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::server::{self, Request, Response};

/// The published documents, shared by the server and the test.
#[derive(Debug, Clone, Default)]
pub struct Documents(Arc<Mutex<BTreeMap<String, Published>>>);

#[derive(Debug, Default)]
struct Published {
    document: Value,
    fault: Fault,
    requests: usize,
    unchanged: usize,
}

/// The failure that a document endpoint simulates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The endpoint works.
    #[default]
    None,
    /// The server closes the connection without a response.
    Down,
    /// The response is correct but takes one second.
    Late,
    /// The response takes 30 seconds, has status 200 and has an empty body.
    Slow,
    /// The response has status 500.
    Error,
    /// The response has status 200 and an HTML body.
    Garbage,
    /// The response is a valid document followed by 5 MB of whitespace.
    Huge,
    /// The connection is closed after half of the body.
    Truncated,
    /// The response is a key set without keys, even if the endpoint should return another kind of document.
    Empty,
    /// The response has status 302 and redirects to a working copy of the document.
    Redirecting,
    /// The response always has status 304.
    NotModified,
    /// The server does not respond until the fault changes. Then it responds according to the new fault.
    Held,
}

impl Documents {
    /// Publishes a document under a path.
    pub fn publish(&self, path: &str, document: Value) {
        self.lock().entry(path.to_owned()).or_default().document = document;
    }

    /// Sets the failure that the endpoint at a path simulates.
    pub fn fail(&self, path: &str, fault: Fault) {
        self.lock().entry(path.to_owned()).or_default().fault = fault;
    }

    /// Returns how often a path was requested.
    pub fn requests(&self, path: &str) -> usize {
        self.lock().get(path).map_or(0, |published| published.requests)
    }

    /// Returns how often the server returned 304 because the client already had the current document.
    pub fn unchanged(&self, path: &str) -> usize {
        self.lock().get(path).map_or(0, |published| published.unchanged)
    }

    /// Returns the body of the endpoint's current response with status 200, or `None` if the endpoint does not send such a body.
    pub fn text(&self, path: &str) -> Option<String> {
        let published = self.lock();
        let published = published.get(path)?;
        published.fault.text(&published.document)
    }

    /// Returns the response to a request, or `None` if nothing is published under its path.
    pub(crate) async fn answer(&self, request: &Request) -> Option<io::Result<Response>> {
        let asked_for = request.uri().path();
        // The target of a redirect always works. If a gateway wrongly followed the redirect, it would therefore receive the
        // document, and the test would fail.
        let path = if asked_for == ELSEWHERE { request.uri().query()? } else { asked_for };
        if !self.lock().contains_key(path) {
            return None;
        }
        self.lock().entry(asked_for.to_owned()).or_default().requests += 1;
        while asked_for == path && self.state(path).0 == Fault::Held {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let (fault, document) = self.state(path);
        let fault = if asked_for == ELSEWHERE { Fault::None } else { fault };
        match fault {
            Fault::Down => return Some(Err(io::Error::other("the simulated failure closes the connection"))),
            Fault::Late => tokio::time::sleep(Duration::from_secs(1)).await,
            Fault::Slow => tokio::time::sleep(Duration::from_secs(30)).await,
            _ => {}
        }
        let text = fault.text(&document).unwrap_or_default();
        let etag = etag(&text);
        let asked = request.headers().get("if-none-match").and_then(|value| value.to_str().ok());
        let response = hyper::Response::builder();
        let response = match fault {
            Fault::Error => return Some(server::reply(500, "application/json", r#"{"error":"server_error"}"#)),
            Fault::Garbage => response.header("content-type", "text/html").body(server::full(text)),
            Fault::Redirecting => {
                response.status(302).header("location", format!("{ELSEWHERE}?{path}")).body(server::full(""))
            }
            Fault::Truncated => {
                let whole = document.to_string().len();
                response.header("content-length", whole).body(server::broken_off(text))
            }
            Fault::NotModified => response.status(304).body(server::full("")),
            _ if asked == Some(etag.as_str()) => {
                self.lock().entry(path.to_owned()).or_default().unchanged += 1;
                response.status(304).header("etag", etag).body(server::full(""))
            }
            _ => response.header("content-type", "application/json").header("etag", etag).body(server::full(text)),
        };
        Some(response.map_err(io::Error::other))
    }

    fn state(&self, path: &str) -> (Fault, Value) {
        self.lock().get(path).map(|published| (published.fault, published.document.clone())).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Published>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fault {
    /// Returns the body of the response with status 200 that an endpoint with this fault sends. Returns `None` if the endpoint
    /// sends no such body.
    pub fn text(self, document: &Value) -> Option<String> {
        let whole = document.to_string();
        match self {
            Fault::None | Fault::Late => Some(whole),
            Fault::Garbage => Some("<!doctype html><title>Maintenance</title>".to_owned()),
            Fault::Huge => Some(whole + &" ".repeat(5_000_000)),
            Fault::Truncated => whole.get(..whole.len() / 2).map(str::to_owned),
            // The endpoint of a client document or a revocation list sends this body too. The gateway must refuse it, because
            // these documents have no member `keys`.
            Fault::Empty => Some(json!({ "keys": [] }).to_string()),
            Fault::Down | Fault::Slow | Fault::Error | Fault::Redirecting | Fault::NotModified | Fault::Held => None,
        }
    }
}

/// Returns an `ETag` value for a response body: a quoted hash.
fn etag(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// The path that [`Fault::Redirecting`] redirects to.
pub const ELSEWHERE: &str = "/elsewhere.json";
