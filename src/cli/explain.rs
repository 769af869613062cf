//! `portcullis explain`: the filter's own verdict about one request, stage by stage, and what client and upstream get of it.

mod body;
mod certificate;
mod published;
mod report;
mod shown;
pub mod supposed;

use std::net::IpAddr;
use std::time::Duration;

use clap::Args;

use super::gateway::{self, Gateway, Variables};
use super::private::Private;
use super::{Exit, Failure, Outcome, Printed, clock};
use crate::policy::audit;
use crate::policy::decision::{Awaited, Decision, Verdict};
use crate::policy::limit::store::LocalStore;
use crate::policy::peer::{Certificate, KnownPeer};
use crate::policy::polled::Polled;
use crate::policy::quota::{Quotas, wire};
use crate::policy::request::RequestParts;
use crate::policy::signature::{SignatureVerifier, Software};
use crate::policy::token_cache::TokenCache;
use crate::policy::world::{Step, World};

pub use shown::{Asked, Shown};

/// What `explain` is asked to do.
#[derive(Args)]
pub struct Options {
    /// A gateway.yaml, an Envoy configuration or an Istio manifest
    #[arg(value_name = "FILE")]
    file: String,
    /// The request's method
    #[arg(value_name = "METHOD")]
    method: String,
    /// The request's path, with its query
    #[arg(value_name = "PATH")]
    path: String,
    /// The request's host
    #[arg(long, default_value = "gateway.test")]
    host: String,
    /// The client's address
    #[arg(long, value_name = "ADDRESS")]
    from: Option<IpAddr>,
    /// A header of the request; may be given several times
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = Private(header))]
    headers: Vec<(String, String)>,
    /// The request's body, or `@FILE` for what a file holds
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
    /// A token, sent as `Authorization: Bearer`; `-` reads it from standard input
    #[arg(long, conflicts_with = "claims")]
    token: Option<String>,
    /// The claims of a token that is supposed to be genuine, as a JSON object; iss, aud, iat and exp are added where missing
    #[arg(long, value_name = "JSON")]
    claims: Option<String>,
    /// The issuer by whom the claims are supposed to be signed, by its name in the document
    #[arg(long, value_name = "NAME", requires = "claims")]
    issuer: Option<String>,
    /// A client certificate that is supposed to be verified: its SPIFFE id, its DNS name, or its SHA-256
    #[arg(long, value_name = "NAME", value_parser = certificate::supposed)]
    certificate: Option<Certificate>,
    /// The key set that remote issuers are supposed to publish
    #[arg(long, value_name = "JWKS")]
    keys: Option<String>,
    /// The revocation list that is supposed to be at the address of the document's; without it an empty one
    #[arg(long, value_name = "LIST")]
    revoked: Option<String>,
    /// The document of clients that is supposed to be at the address of `clients_from`; without it one that lists nobody
    #[arg(long, value_name = "CLIENTS")]
    clients: Option<String>,
    /// The time of the request: 2026-03-01T10:00:00Z or seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = clock::parse_time)]
    at: Option<Duration>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    variables: Variables,
}

/// Decides about the request and tells how.
pub fn run(options: &Options) -> Result<Outcome, Failure> {
    let gateway = gateway::open(&options.file, &options.variables)?;
    let now = options.at.unwrap_or_else(clock::now);
    let mut request = request(options)?;
    let body = body::read(options.body.as_deref())?;
    body::announce(&mut request, &body);
    let mut polled = gateway.policy.polled();
    let mut verifier: Box<dyn SignatureVerifier> = Box::new(Software);
    if let Some(claims) = &options.claims {
        let token = supposed::token(&gateway.document, claims, options.issuer.as_deref(), now)?;
        supposed::publish(&mut polled, now);
        token.attach(&mut request);
        verifier = Box::new(token);
    }
    if let Some(file) = &options.keys {
        published::keys(&mut polled, file, now)?;
    }
    let supposed = [
        (
            published::revocations(&mut polled, &gateway, options.revoked.as_deref(), now)?,
            "--revoked, so the polled list revokes nothing here",
        ),
        (
            published::clients(&mut polled, &gateway, &options.file, options.clients.as_deref(), now)?,
            "--clients, so the polled document lists nobody here",
        ),
    ];
    let headers: Vec<(&[u8], &[u8])> = request.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let parts = RequestParts { headers: &headers, received_at: now, again: false, ended: body.is_empty() };
    let mut trace = Vec::new();
    let peer = KnownPeer { address: options.from, certificate: options.certificate.clone() };
    let verdict = decide(&gateway, &parts, &mut polled, verifier.as_ref(), &peer, now, &mut trace)?;
    let verdict = body::judge(&gateway.policy, verdict, &body, now, &mut trace);
    let report = report::Report { request: &request, trace: &trace, verdict: &verdict };
    let exit = match verdict.decision {
        Decision::Forward(_) => Exit::Success,
        Decision::Reply(_) if verdict.audit.outcome == audit::Outcome::Deny => Exit::Denied,
        Decision::Reply(_) => Exit::Success,
        Decision::Await(_) | Decision::Inspect(_) => Exit::Failure,
    };
    let result = if options.json { Printed::json(&report.json()) } else { Printed::Lines(report.lines()) };
    let supposed = supposed.into_iter().filter(|(is_so, _)| *is_so);
    let supposed = supposed.map(|(_, what)| format!("{}: note: no {what}", options.file));
    Ok(Outcome { result, notes: gateway.notes(&options.file).chain(supposed).collect(), exit })
}

/// Decides once more when the first answer was to wait for keys: a fetch that brings nothing new ends the waiting.
fn decide<'r>(
    gateway: &Gateway,
    parts: &RequestParts<'r>,
    polled: &mut Polled,
    verifier: &dyn SignatureVerifier,
    peer: &KnownPeer,
    now: Duration,
    trace: &mut Vec<Step>,
) -> Result<Verdict<'r>, Failure> {
    let mut tokens = TokenCache::new(1, 65_536);
    let fresh_id = || "explained".to_string();
    let mut quotas = Quotas::new(MOST_ACCOUNTS);
    for _ in 0..3 {
        trace.clear();
        let mut world = World {
            now,
            polled,
            tokens: &mut tokens,
            limits: &mut LocalStore::default(),
            quotas: &mut quotas,
            verifier,
            peer,
            fresh_id: &fresh_id,
            trace: Some(&mut *trace),
        };
        let verdict = gateway.policy.decide(parts, &mut world);
        let Decision::Await(wait) = &verdict.decision else { return Ok(verdict) };
        let document = match wait.on {
            Awaited::Document(document) => document,
            Awaited::Quota(_) => {
                grant(&mut quotas, now);
                continue;
            }
        };
        if polled.generation(document, now).is_none() {
            let message = "the verdict depends on a remote key set: give it with --keys, or suppose a genuine token with --claims";
            return Err(Failure::Message(message.to_string()));
        }
        polled.note_failure(document, now);
    }
    Err(Failure::Message("the request would wait for a key that no key set has".to_string()))
}

/// No rate limit service is asked: what it counts is nobody else's business, and it is supposed to grant what is asked for.
fn grant(quotas: &mut Quotas, now: Duration) {
    while let Some(call) = quotas.poll_call(now) {
        quotas.handle_answer(call.account, Ok(&wire::granted()), now);
    }
}

fn request(options: &Options) -> Result<Vec<(String, String)>, Failure> {
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

/// More accounts than one request can have limits.
const MOST_ACCOUNTS: usize = 1_000;
