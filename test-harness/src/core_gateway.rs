//! The native gateway: the package's own core, with plain memory for its world and the harness's upstream behind it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use portcullis::config::source;
use portcullis::policy::Policy;
use portcullis::policy::audit::AuditRecord;
use portcullis::policy::bounds::ByteBound;
use portcullis::policy::checks::body::Body;
use portcullis::policy::decision::{Awaited, Decision, HeaderEdit, Reply, ResponsePlan};
use portcullis::policy::forward::ROUTING_HEADER;
use portcullis::policy::limit::store::LocalStore;
use portcullis::policy::peer::KnownPeer;
use portcullis::policy::polled::{Polled, PolledId, What};
use portcullis::policy::quota::Quotas;
use portcullis::policy::request::RequestParts;
use portcullis::policy::signature::Software;
use portcullis::policy::token_cache::TokenCache;
use portcullis::policy::world::World;
use serde_json::Value;

use crate::client::Request;
use crate::native::{Arrival, Gateway};
use crate::outcome::{Forwarded, Headers, Outcome};
use crate::shown;
use crate::upstream::Wish;

/// A policy and what its worker would remember between requests.
struct CoreGateway {
    policy: Policy,
    polled: Polled,
    /// What the endpoints of documents answer, by path.
    published: BTreeMap<String, String>,
    tokens: TokenCache,
    limits: LocalStore,
    held: Rc<ByteBound>,
    copied: Rc<ByteBound>,
    ids: Cell<u64>,
    fetches: usize,
    requests: u32,
}

/// The gateway that the package's own core makes of a document.
///
/// # Errors
/// Every problem of the document, a line each.
pub fn open(policy: &Value, env: &[(String, String)]) -> Result<Box<dyn Gateway>> {
    let node = source::read(policy.to_string().as_bytes()).map_err(|error| anyhow!(error))?;
    let variable = |name: &str| env.iter().find(|(have, _)| have == name).map(|(_, value)| value.clone());
    let policy = Policy::from_node(&node, &variable).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(|problem| format!("{}: {}", problem.place, problem.message)).collect();
        anyhow!("the policy is refused:\n  {}", lines.join("\n  "))
    })?;
    let polled = policy.polled();
    Ok(Box::new(CoreGateway {
        held: ByteBound::new(policy.bounds().held_bodies),
        copied: ByteBound::new(policy.bounds().copied_bodies),
        policy,
        polled,
        published: BTreeMap::new(),
        tokens: TokenCache::new(1_000, 1 << 20),
        limits: LocalStore::default(),
        ids: Cell::new(0),
        fetches: 0,
        requests: 0,
    }))
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
        // No two requests come at the same moment, and none while the fetch of another ends.
        let received_at = Duration::from_secs(u64::try_from(arrival.now)?) + BETWEEN_REQUESTS * self.requests;
        self.requests += 1;
        let headers = shown::headers(arrival.request);
        let borrowed: Vec<_> = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())).collect();
        let peer = KnownPeer { address: arrival.from, certificate: arrival.certificate.clone() };
        let mut now = received_at;
        self.fetch_what_is_due(arrival, now);
        for decided in 0..MOST_FETCHES {
            let parts = RequestParts {
                headers: &borrowed,
                received_at,
                again: decided > 0,
                ended: shown::ends_with_its_headers(arrival.request),
            };
            let fresh_id = || {
                self.ids.set(self.ids.get() + 1);
                format!("native-{}", self.ids.get())
            };
            let mut world = World {
                now,
                polled: &mut self.polled,
                tokens: &mut self.tokens,
                limits: &mut self.limits,
                quotas: &mut Quotas::new(1),
                verifier: &Software,
                peer: &peer,
                fresh_id: &fresh_id,
                trace: None,
            };
            let mut verdict = self.policy.decide(&parts, &mut world);
            if let Decision::Inspect(inspection) = verdict.decision {
                let body = &arrival.request.body;
                let held = self.held.hold(body.len());
                let is_crowded = held.is_none() && !inspection.is_too_large(body.len());
                let body = if is_crowded { Body::Crowded } else { Body::Whole(body) };
                verdict = self.policy.inspect(*inspection, body, now);
            }
            match verdict.decision {
                Decision::Reply(reply) => return Ok(replied(reply, &verdict.audit, arrival.request)),
                Decision::Inspect(_) => bail!("a body that was judged is to be judged again"),
                Decision::Forward(mut forward) => {
                    if let Some(mut meter) = forward.take_meter() {
                        let body = &arrival.request.body;
                        if let Err(rejection) = meter.add(body.len(), body, &self.copied) {
                            let reply = self.policy.refuse(&rejection, &verdict.response, now);
                            return Ok(replied(reply, &verdict.audit, arrival.request));
                        }
                        if let Some(remark) = meter.finish() {
                            verdict.audit.remark(remark);
                        }
                    }
                    let edited = edited(headers.clone(), forward.edits());
                    let mut outcome = forwarded(edited, &verdict.response, &verdict.audit, arrival.request);
                    if let Some(seen) = &mut outcome.forwarded {
                        seen.trailers = self.trailers(arrival.request);
                    }
                    return Ok(outcome);
                }
                Decision::Await(wait) => {
                    let Awaited::Document(document) = wait.on else {
                        bail!("no rate limit service answers the native run")
                    };
                    now = self.fetch(document, arrival, now);
                }
            }
        }
        bail!("the core still waits after {MOST_FETCHES} fetches of the key set")
    }

    /// What the filter leaves of the trailers.
    fn trailers(&self, request: &Request) -> Headers {
        let lower = |name: &[u8]| String::from_utf8_lossy(name).to_ascii_lowercase();
        let sent: Headers = request.trailers.iter().map(|(name, value)| (lower(name), value.clone())).collect();
        let borrowed: Vec<_> = sent.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())).collect();
        let edits = self.policy.forged(&borrowed);
        edited(sent, &edits)
    }

    /// What the filter's tick does.
    fn fetch_what_is_due(&mut self, arrival: &Arrival<'_>, now: Duration) {
        let ids: Vec<_> = self.polled.plans().map(|(id, _)| id).collect();
        for id in ids {
            if self.polled.is_due(id, now) {
                self.fetch(id, arrival, now);
            }
        }
    }

    /// Hands the endpoint's answer in; the time when that has happened, which is a moment later.
    fn fetch(&mut self, id: PolledId, arrival: &Arrival<'_>, now: Duration) -> Duration {
        let at = now + FETCH_TIME;
        let Some(plan) = self.polled.plan(id) else { return at };
        let text = match plan.what {
            What::KeySet => {
                self.fetches += 1;
                arrival.key_set.as_ref().map(ToString::to_string)
            }
            What::Revocations { .. } | What::Clients(_) => self.published.get(&plan.uri.path).cloned(),
        };
        let installed = text.map(|text| self.polled.install(id, text.as_bytes(), at));
        if installed.is_none_or(|installed| installed.is_err()) {
            self.polled.note_failure(id, at);
        }
        at
    }
}

