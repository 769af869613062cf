//! Fetches polled documents, and shares them between the workers of a proxy.
//!
//! Before a worker fetches a document, it takes a lease in shared data, so that no other worker fetches the document at the same
//! time. It stores the result in shared data, and the other workers read it there.
//!
//! Each document has two values in shared data: a small state, and the text of the document. Every worker reads the state at
//! every tick. It reads the text only if the state shows a new version, because the text can be large.

mod state;

use std::collections::VecDeque;
use std::time::Duration;

use super::call::{Answer, Call, CallId, CallRequest, HttpResponse};
use super::command::{Command, Level};
use super::log;
use super::metrics::{CallOutcome, Count};
use super::shared::SharedData;
use crate::policy::polled::{PollPlan, Polled};
use crate::policy::verdict::wait::PolledId;

use state::{SharedState, packed, unpacked};

/// The polled documents of one policy in one worker, and the fetches that the host must start.
#[derive(Debug, Default)]
pub struct Polling {
    /// Whether this gateway fetches documents. Otherwise it only uses the documents that another gateway fetches.
    fetches: bool,
    watched: Vec<WatchedDocument>,
    /// The fetches for which this worker took the lease, and which the host has not started yet.
    ready: VecDeque<Call>,
}

/// A polled document: its keys in shared data, and the version that this worker uses.
#[derive(Debug)]
struct WatchedDocument {
    id: PolledId,
    state_key: String,
    text_key: String,
    /// The value of [`SharedState::ended_at`] that this worker read last.
    ended_at: u64,
    /// The version of the shared text that this worker tried to install last; 0 means none.
    seen: u64,
    /// The version of the shared text that this worker uses; 0 means none.
    used: u64,
    /// The entity tag of the version that this worker uses, for `If-None-Match`.
    etag: Option<String>,
    /// The fetch that this worker has started, until its result arrives.
    fetch: Option<Fetch>,
}

/// A fetch whose result has not arrived yet.
#[derive(Clone, Copy, Debug)]
struct Fetch {
    /// Whether the request contains `If-None-Match`, so that the response can be 304.
    conditional: bool,
}

