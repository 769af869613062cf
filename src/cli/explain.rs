//! `portcullis explain`: shows the filter's verdict on one request, stage by stage, and the resulting headers or reply.

mod body;
mod certificate;
pub mod hypothetical_token;
mod presented;
mod published;
mod report;

use std::net::IpAddr;
use std::time::Duration;

use clap::Args;

use super::gateway::Variables;
use super::private_argument::PrivateArgument;
use super::{Exit, Failure, Output, ToolOutcome, clock, gateway};
use crate::gateway::Gateway;
use crate::gateway::call::{Answer, GrpcMessage};
use crate::gateway::shared::LocalData;
use crate::gateway::simulation::{Sent, SimulatedHost, StillWaiting};
use crate::gateway::transaction::Transaction;
use crate::gateway::waiting::StreamId;
use crate::policy::limits::rate_limit_client::wire;
use crate::policy::request::peer::{Certificate, KnownPeer};
use crate::policy::verdict::audit;
use crate::policy::verdict::wait::Awaited;
use crate::policy::world::TraceStep;
use hypothetical_token::SupposedClaims;

pub use presented::{PresentedCredentials, SimulatedGateway};

/// The options of `explain`.
#[derive(Args)]
pub struct ExplainOptions {
    /// A gateway.yaml, an Envoy configuration or an Istio manifest
    #[arg(value_name = "FILE")]
    file: String,
    /// The request method
    #[arg(value_name = "METHOD")]
    method: String,
    /// The request path, with its query
    #[arg(value_name = "PATH")]
    path: String,
    /// The request host
    #[arg(long, default_value = "gateway.test")]
    host: String,
    /// The IP address of the client
    #[arg(long, value_name = "ADDRESS")]
    from: Option<IpAddr>,
    /// A request header; can be repeated
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = PrivateArgument(header))]
    headers: Vec<(String, String)>,
    /// The request body; `@FILE` reads it from a file
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
    /// A token, sent as `Authorization: Bearer`; `-` reads it from standard input
    #[arg(long, conflicts_with = "claims")]
    token: Option<String>,
    #[command(flatten)]
    claims: SupposedClaims,
    /// A client certificate that counts as verified: its SPIFFE ID, its DNS name or its SHA-256 hash
    #[arg(long, value_name = "NAME", value_parser = certificate::parse)]
    certificate: Option<Certificate>,
    /// The file that is used as the key set of every issuer with `jwks`
    #[arg(long, value_name = "JWKS")]
    keys: Option<String>,
    /// The file that is used as the revocation list instead of fetching it; by default the list is empty
    #[arg(long, value_name = "LIST")]
    revoked: Option<String>,
    /// The file that is used as the document of clients instead of fetching `clients_from`; by default the document has no
    /// clients
    #[arg(long, value_name = "CLIENTS")]
    clients: Option<String>,
    /// The time of the request: 2026-03-01T10:00:00Z or seconds since 1970; by default the current time
    #[arg(long, value_name = "TIME", value_parser = clock::parse_time)]
    at: Option<Duration>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    variables: Variables,
}

