//! `portcullis can`: which routes a caller gets through, by asking the filter's own core about a request for each of them.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::gateway::{self, Gateway, Variables};
use super::who_can::Format;
use super::{Exit, Failure, Outcome, clock, explain, table};
use crate::config::document::Route;

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

/// One route, and what becomes of the caller's request for it.
struct Answer<'g> {
    route: &'g Route,
    name: String,
    request: String,
    allowed: bool,
    reason: String,
}

/// Asks about every route.
pub fn run(options: &Options) -> Result<Outcome, Failure> {
    let gateway = gateway::look_at(&options.file, &options.variables)?;
    let now = options.at.unwrap_or_else(clock::now);
    let routes = gateway.document.routes.iter().zip(gateway.policy.routes().iter());
    let mut answers = Vec::new();
    for (route, (_, rule)) in routes {
        answers.push(answer(&gateway, route, &rule.name, options, now)?);
    }
    let result = match options.format {
        Format::Text => table::text(&rows(&answers)),
        Format::Csv => table::csv(&rows(&answers)),
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

fn rows(answers: &[Answer<'_>]) -> Vec<[String; 4]> {
    let mut rows = vec![["ROUTE", "REQUEST", "MAY", "REASON"].map(str::to_string)];
    rows.extend(answers.iter().map(|answer| {
        let may = if answer.allowed { "yes" } else { "no" };
        [answer.name.clone(), answer.request.clone(), may.to_string(), answer.reason.clone()]
    }));
    rows
}

fn answer<'g>(
    gateway: &Gateway,
    route: &'g Route,
    name: &str,
    options: &Options,
    now: Duration,
) -> Result<Answer<'g>, Failure> {
    let method = route.methods.first().map_or("GET", |method| method.value.as_str());
    let method = if method == "ANY" { "GET" } else { method };
    let host = route.hosts.first().map_or("gateway.test", |host| host.value.as_str()).replacen('*', "any", 1);
    let mut last = None;
    // A value of a parameter may lead to a more specific route; no document has all of these.
    for value in ["any", "any-other", "7b1c", "x-0f3e"] {
        let path: String = route
            .path
            .value
            .split('/')
            .skip(1)
            .map(|s| format!("/{}", if s.starts_with('{') { value } else { s }))
            .collect();
        let request = [(":method", method), (":path", &path), (":scheme", "http"), (":authority", &host)];
        let request = request.map(|(name, value)| (name.to_string(), value.to_string())).to_vec();
        let verdict = explain::suppose(gateway, request, &options.claims, options.issuer.as_deref(), now)?;
        let is_ours = verdict.route.as_deref() == Some(name);
        let detail = verdict.detail.map(|detail| format!(" ({detail})")).unwrap_or_default();
        let reason = format!("{}{detail}", verdict.reason);
        let request = format!("{method} {path}");
        last = Some(Answer { route, name: name.to_string(), request, allowed: verdict.allowed, reason });
        if is_ours {
            break;
        }
    }
    last.ok_or_else(|| Failure::Message(format!("no request for route `{name}`")))
}