/// The two parts of a log line about a failed fetch: [`UNFETCHED`] or [`REFUSED`], and the reason.
type FetchFailure = (&'static str, String);

impl Polling {
    /// Starts to poll every document of `polled`. Creates the states that are missing in shared data. Without a state, several
    /// workers could take the first lease of a document, because a write to a missing key succeeds with any expected version
    /// (envoy-facts §2.14).
    pub fn new(polled: &Polled, shared: &dyn SharedData, fetches: bool) -> Polling {
        let watched: Vec<WatchedDocument> = polled.plans().map(|(id, plan)| WatchedDocument::new(id, plan)).collect();
        for one in &watched {
            if shared.get(&one.state_key).is_none() {
                SharedState::default().share(&one.state_key, shared);
            }
        }
        Polling { fetches, watched, ready: VecDeque::new() }
    }

    /// Returns the next fetch to start.
    pub fn next_call(&mut self) -> Option<Call> {
        self.ready.pop_front()
    }

    /// Handles a tick: installs documents that other workers fetched, and takes the leases for fetches that are due. Returns
    /// `true` if a fetch of another worker has ended, so that waiting requests must be decided again.
    pub fn poll(
        &mut self,
        polled: &mut Polled,
        now: Duration,
        shared: &dyn SharedData,
        commands: &mut Vec<Command>,
    ) -> bool {
        let mut changed = false;
        for watched in &mut self.watched {
            let (state, version) = SharedState::read(&watched.state_key, shared);
            changed |= watched.take_over(polled, state, shared, commands);
            if !self.fetches {
                continue;
            }
            let Some(timeout) = polled.plan(watched.id).map(|plan| plan.timeout) else { continue };
            // A lease also ends if its start is in the future. In this case, the clock was set back after a worker took the
            // lease.
            let leased_at = Duration::from_millis(state.leased_at);
            let over = now > leased_at + timeout + LEASE_MARGIN || now + LEASE_MARGIN < leased_at;
            let is_free = state.leased_at <= state.ended_at || over;
            if !polled.is_due(watched.id, now) || !is_free {
                continue;
            }
            let leased = SharedState { leased_at: as_millis(now), ..state };
            if shared.compare_and_set(&watched.state_key, &leased.to_bytes(), version)
                && let Some(plan) = polled.plan(watched.id)
            {
                let conditional = watched.etag.is_some() && watched.used == state.version;
                watched.fetch = Some(Fetch { conditional });
                self.ready.push_back(watched.call(plan, conditional));
            }
        }
        changed
    }

    /// Handles the result of a fetch. A valid document replaces the current document, and this worker shares it with the others.
    /// After any other result, the current document stays in use.
    pub fn on_answer(
        &mut self,
        id: PolledId,
        answer: Answer<'_>,
        polled: &mut Polled,
        now: Duration,
        shared: &dyn SharedData,
        commands: &mut Vec<Command>,
    ) {
        let Some(watched) = self.watched.iter_mut().find(|watched| watched.id == id) else { return };
        let Some(fetch) = watched.fetch.take() else { return };
        let count = |outcome, polled: &Polled| {
            let plan = polled.plan(id);
            plan.map(|plan| Command::Count(Count::Call(plan.what.name(), plan.cluster.as_str().into(), outcome)))
        };
        let mut state = SharedState { ended_at: as_millis(now), ..SharedState::read(&watched.state_key, shared).0 };
        let Answer::Http(response) = answer else {
            // This change of the shared state is enough: at the next tick, each worker, including this one, sees that a fetch
            // ended without a new version, and records the failure.
            if let Some(plan) = polled.plan(id) {
                let (name, cluster) = (plan.name(), &plan.cluster);
                commands.push(log(Level::Error, format!("{name} {UNFETCHED}: Envoy has no cluster {cluster}")));
            }
            commands.extend(count(CallOutcome::NotStarted, polled));
            state.share(&watched.state_key, shared);
            return;
        };
        let taken = match response.header(":status").unwrap_or_default().as_slice() {
            b"200" => watched.take(response, polled, &mut state, now, shared, commands),
            // The status 304 confirms the version whose entity tag was in the request. If another worker has shared a later
            // version in the meantime, 304 counts as a failure.
            b"304" if fetch.conditional && watched.used == state.version => {
                polled.confirm(watched.id, now);
                state.fetched_at = state.ended_at;
                Ok(())
            }
            b"" => Err((UNFETCHED, "the call failed, timed out, or its response was too large".to_string())),
            other => Err((UNFETCHED, format!("status {}", String::from_utf8_lossy(other).escape_default()))),
        };
        watched.ended_at = state.ended_at;
        let outcome = match taken {
            Ok(()) => CallOutcome::Ok,
            Err((REFUSED, _)) => CallOutcome::Refused,
            Err(_) => CallOutcome::Failed,
        };
        commands.extend(count(outcome, polled));
        if let Err((failed, reason)) = taken {
            polled.note_failure(watched.id, now);
            watched.log_failure(polled, failed, &reason, now, commands);
        }
        state.share(&watched.state_key, shared);
    }
}

impl WatchedDocument {
    /// Creates the state for one document. Two policies that poll the same kind of document at the same address through the same
    /// cluster use the same values in shared data.
    fn new(id: PolledId, plan: &PollPlan) -> WatchedDocument {
        let name = format!("portcullis/{}/{}{}@{}", plan.what.tag(), plan.uri.authority(), plan.uri.path, plan.cluster);
        let (state_key, text_key) = (format!("{name}/state"), format!("{name}/document"));
        WatchedDocument { id, state_key, text_key, ended_at: 0, seen: 0, used: 0, etag: None, fetch: None }
    }

    fn call(&self, plan: &PollPlan, conditional: bool) -> Call {
        let mut headers = vec![
            (":method", "GET".to_string()),
            (":path", plan.uri.path.clone()),
            (":authority", plan.uri.authority()),
            ("accept", "application/json".to_string()),
            ("user-agent", "portcullis".to_string()),
        ];
        if let Some(etag) = self.etag.as_ref().filter(|_| conditional) {
            headers.push(("if-none-match", etag.clone()));
        }
        Call {
            id: CallId::Document(self.id),
            cluster: plan.cluster.clone(),
            timeout: plan.timeout,
            request: CallRequest::Http(headers),
        }
    }

    /// Installs the document that the body of a response contains. If the document differs from the shared text, or if its entity
    /// tag is new, also stores it in shared data.
    fn take(
        &mut self,
        response: &dyn HttpResponse,
        polled: &mut Polled,
        state: &mut SharedState,
        now: Duration,
        shared: &dyn SharedData,
        commands: &mut Vec<Command>,
    ) -> Result<(), FetchFailure> {
        let max = polled.plan(self.id).map_or(0, |plan| plan.what.most_bytes());
        let text = response.body(max + 1);
        let taken = polled.install(self.id, &text, now).map_err(|fault| (REFUSED, short(&fault.0)))?;
        self.log_skipped(polled, &taken.skipped, commands);
        let etag = response.header("etag").as_deref().and_then(usable_etag);
        state.fetched_at = state.ended_at;
        if taken.changed || self.used == 0 || self.used != state.version || self.etag != etag {
            state.version = state.ended_at.max(state.version + 1);
            shared.set(&self.text_key, &packed(etag.as_deref(), &text));
        }
        (self.seen, self.used, self.etag) = (state.version, state.version, etag);
        Ok(())
    }

    /// Installs the document that another worker fetched, if it is new. Returns `true` if a fetch has ended since the last call.
    fn take_over(
        &mut self,
        polled: &mut Polled,
        state: SharedState,
        shared: &dyn SharedData,
        commands: &mut Vec<Command>,
    ) -> bool {
        if state.ended_at == self.ended_at {
            return false;
        }
        self.ended_at = state.ended_at;
        let fetched_at = Duration::from_millis(state.fetched_at);
        if state.version != self.seen {
            self.seen = state.version;
            let packed = shared.get(&self.text_key).map(|(text, _)| text).unwrap_or_default();
            let (etag, text) = unpacked(&packed);
            match polled.install(self.id, text, fetched_at) {
                Ok(_) => (self.used, self.etag) = (state.version, etag.and_then(usable_etag)),
                // The worker that shared the document accepted it. This worker can still refuse it, if its policy has a smaller
                // limit, such as `max_entries`.
                Err(fault) => self.log_failure(polled, REFUSED, &short(&fault.0), fetched_at, commands),
            }
        } else if self.used == state.version {
            polled.confirm(self.id, fetched_at);
        }
        polled.note_failure(self.id, Duration::from_millis(state.ended_at));
        true
    }

    fn log_skipped(&self, polled: &Polled, skipped: &[String], commands: &mut Vec<Command>) {
        let Some(plan) = polled.plan(self.id) else { return };
        let lines = skipped.iter().map(|part| format!("{}: {}", plan.name(), short(part)));
        commands.extend(lines.map(|line| log(Level::Warn, line)));
    }

    /// Logs a failed fetch with the age of the document that stays in use.
    fn log_failure(&self, polled: &Polled, failed: &str, reason: &str, now: Duration, commands: &mut Vec<Command>) {
        let Some(plan) = polled.plan(self.id) else { return };
        let name = plan.name();
        let age = match polled.stale_for(self.id, now) {
            Some(age) => format!("the cached one is {} s old", age.as_secs()),
            None => "none is cached".to_string(),
        };
        commands.push(log(Level::Warn, format!("{name} {failed}: {reason}; {age}")));
    }
}

/// Returns the entity tag of a response if it is valid (RFC 9110 §8.8.3) and at most [`MAX_ETAG_BYTES`] long.
fn usable_etag(etag: &[u8]) -> Option<String> {
    let opaque = etag.strip_prefix(b"W/").unwrap_or(etag);
    let quoted = opaque.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""))?;
    let is_plain = quoted.iter().all(|byte| (0x21..0x7f).contains(byte) && *byte != b'"');
    (is_plain && etag.len() <= MAX_ETAG_BYTES).then(|| String::from_utf8_lossy(etag).into_owned())
}

/// Shortens a text for a log line, because it may contain data of the endpoint. The host escapes control characters in the line.
fn short(text: &str) -> String {
    text.chars().take(MAX_LOGGED).collect()
}

fn as_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

const UNFETCHED: &str = "was not fetched";
/// The words in a log line for a response whose body is not a valid document.
const REFUSED: &str = "was refused";

/// The time that other workers wait after the timeout of a fetch before they take its lease. If the fetch has not ended by then,
/// the worker that started it has stopped.
const LEASE_MARGIN: Duration = Duration::from_secs(1);
const MAX_ETAG_BYTES: usize = 1_024;
const MAX_LOGGED: usize = 500;
