//! The outcome of one request: the response, the request that reached the upstream, and the audit record.

use serde_json::Value;

use crate::octets;

/// The names and values of header lines, in the order of arrival. Names are in lower case.
pub type Headers = Vec<(String, Vec<u8>)>;

/// The complete outcome of one request.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The status that the client received.
    pub status: u16,
    /// The headers that the client received.
    pub headers: Headers,
    /// The body that the client received.
    pub body: Vec<u8>,
    /// The request as the upstream received it, or `None` if no upstream received a request.
    pub forwarded: Option<Forwarded>,
    /// How often the key endpoint was called.
    pub fetches: usize,
    /// The audit record, if one was written.
    pub audit: Option<Value>,
}

/// A request as an upstream received it.
#[derive(Debug, Clone, Default)]
pub struct Forwarded {
    /// The name of the upstream.
    pub upstream: String,
    /// The method of the request.
    pub method: String,
    /// The path and the query of the request.
    pub path: String,
    /// The headers of the request.
    pub headers: Headers,
    /// The trailers of the request.
    pub trailers: Headers,
    /// The number of body bytes that arrived.
    pub body_bytes: usize,
}

impl Outcome {
    /// Returns the body as JSON, if it is valid JSON.
    pub fn body_json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// Returns all values of the header `name`, escaped with [`octets::escape`].
pub fn values(headers: &Headers, name: &str) -> Vec<String> {
    let same = |have: &&(String, Vec<u8>)| have.0.eq_ignore_ascii_case(name);
    headers.iter().filter(same).map(|(_, value)| octets::escape(value)).collect()
}

/// Formats headers for failure messages, one header on each line.
pub fn print(headers: &Headers) -> String {
    headers.iter().map(|(name, value)| format!("    {name}: {}\n", octets::escape(value))).collect()
}
