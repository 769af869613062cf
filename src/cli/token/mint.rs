//! `token mint`: signs a short-lived token with a developer's key or a shared secret, for development environments.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{ArgGroup, Args};
use serde_json::{Map, Value, json};

use super::signer::Signer;
use crate::cli::gateway::Variables;
use crate::cli::private_argument::PrivateArgument;
use crate::cli::{Exit, Failure, Output, ToolOutcome, clock, gateway};
use crate::config::token_rules::LONGEST_SELF_ISSUED;
use crate::policy::credentials::algorithm::Algorithm;

/// The options of `token mint`.
#[derive(Args)]
#[command(group = ArgGroup::new("signer").required(true).args(["key", "secret_env"]))]
pub struct TokenMintOptions {
    /// A private key: a JWK, or PEM in PKCS#8 (`BEGIN PRIVATE KEY`)
    #[arg(long, value_name = "FILE")]
    key: Option<String>,
    /// The environment variable with a shared secret
    #[arg(long, value_name = "NAME")]
    secret_env: Option<String>,
    /// The signature algorithm, such as RS256, ES256, EdDSA or HS256
    #[arg(long, value_name = "ALG", value_parser = algorithm)]
    alg: Algorithm,
    /// The gateway document; the token's issuer must be `self_issued` in this document
    #[arg(long, value_name = "FILE")]
    config: Option<String>,
    /// The `iss` claim; with --config, it can also be the name of the issuer in the document
    #[arg(long, value_name = "ISS")]
    issuer: String,
    /// The `aud` claim; the default with --config is the first audience of the issuer; can be repeated
    #[arg(long = "audience", value_name = "AUD", required_unless_present = "config")]
    audiences: Vec<String>,
    /// The `sub` claim
    #[arg(long, value_name = "SUB", default_value = "developer")]
    subject: String,
    /// A scope of the token; can be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// An additional claim; the value is JSON, or text if it is not valid JSON
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = PrivateArgument(gateway::assignment))]
    claims: Vec<(String, String)>,
    /// The `kid` header, if the key has none
    #[arg(long, value_name = "KID")]
    kid: Option<String>,
    /// The lifetime, at most 15 minutes; by default the issuer's `max_lifetime`, or 15 minutes
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    ttl: Option<Duration>,
    #[command(flatten)]
    variables: Variables,
}

/// Mints the token and prints it.
pub fn run(options: &TokenMintOptions) -> Result<ToolOutcome, Failure> {
    let terms = TokenTerms::agreed(options)?;
    let token = mint(options, &terms)?;
    Ok(ToolOutcome { result: Output::line(token), notes: Vec::new(), exit: Exit::Success })
}

/// The issuer, audiences and lifetime of the token.
struct TokenTerms {
    issuer: String,
    audiences: Vec<String>,
    ttl: Duration,
}

impl TokenTerms {
    /// Returns the terms that the options request. With `--config`, checks them against the gateway document, in which the
    /// issuer must be `self_issued`.
    fn agreed(options: &TokenMintOptions) -> Result<TokenTerms, Failure> {
        let (issuer, audiences) = (options.issuer.clone(), options.audiences.clone());
        let Some(file) = &options.config else {
            return Ok(TokenTerms { issuer, audiences, ttl: options.ttl.unwrap_or(LONGEST_SELF_ISSUED) });
        };
        let gateway = gateway::open_for_inspection(file, &options.variables)?;
        let issuers = &gateway.document.issuers;
        let found = issuers.iter().find(|known| known.name.value == issuer || known.issuer.value == issuer);
        let found = found.ok_or_else(|| {
            let names: Vec<&str> = issuers.iter().map(|issuer| issuer.name.value.as_str()).collect();
            format!("{file}: no issuer `{issuer}` (declared: {})", names.join(", "))
        })?;
        if found.self_issued.is_none() {
            let name = &found.name.value;
            let message = format!("{file}: issuer `{name}` is not `self_issued`: get its tokens with `token get`");
            return Err(Failure::Message(message));
        }
        let most = found.rules.max_lifetime.unwrap_or(LONGEST_SELF_ISSUED);
        if options.ttl.is_some_and(|ttl| ttl > most) {
            let message = format!(
                "--ttl: {file} accepts tokens with a lifetime of at most {} s from this issuer",
                most.as_secs()
            );
            return Err(Failure::Message(message));
        }
        let audiences = match audiences.is_empty() {
            true => found.rules.audiences.iter().take(1).cloned().collect(),
            false => audiences,
        };
        Ok(TokenTerms { issuer: found.issuer.value.clone(), audiences, ttl: options.ttl.unwrap_or(most) })
    }
}

fn mint(options: &TokenMintOptions, terms: &TokenTerms) -> Result<String, Failure> {
    let (signer, kid) = match (&options.key, &options.secret_env) {
        (Some(file), _) => Signer::from_file(&gateway::read(file)?, options.alg).map_err(|e| format!("{file}: {e}"))?,
        (None, Some(name)) => {
            let secret = std::env::var(name).map_err(|_| format!("the variable `{name}` is not set"))?;
            (Signer::from_secret(secret.as_bytes(), options.alg).map_err(|e| format!("variable `{name}`: {e}"))?, None)
        }
        (None, None) => return Err(Failure::Message("--key or --secret-env is needed".to_string())),
    };
    let now = clock::now().as_secs();
    let mut claims: Map<String, Value> = Map::new();
    for (name, value) in &options.claims {
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.clone()));
        claims.insert(name.clone(), value);
    }
    let audience = match terms.audiences.as_slice() {
        [one] => json!(one),
        several => json!(several),
    };
    // These claims have their own options or are computed, so they override a `--claim` with the same name.
    for (name, value) in [
        ("iss", json!(terms.issuer)),
        ("aud", audience),
        ("sub", json!(options.subject)),
        ("iat", json!(now)),
        ("exp", json!(now + terms.ttl.as_secs())),
    ] {
        claims.insert(name.to_string(), value);
    }
    if !options.scopes.is_empty() {
        // All scopes are one string, separated by spaces (RFC 8693 §4.2).
        claims.insert("scope".to_string(), json!(options.scopes.join(" ")));
    }
    let mut header = json!({ "alg": options.alg.name(), "typ": "JWT" });
    if let (Some(kid), Some(members)) = (options.kid.clone().or(kid), header.as_object_mut()) {
        members.insert("kid".to_string(), json!(kid));
    }
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signing_input = format!("{}.{}", part(&header), part(&Value::Object(claims)));
    let signature = signer.sign(signing_input.as_bytes())?;
    Ok(format!("{signing_input}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    let names = Algorithm::ALL.map(Algorithm::name).join(", ");
    Algorithm::from_name(text).ok_or_else(|| format!("accepted: {names}"))
}

/// Parses a lifetime of at most 15 minutes. Gateways refuse self-issued tokens that are valid for longer.
fn lifetime(text: &str) -> Result<Duration, String> {
    let span = clock::parse_span(text)?;
    match (Duration::from_secs(1)..=LONGEST_SELF_ISSUED).contains(&span) {
        true => Ok(span),
        false => Err("expected 1s to 15m: gateways refuse self-issued tokens with a longer lifetime".to_string()),
    }
}
