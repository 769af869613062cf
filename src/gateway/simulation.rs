//! A host for tools and tests that works without a proxy.
//!
//! A proxy supplies facts about each request, such as the client's address. With this host, the tool or the test sets them before
//! the request runs.

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use super::Gateway;
use super::command::Command;
use super::host::{Host, RequestFacts};
use super::transaction::{Headers, Transaction};
use crate::policy::credentials::signature::{SignatureVerifier, SoftwareVerifier};
use crate::policy::limits::rate_limit::store::LocalStore;
use crate::policy::request::peer::{KnownPeer, Peer};
use crate::policy::verdict::edit::HeaderEdit;
use crate::policy::verdict::reply::Reply;
use crate::policy::verdict::wait::Awaited;
use crate::policy::world::TraceStep;

/// A host for tools and tests that works without a proxy.
pub struct SimulatedHost<'v> {
    /// The time since the Unix epoch.
    pub now: Duration,
    /// The properties of the request.
    pub stream: SimulatedStream,
    /// The buckets of local limits.
    pub limits: LocalStore,
    /// The function that verifies the signatures of tokens.
    pub verifier: &'v dyn SignatureVerifier,
    /// Returns the id for the nth request without an id, starting at 1.
    pub id: fn(u64) -> String,
    ids: Cell<u64>,
}

/// The properties of a request, and of the response of its upstream.
#[derive(Clone, Debug, Default)]
pub struct SimulatedStream {
    /// The address and the certificate of the client.
    pub peer: KnownPeer,
    /// The body of the request.
    pub body: Vec<u8>,
    /// Whether the request is chunked. The headers of such a request do not end it, even if its body is empty.
    pub is_chunked: bool,
    /// The trailers of the request. Names are in lower case.
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body of the upstream's response.
    pub response_body: Vec<u8>,
    /// Envoy's response code details.
    pub details: String,
}

/// The effects of the commands that the gateway has returned for a request.
#[derive(Debug, Default)]
pub struct Sent {
    /// The reply, if the gateway answered the request itself.
    pub reply: Option<Reply>,
    /// The changes to the headers of the request, in order.
    pub request: Vec<HeaderEdit>,
    /// The changes to the trailers of the request, in order.
    pub trailers: Vec<HeaderEdit>,
    /// The changes to the headers of the response, in order.
    pub response: Vec<HeaderEdit>,
    /// The body that replaces the body of the upstream's response.
    pub response_body: Option<Vec<u8>>,
    /// Whether the request was held for an inspection of its body.
    pub was_inspected: bool,
}

/// The error for a request that still waits after [`SimulatedHost::run`] supplied eight results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StillWaiting;

