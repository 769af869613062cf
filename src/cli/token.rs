//! `portcullis token`: mints short-lived tokens for developers, and shows what a token says without vouching for it.

mod signer;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{Exit, Failure, Outcome, clock, gateway};
use crate::policy::algorithm::Algorithm;
use crate::strict_json;
use signer::Signer;

/// What `token` is asked to do.
#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Sign a token that is valid for an hour at most
    Mint(MintOptions),
    /// Print header and claims of a token; its signature is neither checked nor shown
    Inspect {
        /// The token; `-` reads it from standard input
        #[arg(value_name = "TOKEN")]
        token: String,
    },
}

/// What the token is to say, and who signs it.
#[derive(Args)]
#[command(group = ArgGroup::new("signer").required(true).args(["key", "secret_env"]))]
struct MintOptions {
    /// A private key: a JWK, or PEM in PKCS#8 (`BEGIN PRIVATE KEY`)
    #[arg(long, value_name = "FILE")]
    key: Option<String>,
    /// The variable that holds a shared secret
    #[arg(long, value_name = "NAME")]
    secret_env: Option<String>,
    /// The signature algorithm, as RS256, ES256, EdDSA or HS256
    #[arg(long, value_name = "ALG", value_parser = algorithm)]
    alg: Algorithm,
    /// The `iss` claim
    #[arg(long, value_name = "ISS")]
    issuer: String,
    /// The `aud` claim; may be given several times
    #[arg(long = "audience", value_name = "AUD", required = true)]
    audiences: Vec<String>,
    /// The `sub` claim
    #[arg(long, value_name = "SUB", default_value = "developer")]
    subject: String,
    /// A scope; may be given several times
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// A further claim; the value is JSON, or text where it is not
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = gateway::assignment)]
    claims: Vec<(String, String)>,
    /// The `kid` header, where the key itself has none
    #[arg(long, value_name = "KID")]
    kid: Option<String>,
    /// How long the token is valid
    #[arg(long, value_name = "SPAN", default_value = "15m", value_parser = lifetime)]
    ttl: Duration,
}

/// Mints or inspects.
pub fn run(options: &Options) -> Result<Outcome, Failure> {
    let result = match &options.action {
        Action::Mint(options) => mint(options)?,
        Action::Inspect { token } if token == "-" => inspect(gateway::read("-")?.trim())?,
        Action::Inspect { token } => inspect(token)?,
    };
    Ok(Outcome { result, notes: Vec::new(), exit: Exit::Success })
}

fn mint(options: &MintOptions) -> Result<String, Failure> {
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
    let audience = match options.audiences.as_slice() {
        [one] => json!(one),
        several => json!(several),
    };
    // The options that bound the token win over any --claim.
    for (name, value) in [
        ("iss", json!(options.issuer)),
        ("aud", audience),
        ("sub", json!(options.subject)),
        ("iat", json!(now)),
        ("exp", json!(now + options.ttl.as_secs())),
    ] {
        claims.insert(name.to_string(), value);
    }
    if !options.scopes.is_empty() {
        // One string with spaces between (RFC 8693 §4.2).
        claims.insert("scope".to_string(), json!(options.scopes.join(" ")));
    }
    let mut header = json!({ "alg": options.alg.name(), "typ": "JWT" });
    if let (Some(kid), Some(members)) = (options.kid.clone().or(kid), header.as_object_mut()) {
        members.insert("kid".to_string(), json!(kid));
    }
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signing_input = format!("{}.{}", part(&header), part(&Value::Object(claims)));
    let signature = signer.sign(signing_input.as_bytes())?;
    Ok(format!("{signing_input}.{}\n", URL_SAFE_NO_PAD.encode(signature)))
}

fn inspect(token: &str) -> Result<String, Failure> {
    let token = token.strip_prefix("Bearer ").unwrap_or(token).trim();
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else {
        return Err(Failure::Message(format!("not a JWT: {} parts instead of three", parts.len())));
    };
    let (header, claims) = (part("header", header)?, part("claims", claims)?);
    let times = ["iat", "nbf", "exp"].iter().filter_map(|name| {
        let seconds = claims.get(*name)?.as_u64()?;
        Some(format!("{name}  {}\n", distance(seconds, clock::now().as_secs())))
    });
    let signed = if signature.is_empty() { "it has no signature" } else { "its signature was not checked" };
    Ok(format!(
        "not verified: {signed}, and anyone can write such a token\n\nheader\n{header:#}\n\nclaims\n{claims:#}\n\n{}",
        times.collect::<String>()
    ))
}

/// One part of the token, as strictly read as the filter reads it: no padding, no member twice.
fn part(name: &str, text: &str) -> Result<Value, Failure> {
    let bytes =
        URL_SAFE_NO_PAD.decode(text).map_err(|fault| format!("not a JWT: the {name} is not base64url: {fault}"))?;
    let value = strict_json::parse(&bytes).map_err(|fault| format!("not a JWT: the {name} is not JSON: {fault}"))?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(Failure::Message(format!("not a JWT: the {name} is not a JSON object")))
    }
}

fn distance(then: u64, now: u64) -> String {
    let (seconds, ago) = if then < now { (now - then, true) } else { (then - now, false) };
    let span = match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    };
    if ago { format!("{span} ago") } else { format!("in {span}") }
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    let names = Algorithm::ALL.map(Algorithm::name).join(", ");
    Algorithm::from_name(text).ok_or_else(|| format!("accepted: {names}"))
}

/// A token that outlives the day it was made for is a credential, and those come from an issuer.
fn lifetime(text: &str) -> Result<Duration, String> {
    let span = clock::parse_span(text)?;
    let is_short = (Duration::from_secs(1)..=Duration::from_secs(3_600)).contains(&span);
    if is_short { Ok(span) } else { Err("expected a second to an hour".to_string()) }
}
