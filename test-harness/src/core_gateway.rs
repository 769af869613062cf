//! Implements the gateway of the native cases: it runs the filter's core on a simulated host and imitates the upstream.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use portcullis::config::source;
use portcullis::gateway::shared::LocalData;
use portcullis::gateway::simulation::{SimulatedHost, SimulatedStream};
use portcullis::gateway::transaction::Transaction;
use portcullis::gateway::waiting::StreamId;
use portcullis::policy::Policy;
use portcullis::policy::pipeline::forward::ROUTING_HEADER;
use portcullis::policy::polled::DocumentKind;
use portcullis::policy::request::peer::KnownPeer;
use portcullis::policy::verdict::audit::RequestEnd;
use portcullis::policy::verdict::edit::HeaderEdit;
use portcullis::policy::verdict::reply::Reply;
use portcullis::policy::verdict::wait::{Awaited, PolledId};
use serde_json::Value;

use crate::client::Request;
use crate::native::{Arrival, Gateway};
use crate::outcome::{Forwarded, Headers, Outcome};
use crate::shown;
use crate::upstream::ResponseSpec;
use crate::verifiers::BothVerifiers;

/// A gateway with its simulated host and the documents that it fetches.
struct CoreGateway {
    gateway: portcullis::gateway::Gateway,
    host: SimulatedHost<'static>,
    /// The published documents by path.
    published: BTreeMap<String, String>,
    fetches: usize,
    requests: u32,
}

/// Creates a gateway that runs the core of the package with this document.
///
/// # Errors
/// Returns every problem of the document, one per line.
pub fn open(policy: &Value, env: &[(String, String)]) -> Result<Box<dyn Gateway>> {
    let node = source::read(policy.to_string().as_bytes()).map_err(|error| anyhow!(error))?;
    let variable = |name: &str| env.iter().find(|(have, _)| have == name).map(|(_, value)| value.clone());
    let policy = Policy::from_node(&node, &variable).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(|problem| format!("{}: {}", problem.place, problem.message)).collect();
        anyhow!("the policy is refused:\n  {}", lines.join("\n  "))
    })?;
    let mut host = SimulatedHost::new(Duration::ZERO);
    host.id = |n| format!("native-{n}");
    host.verifier = &BothVerifiers;
    let gateway = portcullis::gateway::Gateway::new(Arc::new(policy), &LocalData::default());
    Ok(Box::new(CoreGateway { gateway, host, published: BTreeMap::new(), fetches: 0, requests: 0 }))
}

impl Gateway for CoreGateway {
    fn decide(&mut self, arrival: &Arrival<'_>) -> Result<Outcome> {
        let before = self.fetches;
        let outcome = self.outcome(arrival)?;
        Ok(Outcome { fetches: self.fetches - before, ..outcome })
    }

    fn publish(&mut self, path: &str, text: Option<String>) {
        match text {
            Some(text) => self.published.insert(path.to_owned(), text),
            None => self.published.remove(path),
        };
    }
}

impl CoreGateway {
    fn outcome(&mut self, arrival: &Arrival<'_>) -> Result<Outcome> {
        // The time advances with each request. A fetch that the previous request started has therefore ended.
        self.host.now = Duration::from_secs(u64::try_from(arrival.now)?) + BETWEEN_REQUESTS * self.requests;
        self.requests += 1;
        let headers = shown::headers(arrival.request);
        let borrowed: Vec<_> = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())).collect();
        let sent_trailers = trailers(arrival.request);
        self.host.stream = SimulatedStream {
            peer: KnownPeer { address: arrival.from, certificate: arrival.certificate.clone() },
            body: arrival.request.body.clone(),
            is_chunked: arrival.request.chunked,
            trailers: sent_trailers.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone())).collect(),
            ..SimulatedStream::default()
        };
        let Self { gateway, host, published, fetches, .. } = self;
        let mut endpoints = Endpoints { gateway, published, fetches, arrival };
        endpoints.fetch_what_is_due(host.now);
        let mut transaction = Transaction::new(StreamId(self.requests.into()));
        let mut sent = host.run(gateway, &mut transaction, &borrowed, None, |host, awaited| {
            let Awaited::Document(document) = awaited else { bail!("the native run has no rate limit service") };
            host.now += FETCH_TIME;
            endpoints.fetch(document, host.now);
            anyhow::Ok(())
        })?;
        let end = |status| RequestEnd { status: Some(status), ..RequestEnd::default() };
        if let Some(reply) = sent.reply.take() {
            let mut outcome = replied(&reply, arrival.request);
            outcome.audit = serde_json::from_str(&transaction.close(end(outcome.status), String::new)).ok();
            return Ok(outcome);
        }
        let mut seen = forwarded(edited(headers.clone(), &sent.request), arrival.request);
        seen.trailers = edited(sent_trailers, &sent.trailers);
        let spec = ResponseSpec::read(seen.path.split_once('?').map_or("", |(_, query)| query));
        let status = spec.status();
        let mut response = spec.headers();
        if !response.iter().any(|(name, _)| name == "content-type") {
            response.push(("content-type".to_owned(), b"application/json".to_vec()));
        }
        host.stream.details = "via_upstream".to_owned();
        if arrival.request.method != b"HEAD" {
            host.stream.response_body = spec.body(&seen).into_bytes();
        }
        let value = |name: &str| response.iter().find(|(have, _)| have == name).map(|(_, value)| value.clone());
        host.respond(gateway, &mut transaction, status, &value, &mut sent);
        if let Some(reply) = sent.reply.take() {
            let mut outcome = replied(&reply, arrival.request);
            outcome.forwarded = Some(seen);
            outcome.audit = serde_json::from_str(&transaction.close(end(outcome.status), String::new)).ok();
            return Ok(outcome);
        }
        let body = sent.response_body.take().unwrap_or_else(|| std::mem::take(&mut host.stream.response_body));
        let headers = edited(response, &sent.response);
        let audit = serde_json::from_str(&transaction.close(end(status), String::new)).ok();
        Ok(Outcome { status, headers, body, forwarded: Some(seen), audit, ..Outcome::default() })
    }
}

