//! The HTTP client of `token get`: it requires TLS to other machines, limits time and size, and follows no redirects.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE};
use ureq::http::{Request, Response, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, Error};

use crate::cli::{Failure, clock};
use crate::config::url::redacted;

/// An HTTP client for the few requests of one command.
pub struct WebClient {
    until: Duration,
}

/// An HTTP response.
pub struct WebAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The whole body; a body of more than [`MAX_BODY`] bytes is an error.
    pub body: Vec<u8>,
}

impl WebClient {
    /// Creates a client with one time limit for all requests together.
    pub fn new(timeout: Duration) -> WebClient {
        WebClient { until: clock::now() + timeout }
    }

    /// Sends a GET request.
    pub fn get(&mut self, uri: &Uri) -> Result<WebAnswer, Failure> {
        self.send(uri, Request::get(uri), "")
    }

    /// Sends a form with a POST request.
    pub fn post(&mut self, uri: &Uri, form: &str, authorization: Option<&str>) -> Result<WebAnswer, Failure> {
        let mut request = Request::post(uri).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        self.send(uri, request, form)
    }

    fn send(&self, uri: &Uri, request: ureq::http::request::Builder, body: &str) -> Result<WebAnswer, Failure> {
        let left = self.until.saturating_sub(clock::now());
        let here = is_loopback(uri);
        let mut agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(left.max(Duration::from_millis(1))))
            .max_response_header_size(MAX_HEADERS)
            .accept("application/json")
            .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")));
        if here {
            // Requests to this machine never use a proxy.
            agent = agent.proxy(None);
        }
        if uri.scheme_str() == Some("https") {
            agent = agent.tls_config(tls()?);
        }
        let agent: Agent = agent.build().into();
        let failed = |error: Error| Failure::Message(format!("{}: {}", redacted(&uri.to_string()), describe(&error)));
        let request = request.body(body.to_string()).map_err(|error| failed(error.into()))?;
        let sent: Result<Response<Body>, Error> = match body.is_empty() {
            true => agent.run(request.map(|_| ())),
            false => agent.run(request),
        };
        let mut response = sent.map_err(failed)?;
        let status = response.status().as_u16();
        if (300..400).contains(&status) {
            return Err(Failure::Message(format!(
                "{}: returned {status}, a redirect, which is not followed",
                redacted(&uri.to_string())
            )));
        }
        let body = response.body_mut().with_config().limit(MAX_BODY).read_to_vec().map_err(failed)?;
        Ok(WebAnswer { status, body })
    }
}

/// Checks a URL to which the command might send a secret: it must use TLS, or its host must be this machine.
pub fn checked(url: &str, what: &str) -> Result<Uri, Failure> {
    let shown = redacted(url);
    let uri: Uri = url.parse().map_err(|fault| format!("{what}: `{shown}` is not a URL: {fault}"))?;
    let is_safe = uri.scheme_str() == Some("https") || uri.scheme_str() == Some("http") && is_loopback(&uri);
    match (uri.authority(), is_safe) {
        (None, _) => Err(Failure::Message(format!("{what}: `{shown}` is not an absolute URL"))),
        (Some(authority), _) if authority.as_str().contains('@') => {
            Err(Failure::Message(format!("{what}: a URL with a user name is not accepted")))
        }
        (_, false) => Err(Failure::Message(format!("{what}: `{shown}` must be https, or http on this machine"))),
        _ => Ok(uri),
    }
}

/// Returns whether the host of a URL is this machine. `localhost` always resolves to this machine (RFC 6761 §6.3).
fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Returns TLS settings with the CA certificates that this machine trusts, or with those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
fn tls() -> Result<TlsConfig, Failure> {
    let found = rustls_native_certs::load_native_certs();
    let roots: Vec<_> = found.certs.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
    if roots.is_empty() {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(Failure::Message(format!("no trusted certificates on this machine (set SSL_CERT_FILE){why}")));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(provider)
        .build())
}

fn describe(error: &Error) -> String {
    match error {
        Error::Timeout(_) => "timed out (--timeout)".to_string(),
        Error::BodyExceedsLimit(_) => format!("the response is larger than {MAX_BODY} bytes"),
        other => other.to_string(),
    }
}

/// The maximum size of a response body in bytes. Real metadata and token responses are far smaller.
const MAX_BODY: u64 = 256 * 1024;
const MAX_HEADERS: usize = 32 * 1024;
