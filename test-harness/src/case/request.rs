//! The request of a case, as a person writes it down.

use std::net::IpAddr;

use serde::Deserialize;

use crate::token::TokenSpec;

/// A request. All texts of it are read by [`crate::octets::parse`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestSpec {
    /// The method; `GET` when absent.
    #[serde(default = "get")]
    pub method: String,
    /// The request target: path and query.
    pub path: String,
    /// The `Host`; `-` sends none.
    #[serde(default = "host")]
    pub host: String,
    /// The client's address, as a trusted proxy tells it to Envoy.
    #[serde(default)]
    pub from: Option<IpAddr>,
    /// The client certificate that is shown, by its name among the file's.
    #[serde(default)]
    pub certificate: Option<String>,
    /// Header lines, in order.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// A token; it takes the place of `${TOKEN}` in path and headers, or else is sent as `Authorization: Bearer`.
    #[serde(default)]
    pub token: Option<TokenSpec>,
    /// The body.
    #[serde(default)]
    pub body: String,
    /// A body of so many bytes in the place of a written one.
    #[serde(default)]
    pub body_bytes: Option<usize>,
    /// The body is sent without its length: in chunks over HTTP/1.
    #[serde(default)]
    pub chunked: bool,
    /// Trailer lines.
    #[serde(default)]
    pub trailers: Vec<(String, String)>,
}

fn get() -> String {
    "GET".to_owned()
}

fn host() -> String {
    "api.example.com".to_owned()
}
