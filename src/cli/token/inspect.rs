//! `token inspect`: prints the content of a token; with a gateway document also its permissions and the verdict for each route.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use serde_json::Value;

use crate::cli::explain::{PresentedCredentials, SimulatedGateway, hypothetical_token};
use crate::cli::gateway::{self, Variables};
use crate::cli::permission::decode;
use crate::cli::{Exit, Failure, Output, ToolOutcome, clock, output, text_table, try_routes};
use crate::strict_json;

/// The options of `token inspect`.
#[derive(Args)]
pub struct TokenInspectOptions {
    /// The token; `-` reads it from standard input
    #[arg(value_name = "TOKEN")]
    token: String,
    /// A gateway document; the output also has the token's permissions, and the verdict on the token for each route
    #[arg(long, value_name = "FILE")]
    config: Option<String>,
    /// The file that is used as the key set of every issuer with `jwks`; with it, the command verifies the signature instead of
    /// assuming that it is valid
    #[arg(long, value_name = "JWKS", requires = "config")]
    keys: Option<String>,
    /// The time of the check: 2026-03-01T10:00:00Z or seconds since 1970; by default the current time
    #[arg(long, value_name = "TIME", value_parser = clock::parse_time)]
    at: Option<Duration>,
    #[command(flatten)]
    variables: Variables,
}

/// Prints the header, the claims and the times of the token.
pub fn run(options: &TokenInspectOptions) -> Result<ToolOutcome, Failure> {
    let text = if options.token == "-" { gateway::read("-")? } else { options.token.clone() };
    let text = text.trim();
    let token = text.strip_prefix("Bearer ").unwrap_or(text).trim();
    let now = options.at.unwrap_or_else(clock::now);
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else {
        let hint = "`-` reads one from standard input, such as `token inspect - < FILE`";
        return Err(Failure::Message(format!("not a JWT: expected three parts separated by dots ({hint})")));
    };
    let (header, claims) = (part("header", header)?, part("claims", claims)?);
    let times = ["iat", "nbf", "exp"].iter().filter_map(|name| {
        let seconds = claims.get(*name)?.as_u64()?;
        Some(format!("{name}  {}", distance(seconds, now.as_secs())))
    });
    let signed = if signature.is_empty() { "it has no signature" } else { "its signature was not checked" };
    let mut lines = vec![format!("not verified: {signed}, and anyone can create such a token")];
    for (title, part) in [("header", &header), ("claims", &claims)] {
        lines.extend([String::new(), title.to_string()]);
        lines.extend(output::json_lines(part));
    }
    lines.push(String::new());
    lines.extend(times);
    let mut notes = Vec::new();
    if let Some(file) = &options.config {
        let (opened, unnamed) = permissions_and_routes(options, file, token, &header, &claims, now)?;
        lines.extend(opened);
        notes = unnamed;
    }
    Ok(ToolOutcome { result: Output::Lines(lines), notes, exit: Exit::Success })
}

/// Returns two lists: lines with the names of the token's permissions and the filter's verdict for each route, and notes on
/// permission bits without a name.
fn permissions_and_routes(
    options: &TokenInspectOptions,
    file: &str,
    token: &str,
    header: &Value,
    claims: &Value,
    now: Duration,
) -> Result<(Vec<String>, Vec<String>), Failure> {
    let gateway = gateway::open_for_inspection(file, &options.variables)?;
    let document = &gateway.document;
    let Some(issuer) = hypothetical_token::issuer_of(document, claims) else {
        let line = format!("no issuer in {file} has this `iss`: routes that require a token refuse it");
        return Ok((vec![String::new(), line], Vec::new()));
    };
    let mut out = Vec::new();
    if !document.permissions.is_empty() {
        let granted =
            gateway.policy.permissions().granted(claims, &issuer.rules.permission_claims).map_err(|fault| fault.0)?;
        out.extend([String::new(), format!("permissions, as named in {file}")]);
        out.extend(decode::described(&gateway, &granted).iter().map(|line| format!("  {line}")));
    }
    let (presented, condition) = match &options.keys {
        Some(_) => (hypothetical_token::with_real_signature(document, token, claims), ""),
        None => (
            hypothetical_token::with_assumed_signature(document, header, claims),
            ", assuming that the token's signature is valid",
        ),
    };
    let presented = PresentedCredentials { token: presented.as_ref(), ..PresentedCredentials::default() };
    let answers =
        try_routes::try_all(&mut SimulatedGateway::new(&gateway, options.keys.as_deref(), None, now)?, &presented)?;
    out.extend([String::new(), format!("routes, as decided by the filter{condition}")]);
    out.extend(text_table::text(&try_routes::rows(&answers)));
    Ok((out, decode::nameless(claims, &issuer.rules.permission_claims, &gateway)))
}

/// Decodes one part of the token with the rules of the filter: padding and duplicate members are refused.
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
