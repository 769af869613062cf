//! `portcullis can`: which routes a caller gets through, by asking the filter's own core about a request for each of them.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::explain::{self, Shown};
use super::gateway::{self, Variables};
use super::who_can::Format;
use super::{Exit, Failure, Outcome, asking, clock, table};

/// What `can` is asked to do.
#[derive(Args)]
pub struct Options {
    /// A gateway.yaml, an Envoy configuration or an Istio manifest
    #[arg(value_name = "FILE")]
    file: String,
    /// The claims of a token that is supposed to be genuine, as a JSON object; iss, aud, iat and exp are added where missing
    #[arg(long, value_name = "JSON")]
    claims: String,
    /// The issuer by whom the claims are supposed to be signed, by its name in the document
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// The time of the requests: 2026-03-01T10:00:00Z or seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = clock::parse_time)]
    at: Option<Duration>,
    /// How the answer is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    variables: Variables,
}

/// Asks about every route.
pub fn run(options: &Options) -> Result<Outcome, Failure> {
    let gateway = gateway::look_at(&options.file, &options.variables)?;
    let now = options.at.unwrap_or_else(clock::now);
    let token = explain::supposed::token(&gateway.document, &options.claims, options.issuer.as_deref(), now)?;
    let answers = asking::about_all(&gateway, &Shown { token: Some(&token), ..Shown::default() }, now)?;
    let result = match options.format {
        Format::Text => table::text(&asking::rows(&answers)),
        Format::Csv => table::csv(&asking::rows(&answers)),
        Format::Json => {
            let all = answers.iter().map(|answer| {
                json!({
                    "route": answer.name, "request": answer.request, "allowed": answer.allowed, "reason": answer.reason,
                    "upstream": answer.route.upstream.as_ref().map(|upstream| &upstream.value),
                })
            });
            format!("{:#}\n", Value::Array(all.collect()))
        }
    };
    Ok(Outcome { result, notes: Vec::new(), exit: Exit::Success })
}