struct Endpoints<'g, 'a> {
    gateway: &'g portcullis::gateway::Gateway,
    published: &'g BTreeMap<String, String>,
    fetches: &'g mut usize,
    arrival: &'g Arrival<'a>,
}

impl Endpoints<'_, '_> {
    /// Fetches every polled document whose next fetch is due, as the filter does on a timer tick.
    fn fetch_what_is_due(&mut self, now: Duration) {
        let ids: Vec<_> = self.gateway.polled().plans().map(|(id, _)| id).collect();
        for id in ids {
            let is_due = self.gateway.polled().is_due(id, now);
            if is_due {
                self.fetch(id, now + FETCH_TIME);
            }
        }
    }

    /// Passes the endpoint's response to the gateway at the time `at`.
    fn fetch(&mut self, id: PolledId, at: Duration) {
        let polled = &mut *self.gateway.polled();
        let Some(plan) = polled.plan(id) else { return };
        let text = match plan.what {
            DocumentKind::KeySet => {
                *self.fetches += 1;
                self.arrival.key_set.as_ref().map(ToString::to_string)
            }
            DocumentKind::Revocations { .. } | DocumentKind::Clients(_) => self.published.get(&plan.uri.path).cloned(),
        };
        let installed = text.map(|text| polled.install(id, text.as_bytes(), at));
        if installed.is_none_or(|installed| installed.is_err()) {
            polled.note_failure(id, at);
        }
    }
}

fn trailers(request: &Request) -> Headers {
    let lower = |name: &[u8]| String::from_utf8_lossy(name).to_ascii_lowercase();
    request.trailers.iter().map(|(name, value)| (lower(name), value.clone())).collect()
}

fn edited(mut headers: Headers, edits: &[HeaderEdit]) -> Headers {
    for edit in edits {
        match edit {
            HeaderEdit::Remove(name) => headers.retain(|(have, _)| *have != **name),
            HeaderEdit::Set(name, value) => {
                headers.retain(|(have, _)| *have != **name);
                headers.push((name.to_string(), value.to_vec()));
            }
            HeaderEdit::Add(name, value) => headers.push((name.to_string(), value.to_vec())),
        }
    }
    headers
}

/// Returns the request as the upstream receives it.
fn forwarded(headers: Headers, request: &Request) -> Forwarded {
    let text = |name: &str| {
        let value = headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_slice());
        String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
    };
    Forwarded {
        upstream: text(ROUTING_HEADER),
        method: text(":method"),
        path: text(":path"),
        headers: headers
            .iter()
            .filter(|(name, _)| name != ROUTING_HEADER && (!name.starts_with(':') || name == ":authority"))
            .map(|(name, value)| (name.replace(":authority", "host"), value.clone()))
            .collect(),
        trailers: Headers::new(),
        body_bytes: request.body.len(),
    }
}

/// Returns the gateway's reply as Envoy sends it.
fn replied(reply: &Reply, request: &Request) -> Outcome {
    let mut headers: Headers =
        reply.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    let mut outcome = Outcome { status: reply.status, body: reply.body.to_vec(), ..Outcome::default() };
    // A gRPC client receives a response without a body, always with status 200 (envoy-facts §2.5).
    if let Some((code, message)) = reply.grpc {
        headers.retain(|(name, _)| name != "content-type");
        headers.push(("content-type".into(), b"application/grpc".to_vec()));
        headers.push(("grpc-status".into(), code.to_string().into_bytes()));
        headers.push(("grpc-message".into(), message.as_bytes().to_vec()));
        outcome.status = 200;
        outcome.body.clear();
    }
    if request.method == b"HEAD" {
        outcome.body.clear();
    }
    outcome.headers = headers;
    outcome
}

/// The simulated duration of a fetch.
const FETCH_TIME: Duration = Duration::from_millis(1);
const BETWEEN_REQUESTS: Duration = Duration::from_millis(5);
