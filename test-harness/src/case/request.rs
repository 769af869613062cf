//! The description of a request in a case file.

use std::net::IpAddr;

use serde::Deserialize;

use crate::token::TokenSpec;

/// The description of a request. [`crate::octets::parse`] converts each string to the bytes that are sent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestSpec {
    /// The method. The default is `GET`.
    #[serde(default = "get")]
    pub method: String,
    /// The request target: the path and the query.
    pub path: String,
    /// The `Host` header. With `-`, the request has no `Host` header.
    #[serde(default = "host")]
    pub host: String,
    /// The client's address, as a trusted proxy reports it to Envoy.
    #[serde(default)]
    pub from: Option<IpAddr>,
    /// The name of the client certificate in `certificates`.
    #[serde(default)]
    pub certificate: Option<String>,
    /// The names and values of the header lines, in the order in which they are sent.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The token of the request. It replaces `${TOKEN}` in the path and the headers. If neither contains `${TOKEN}`, the token
    /// is sent in the header `Authorization: Bearer`.
    #[serde(default)]
    pub token: Option<TokenSpec>,
    /// The body of the request.
    #[serde(default)]
    pub body: String,
    /// The size of a generated body in bytes. It replaces `body`.
    #[serde(default)]
    pub body_bytes: Option<usize>,
    /// Whether the body is sent without `content-length`. Over HTTP/1, it is then sent in chunks.
    #[serde(default)]
    pub chunked: bool,
    /// The names and values of the trailer lines.
    #[serde(default)]
    pub trailers: Vec<(String, String)>,
}

fn get() -> String {
    "GET".to_owned()
}

fn host() -> String {
    "api.example.com".to_owned()
}
