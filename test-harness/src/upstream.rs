//! The upstream: an HTTP/1.1 and h2c server that echoes and records requests, and fails on demand.
//!
//! The query of the request controls the response. `status=503` sets the status, `delay_ms=200` delays the response, and
//! `body_bytes=100000` sets the size of the body. `reset=1` closes the connection without a response. `break=length` and
//! `break=chunks` send only half of the body, with a `content-length` or in chunks, and then close the connection.
//! `h.NAME=VALUE` adds a response header. Names and values are percent-decoded. The value of the request header `x-test-body`
//! becomes the body of the response.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use http_body_util::BodyExt;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::json;

use crate::octets;
use crate::outcome::{Forwarded, Headers};
use crate::server::{self, Request, Response, Server};

/// A named upstream.
#[derive(Debug)]
pub struct Upstream {
    name: String,
    server: Server,
    received: Received,
}

/// The requests that the upstreams received and the test has not read yet. All upstreams of a test share this list.
#[derive(Debug, Clone, Default)]
pub struct Received(Arc<Mutex<Vec<Forwarded>>>);

impl Received {
    /// Removes and returns the requests that arrived since the last call.
    pub fn take(&self) -> Vec<Forwarded> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, request: Forwarded) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    }
}

/// The request header whose value becomes the body of the response.
const BODY_HEADER: &str = "x-test-body";

impl Upstream {
    /// Starts an upstream on `port` (0: any free port) that records requests in `received`.
    pub fn start(name: &str, port: u16, received: Received) -> Result<Self> {
        let (named, book) = (name.to_owned(), received.clone());
        let server = Server::start(port, move |request| echo(named.clone(), book.clone(), request))?;
        Ok(Self { name: name.to_owned(), server, received })
    }

    /// Returns the name of the upstream.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the base URL of the upstream without a trailing slash.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Returns the port of the upstream on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.server.address().port()
    }

    /// Returns the list of received requests, which this upstream shares with other upstreams.
    pub fn received(&self) -> &Received {
        &self.received
    }
}

async fn echo(upstream: String, received: Received, request: Request) -> io::Result<Response> {
    let (head, body) = request.into_parts();
    let spec = ResponseSpec::read(head.uri.query().unwrap_or_default());
    let headers =
        head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
    let path = head.uri.path_and_query().map_or("", |path| path.as_str()).to_owned();
    let seen = Forwarded { upstream, method: head.method.to_string(), path, headers, ..Forwarded::default() };
    let mut arrival = Arrival { seen, received };
    if let Ok(body) = body.collect().await {
        let trailers = body.trailers().into_iter().flatten();
        arrival.seen.trailers =
            trailers.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
        arrival.seen.body_bytes = body.to_bytes().len();
    }
    let reply = spec.reply(&arrival.seen);
    drop(arrival);
    if let Some(delay) = spec.delay {
        tokio::time::sleep(delay).await;
    }
    if spec.reset {
        return Err(io::Error::other("the request asked for a connection reset"));
    }
    reply
}

/// Records a request on drop. A request is therefore recorded even if its body is incomplete.
struct Arrival {
    seen: Forwarded,
    received: Received,
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.received.add(std::mem::take(&mut self.seen));
    }
}

/// The response that the query of a request specifies.
#[derive(Debug, Default)]
pub struct ResponseSpec {
    status: Option<u16>,
    delay: Option<Duration>,
    reset: bool,
    breaks: Option<String>,
    body_bytes: Option<usize>,
    headers: Headers,
}

impl ResponseSpec {
    /// Parses the query of a request. Unknown parameters are ignored.
    pub fn read(query: &str) -> Self {
        let mut spec = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = percent_decoded(value);
            match name {
                "status" => spec.status = value.parse().ok(),
                "delay_ms" => spec.delay = value.parse().ok().map(Duration::from_millis),
                "reset" => spec.reset = value == "1",
                "break" => spec.breaks = Some(value),
                "body_bytes" => spec.body_bytes = value.parse().ok(),
                _ => {
                    let header = name.strip_prefix("h.").map(|name| (percent_decoded(name), value.into_bytes()));
                    // Fuzzing can produce a query with an invalid response header (`h.<name>`). The server cannot send it, so
                    // it is ignored.
                    let can_be_sent = |(name, value): &(String, Vec<u8>)| {
                        hyper::header::HeaderName::from_bytes(name.as_bytes()).is_ok()
                            && hyper::header::HeaderValue::from_bytes(value).is_ok()
                    };
                    spec.headers.extend(header.filter(can_be_sent));
                }
            }
        }
        spec
    }

    /// Returns the status of the response.
    pub fn status(&self) -> u16 {
        self.status.unwrap_or(200)
    }

    /// Returns the response headers that the query specifies.
    pub fn headers(&self) -> Headers {
        self.headers.clone()
    }

    /// Returns the response body. It describes the received request, has the size that the query specifies, or is the value of
    /// the request header `x-test-body`.
    pub fn body(&self, seen: &Forwarded) -> String {
        let lines: Vec<_> = seen.headers.iter().map(|(name, value)| json!([name, octets::escape(value)])).collect();
        let echo = json!({ "upstream": seen.upstream, "method": seen.method, "path": seen.path, "headers": lines,
            "body_bytes": seen.body_bytes });
        let body = seen.headers.iter().find(|(name, _)| name == BODY_HEADER);
        match (self.body_bytes, body) {
            (Some(bytes), _) => "x".repeat(bytes),
            (None, Some((_, body))) => String::from_utf8_lossy(body).into_owned(),
            (None, None) => echo.to_string(),
        }
    }

    fn reply(&self, seen: &Forwarded) -> io::Result<Response> {
        let body = self.body(seen);
        let mut response = server::reply(self.status(), "application/json", body.clone())?;
        if let Some(how) = &self.breaks {
            let half = body.get(..body.len() / 2).unwrap_or_default().to_owned();
            *response.body_mut() = server::broken_off(half);
            if how == "length" {
                response.headers_mut().insert("content-length", HeaderValue::from(body.len()));
            }
        }
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(io::Error::other)?;
            let value = HeaderValue::from_bytes(value).map_err(io::Error::other)?;
            if name == CONTENT_TYPE {
                response.headers_mut().insert(name, value);
            } else {
                response.headers_mut().append(name, value);
            }
        }
        Ok(response)
    }
}

/// Returns `text` with `%XX` decoded. Invalid escapes stay as they are.
pub fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let pair = tail.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.filter(|_| *first == b'%').and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
