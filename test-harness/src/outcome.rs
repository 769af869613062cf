//! What became of one request, seen from outside: what the client got, what the upstream got, what was written down.

use serde_json::Value;

use crate::octets;

/// Header lines in their order; names in lower case.
pub type Headers = Vec<(String, Vec<u8>)>;

/// The whole effect of one request.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The status the client received.
    pub status: u16,
    /// The headers the client received.
    pub headers: Headers,
    /// The body the client received.
    pub body: Vec<u8>,
    /// The request as the upstream received it; `None` when nothing reached any upstream.
    pub forwarded: Option<Forwarded>,
    /// How often the key endpoint was asked.
    pub fetches: usize,
    /// The audit record, when one was written.
    pub audit: Option<Value>,
}

/// One request as an upstream received it.
#[derive(Debug, Clone, Default)]
pub struct Forwarded {
    /// The name of the upstream.
    pub upstream: String,
    /// Its method.
    pub method: String,
    /// Its path with the query.
    pub path: String,
    /// Its headers.
    pub headers: Headers,
    /// Its trailers.
    pub trailers: Headers,
    /// How many body bytes arrived.
    pub body_bytes: usize,
}

impl Outcome {
    /// The body as JSON, when it is that.
    pub fn body_json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// All values of the header `name`, escaped as [`octets::escape`] does.
pub fn values(headers: &Headers, name: &str) -> Vec<String> {
    let same = |have: &&(String, Vec<u8>)| have.0.eq_ignore_ascii_case(name);
    headers.iter().filter(same).map(|(_, value)| octets::escape(value)).collect()
}

/// Header lines for a person to read.
pub fn print(headers: &Headers) -> String {
    headers.iter().map(|(name, value)| format!("    {name}: {}\n", octets::escape(value))).collect()
}