/// Decides the request and reports the verdict.
pub fn run(options: &ExplainOptions) -> Result<ToolOutcome, Failure> {
    let file = gateway::open(&options.file, &options.variables)?;
    let now = options.at.unwrap_or_else(clock::now);
    let mut request = request(options)?;
    let body = body::read(options.body.as_deref())?;
    body::announce(&mut request, &body);
    let gateway = Gateway::new(file.policy.clone(), &LocalData::default());
    let mut host = SimulatedHost::new(now);
    host.id = |_| "explained".to_string();
    host.stream.body = body;
    host.stream.peer = KnownPeer { address: options.from, certificate: options.certificate.clone() };
    let token = options.claims.token(&file.document, now)?;
    let mut polled = gateway.polled();
    if let Some(token) = &token {
        hypothetical_token::publish_keys(&mut polled, now);
        token.attach(&mut request);
        host.verifier = token;
    }
    if let Some(keys) = &options.keys {
        published::keys(&mut polled, keys, now)?;
    }
    let empty_documents = [
        (
            published::revocations(&mut polled, &file, options.revoked.as_deref(), now)?,
            "--revoked, so the polled revocation list counts as empty",
        ),
        (
            published::clients(&mut polled, &file, &options.file, options.clients.as_deref(), now)?,
            "--clients, so the document at `clients_from` counts as empty",
        ),
    ];
    drop(polled);
    let mut trace = Vec::new();
    let mut transaction = Transaction::new(StreamId::default());
    let sent = run_request(&gateway, &mut transaction, &mut host, &request, &mut trace)?;
    let audit = transaction.record();
    body::note_judgement(&sent, audit, &mut trace);
    let report = report::ExplainReport { request: &request, trace: &trace, audit, sent: &sent };
    let is_refused = sent.reply.is_some() && audit.outcome == audit::Outcome::Deny;
    let exit = if is_refused { Exit::Denied } else { Exit::Success };
    let result = if options.json { Output::json(&report.json()) } else { Output::Lines(report.lines()) };
    let empty_documents = empty_documents.into_iter().filter(|(is_empty, _)| *is_empty);
    let empty_documents = empty_documents.map(|(_, what)| format!("{}: note: no {what}", options.file));
    Ok(ToolOutcome { result, notes: file.notes(&options.file).chain(empty_documents).collect(), exit })
}

/// Runs a request until its end. If the request waits for a newer version of a polled document, the fetch counts as failed, so
/// that the wait ends. The rate limit service is not called; instead, all its hits count as granted. Fails if the verdict depends
/// on a key set that is not installed.
fn run_request(
    gateway: &Gateway,
    transaction: &mut Transaction,
    host: &mut SimulatedHost<'_>,
    request: &[(String, String)],
    trace: &mut Vec<TraceStep>,
) -> Result<Sent, Failure> {
    let headers: Vec<(&[u8], &[u8])> = request.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    host.run(gateway, transaction, &headers, Some(trace), |host, awaited| match awaited {
        Awaited::Document(document) => {
            let mut polled = gateway.polled();
            if polled.generation(document, host.now).is_none() {
                let message = "the verdict depends on a remote key set: pass it with --keys, or use --claims for a token that counts as validly signed";
                return Err(Failure::Message(message.to_string()));
            }
            polled.note_failure(document, host.now);
            Ok(())
        }
        Awaited::Quota(_) => {
            while let Some(call) = gateway.next_call(host.now) {
                gateway.on_answer(call.id, Answer::Message(&Granted), host.now, &LocalData::default());
            }
            Ok(())
        }
    })
}

/// The response of a rate limit service that grants all hits.
struct Granted;

impl GrpcMessage for Granted {
    fn bytes(&self, _max: usize) -> Option<Vec<u8>> {
        Some(wire::granted())
    }
}

impl From<StillWaiting> for Failure {
    fn from(_: StillWaiting) -> Failure {
        Failure::Message("the request still waits for a polled document after several failed fetches".to_string())
    }
}

fn request(options: &ExplainOptions) -> Result<Vec<(String, String)>, Failure> {
    let mut headers = vec![
        (":method".to_string(), options.method.clone()),
        (":path".to_string(), options.path.clone()),
        (":scheme".to_string(), "http".to_string()),
        (":authority".to_string(), options.host.clone()),
    ];
    headers.extend(options.headers.iter().cloned());
    match options.token.as_deref() {
        Some("-") => headers.push(bearer(gateway::read("-")?.trim())),
        Some(token) => headers.push(bearer(token)),
        None => {}
    }
    Ok(headers)
}

fn bearer(token: &str) -> (String, String) {
    ("authorization".to_string(), format!("Bearer {token}"))
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_ascii_lowercase(), value.trim().to_string()))
        }
        _ => Err("expected `Name: value`".to_string()),
    }
}
