//! `token get`: gets a token from the authorization server for a client with a secret (RFC 6749 §4.4).

mod server;
mod web;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{ArgGroup, Args, ValueEnum};
use serde_json::Value;

use crate::cli::{Exit, Failure, Output, ToolOutcome, clock, gateway};
use server::AuthorizationServer;
use web::{WebAnswer, WebClient};

/// The options of `token get`.
#[derive(Args)]
#[command(group = ArgGroup::new("server").required(true).args(["issuer", "token_endpoint"]))]
#[command(group = ArgGroup::new("secret").required(true).args(["secret_env", "secret_file"]))]
pub struct TokenGetOptions {
    /// The issuer; its metadata contains the token endpoint (RFC 8414, OpenID Connect Discovery)
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The token endpoint
    #[arg(long, value_name = "URL")]
    token_endpoint: Option<String>,
    /// The client id
    #[arg(long, value_name = "ID")]
    client_id: String,
    /// The environment variable with the client secret
    #[arg(long, value_name = "NAME")]
    secret_env: Option<String>,
    /// The file with the client secret; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    secret_file: Option<String>,
    /// The method by which the client sends its secret; by default a method that the metadata of the issuer lists, or `basic`
    #[arg(long, value_enum)]
    auth: Option<ClientAuthMethod>,
    /// A scope to request; can be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// The audience of the token, if the server supports the parameter `audience`
    #[arg(long, value_name = "AUD")]
    audience: Option<String>,
    /// The resource of the token (RFC 8707); can be repeated
    #[arg(long = "resource", value_name = "URL")]
    resources: Vec<String>,
    /// The time limit for all requests together
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = clock::parse_span)]
    timeout: Duration,
}

/// How a client sends its secret (RFC 6749 §2.3.1).
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ClientAuthMethod {
    /// In the `Authorization` header: client_secret_basic
    Basic,
    /// In the form of the request body: client_secret_post
    Post,
}

impl ClientAuthMethod {
    /// Returns the registered name of the method in metadata (RFC 7591 §2).
    fn registered(self) -> &'static str {
        match self {
            ClientAuthMethod::Basic => "client_secret_basic",
            ClientAuthMethod::Post => "client_secret_post",
        }
    }
}

/// Gets a token from the authorization server.
pub fn run(options: &TokenGetOptions) -> Result<ToolOutcome, Failure> {
    let secret = secret(options)?;
    let mut web = WebClient::new(options.timeout);
    let server = match (&options.issuer, &options.token_endpoint) {
        (Some(issuer), _) => AuthorizationServer::discover(issuer, &mut web)?,
        (None, endpoint) => AuthorizationServer::at(endpoint.as_deref().unwrap_or_default())?,
    };
    let method = match options.auth {
        Some(method) => method,
        None => server.method()?,
    };
    let mut form = vec![("grant_type", "client_credentials".to_string())];
    if !options.scopes.is_empty() {
        // All scopes are one string, separated by spaces (RFC 6749 §3.3).
        form.push(("scope", options.scopes.join(" ")));
    }
    form.extend(options.audience.iter().map(|audience| ("audience", audience.clone())));
    form.extend(options.resources.iter().map(|resource| ("resource", resource.clone())));
    let authorization = match method {
        ClientAuthMethod::Basic => {
            // The client id and the secret are form-encoded before they are joined (RFC 6749 §2.3.1), so that neither part
            // contains a colon.
            let pair = format!("{}:{}", encoded(&options.client_id), encoded(&secret));
            Some(format!("Basic {}", STANDARD.encode(pair)))
        }
        ClientAuthMethod::Post => {
            form.extend([("client_id", options.client_id.clone()), ("client_secret", secret.clone())]);
            None
        }
    };
    let body: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let answer = web.post(&server.token_endpoint, &body.join("&"), authorization.as_deref())?;
    let (token, note) = granted(&answer, options, &secret)?;
    Ok(ToolOutcome { result: Output::line(token), notes: vec![note], exit: Exit::Success })
}

fn secret(options: &TokenGetOptions) -> Result<String, Failure> {
    let secret = match (&options.secret_env, &options.secret_file) {
        (Some(name), _) => std::env::var(name).map_err(|_| format!("the variable `{name}` is not set"))?,
        (None, file) => {
            let text = gateway::read(file.as_deref().unwrap_or_default())?;
            text.trim_end_matches(['\n', '\r']).to_string()
        }
    };
    if secret.is_empty() { Err(Failure::Message("the client secret is empty".to_string())) } else { Ok(secret) }
}

/// Returns the token and a note from a success response (RFC 6749 §5.1), or the error of an error response (§5.2).
fn granted(answer: &WebAnswer, options: &TokenGetOptions, secret: &str) -> Result<(String, String), Failure> {
    let json: Option<Value> = serde_json::from_slice(&answer.body).ok().filter(Value::is_object);
    let text = |name: &str| json.as_ref().and_then(|json| json.get(name)).and_then(Value::as_str);
    if answer.status != 200 {
        let details = [text("error"), text("error_description"), text("error_uri")];
        // Some servers repeat the request in the error, so the secret is removed.
        let hidden = |text: &str| bounded(&text.replace(secret, "…").replace(&encoded(secret), "…"));
        let details: Vec<String> = details.into_iter().flatten().map(hidden).collect();
        return Err(Failure::Message(match details.is_empty() {
            false => {
                format!("the authorization server refused the request ({}): {}", answer.status, details.join(": "))
            }
            true => format!("the token endpoint returned {} without a reason", answer.status),
        }));
    }
    let missing = || Failure::Message("the token endpoint returned 200 without an `access_token` in JSON".to_string());
    let token = text("access_token").ok_or_else(missing)?;
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Failure::Message(
            "the `access_token` is empty or has characters that a header cannot contain".to_string(),
        ));
    }
    // A token of another type cannot be used without further data (RFC 6749 §7.1).
    match text("token_type") {
        Some(kind) if kind.eq_ignore_ascii_case("bearer") => {}
        kind => {
            let kind = bounded(kind.unwrap_or("none"));
            return Err(Failure::Message(format!("the `token_type` is {kind}: only Bearer is supported")));
        }
    }
    let lasts = json.as_ref().and_then(|json| json.get("expires_in")).and_then(Value::as_u64);
    let lasts = lasts.map_or_else(|| "of unknown lifetime".to_string(), |seconds| format!("valid for {seconds} s"));
    // If the response has no `scope`, the server granted the requested scope (RFC 6749 §5.1).
    let scope = text("scope").map_or_else(|| options.scopes.join(" "), bounded);
    let missing: Vec<&str> =
        options.scopes.iter().map(String::as_str).filter(|s| !scope.split(' ').any(|g| g == *s)).collect();
    let mut note = format!("a token {lasts}");
    if !scope.is_empty() {
        note.push_str(&format!(", scope `{scope}`"));
    }
    if !missing.is_empty() {
        note.push_str(&format!(" (not granted: {})", missing.join(" ")));
    }
    Ok((token.to_string(), note))
}

/// Encodes a string as `application/x-www-form-urlencoded` (RFC 6749 appendix B).
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'*' | b'-' | b'.' | b'_' => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Truncates a string from the server to [`MAX_LETTERS`] characters, so that it cannot fill the terminal.
fn bounded(text: &str) -> String {
    text.chars().take(MAX_LETTERS).collect()
}

const MAX_LETTERS: usize = 300;
