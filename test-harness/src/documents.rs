//! Documents that a server publishes under paths of their own, with validators, and every way in which that can fail.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::server::{self, Request, Response};

/// What is published, shared by the server and whoever changes it.
#[derive(Debug, Clone, Default)]
pub struct Documents(Arc<Mutex<BTreeMap<String, Published>>>);

#[derive(Debug, Default)]
struct Published {
    document: Value,
    fault: Fault,
    requests: usize,
    unchanged: usize,
}

/// How the endpoint of a document fails.
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
    /// A valid document of 5 MB, nearly all of it blank.
    Huge,
    /// The body breaks off half-way.
    Truncated,
    /// A document without anything in it.
    Empty,
    /// Status 302, to a place where the document is.
    Redirecting,
    /// Status 304, whatever was asked.
    NotModified,
    /// No answer until it fails differently or not at all; then that.
    Held,
}

impl Documents {
    /// Publishes a document under a path from now on.
    pub fn publish(&self, path: &str, document: Value) {
        self.lock().entry(path.to_owned()).or_default().document = document;
    }

    /// Fails like this from now on.
    pub fn fail(&self, path: &str, fault: Fault) {
        self.lock().entry(path.to_owned()).or_default().fault = fault;
    }

    /// How often a path was asked for.
    pub fn requests(&self, path: &str) -> usize {
        self.lock().get(path).map_or(0, |published| published.requests)
    }

    /// How often the answer was that nothing had changed.
    pub fn unchanged(&self, path: &str) -> usize {
        self.lock().get(path).map_or(0, |published| published.unchanged)
    }

    /// The text that an endpoint's answer holds now; none when it has no usable answer.
    pub fn text(&self, path: &str) -> Option<String> {
        let published = self.lock();
        let published = published.get(path)?;
        published.fault.text(&published.document)
    }

    /// The answer to a request; none when nothing is published under its path.
    pub(crate) async fn answer(&self, request: &Request) -> Option<io::Result<Response>> {
        let asked_for = request.uri().path();
        // Where a redirection leads to all is well: whoever follows one shows that by knowing the document.
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
            Fault::Down => return Some(Err(io::Error::other("down, as asked"))),
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
    /// What the body holds; none when there is no answer that could be taken for one.
    pub fn text(self, document: &Value) -> Option<String> {
        let whole = document.to_string();
        match self {
            Fault::None | Fault::Late => Some(whole),
            Fault::Garbage => Some("<!doctype html><title>Maintenance</title>".to_owned()),
            Fault::Huge => Some(whole + &" ".repeat(5_000_000)),
            Fault::Truncated => whole.get(..whole.len() / 2).map(str::to_owned),
            // A key set without keys; in any other document a member that nobody knows.
            Fault::Empty => Some(json!({ "keys": [] }).to_string()),
            Fault::Down | Fault::Slow | Fault::Error | Fault::Redirecting | Fault::NotModified | Fault::Held => None,
        }
    }
}

/// A validator as servers make them: quoted, and another for every text.
fn etag(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// Where redirections lead to.
pub const ELSEWHERE: &str = "/elsewhere.json";