fn edited(mut headers: Headers, edits: &[HeaderEdit]) -> Headers {
    for edit in edits {
        match edit {
            HeaderEdit::Remove(name) => headers.retain(|(have, _)| *have != **name),
            HeaderEdit::Set(name, value) => {
                headers.retain(|(have, _)| *have != **name);
                headers.push((name.to_string(), value.to_vec()));
            }
        }
    }
    headers
}

fn forwarded(headers: Headers, plan: &ResponsePlan, audit: &AuditRecord<'_>, request: &Request) -> Outcome {
    let text = |name: &str| {
        let value = headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_slice());
        String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
    };
    let seen = Forwarded {
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
    };
    let wish = Wish::read(seen.path.split_once('?').map_or("", |(_, query)| query));
    let status = wish.status();
    let headers = on_response(wish.headers(), plan);
    let audit = record(audit, status);
    let body = if request.method == b"HEAD" { Vec::new() } else { wish.body(&seen).into_bytes() };
    Outcome { status, headers, body, forwarded: Some(seen), audit, ..Outcome::default() }
}

/// The upstream's response headers as the client gets them.
fn on_response(mut headers: Headers, plan: &ResponsePlan) -> Headers {
    headers.retain(|(name, _)| name != "x-request-id");
    headers.push(("x-request-id".into(), plan.request_id.as_bytes().to_vec()));
    for (name, value) in plan.budget.headers() {
        headers.retain(|(have, _)| have != name);
        headers.push((name.to_owned(), value.into_bytes()));
    }
    if let Some(cors) = &plan.cors {
        headers.retain(|(name, _)| !cors.remove.contains(&name.as_str()));
        headers.extend(cors.set.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())));
        headers.extend(cors.vary.iter().map(|vary| ("vary".to_owned(), vary.as_bytes().to_vec())));
    }
    headers
}

fn replied(reply: Reply, audit: &AuditRecord<'_>, request: &Request) -> Outcome {
    let mut headers: Headers =
        reply.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    let mut outcome = Outcome { status: reply.status, body: reply.body.to_vec(), ..Outcome::default() };
    // A gRPC client gets trailers only, always with status 200 (envoy-facts §2.5).
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
    outcome.audit = record(audit, outcome.status);
    outcome.headers = headers;
    outcome
}

/// The record as written, with the status that the filter adds.
fn record(audit: &AuditRecord<'_>, status: u16) -> Option<Value> {
    let mut record: Value = serde_json::from_str(&audit.to_json()).ok()?;
    record.as_object_mut()?.insert("status".into(), status.into());
    Some(record)
}

/// One for a first key set, one for an unknown key id; more would be a loop.
const MOST_FETCHES: usize = 4;

/// How long a fetch takes, and how long after one request the next one comes.
const FETCH_TIME: Duration = Duration::from_millis(1);
const BETWEEN_REQUESTS: Duration = Duration::from_millis(5);