impl<'v> SimulatedHost<'v> {
    /// Creates a host. `now` is the time since the Unix epoch.
    pub fn new(now: Duration) -> SimulatedHost<'v> {
        SimulatedHost {
            now,
            stream: SimulatedStream::default(),
            limits: LocalStore::default(),
            verifier: &SoftwareVerifier,
            id: |n| format!("simulated-{n}"),
            ids: Cell::new(0),
        }
    }

    /// Runs a request until it is forwarded or answered. While the request waits, calls `on_wait`, which must supply the awaited
    /// document or the answer of the rate limit service to `gateway`.
    ///
    /// # Errors
    /// Returns the error of `on_wait`, or [`StillWaiting`] if the request still waits after eight calls of `on_wait`.
    pub fn run<E: From<StillWaiting>>(
        &mut self,
        gateway: &Gateway,
        transaction: &mut Transaction,
        headers: Headers<'_>,
        mut trace: Option<&mut Vec<TraceStep>>,
        mut on_wait: impl FnMut(&mut SimulatedHost<'v>, Awaited) -> Result<(), E>,
    ) -> Result<Sent, E> {
        let has_trailers = !self.stream.trailers.is_empty();
        let ended = self.stream.body.is_empty() && !has_trailers && !self.stream.is_chunked;
        let mut sent = Sent::default();
        sent.add(self.with(trace.as_deref_mut(), |host| transaction.on_request_headers(gateway, headers, ended, host)));
        for _ in 0..MAX_WAITS {
            let Some(awaited) = transaction.awaited() else { break };
            on_wait(self, awaited)?;
            trace.iter_mut().for_each(|trace| trace.clear());
            sent.add(self.with(trace.as_deref_mut(), |host| transaction.on_wake(gateway, headers, host)));
        }
        if transaction.awaited().is_some() {
            return Err(StillWaiting.into());
        }
        sent.was_inspected = transaction.is_inspecting();
        let size = self.stream.body.len();
        if !ended && (size > 0 || !has_trailers) {
            sent.add(self.with(None, |host| transaction.on_request_body(gateway, size, !has_trailers, host)));
        }
        if has_trailers {
            let trailers = std::mem::take(&mut self.stream.trailers);
            let pairs: Vec<_> = trailers.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
            sent.add(self.with(None, |host| transaction.on_request_trailers(gateway, &pairs, host)));
        }
        Ok(sent)
    }

    /// Passes a response of the upstream to a forwarded request. `status` and `header` describe its headers, and its body is
    /// [`SimulatedStream::response_body`].
    pub fn respond(
        &mut self,
        gateway: &Gateway,
        transaction: &mut Transaction,
        status: u16,
        header: &dyn Fn(&str) -> Option<Vec<u8>>,
        sent: &mut Sent,
    ) {
        let size = self.stream.response_body.len();
        let head = |host: &mut Host<'_>| transaction.on_response_headers(gateway, status, header, size == 0, host);
        sent.add(self.with(None, head));
        if size > 0 && sent.reply.is_none() {
            sent.add(self.with(None, |host| transaction.on_response_body(gateway, size, true, host)));
        }
    }

    /// Calls `event` with the values of this host. Use it to pass one event to a transaction.
    pub fn with<T>(&mut self, trace: Option<&mut Vec<TraceStep>>, event: impl FnOnce(&mut Host<'_>) -> T) -> T {
        let (ids, id) = (&self.ids, self.id);
        let fresh_id = || {
            ids.set(ids.get() + 1);
            id(ids.get())
        };
        event(&mut Host {
            now: self.now,
            stream: &self.stream,
            limits: &mut self.limits,
            verifier: self.verifier,
            fresh_id: &fresh_id,
            trace,
        })
    }
}

impl RequestFacts for SimulatedStream {
    fn peer(&self) -> &dyn Peer {
        &self.peer
    }

    fn is_http1(&self) -> bool {
        true
    }

    fn received_bytes(&self) -> Option<u64> {
        None
    }

    fn body(&self, max: usize) -> Vec<u8> {
        self.body.iter().take(max).copied().collect()
    }

    fn response_body(&self, max: usize) -> Vec<u8> {
        self.response_body.iter().take(max).copied().collect()
    }

    fn response_details(&self) -> String {
        self.details.clone()
    }
}

impl Sent {
    /// Adds the effects of these commands.
    pub fn add(&mut self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::EditRequest(edits) => self.request.extend(edits),
                Command::EditRequestTrailers(edits) => self.trailers.extend(edits),
                Command::EditResponse(edits) => self.response.extend(edits),
                Command::Reply(reply) => self.reply = Some(reply),
                Command::ReplaceResponseBody { body, .. } => self.response_body = Some(body),
                Command::SetFilterState(..) | Command::Resume | Command::Log(..) | Command::Count(_) => {}
            }
        }
    }
}

impl fmt::Display for StillWaiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request still waits after several answers")
    }
}

impl std::error::Error for StillWaiting {}

/// The maximum number of waits of one request. A request can wait for a key set, for a newer key set, for clients, for
/// revocations and for limits. More waits would mean that the request waits in an endless loop.
const MAX_WAITS: usize = 8;
