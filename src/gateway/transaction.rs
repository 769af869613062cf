//! The state machine of one request and its response.
//!
//! A host passes the events of the request to its transaction, and performs the commands that the transaction returns.

mod response;
mod steps;

use std::sync::Arc;
use std::time::Duration;

use super::body::BodyState;
use super::command::{Command, Flow, Level};
use super::host::Host;
use super::metrics::Count;
use super::response_body::ResponseBody;
use super::waiting::StreamId;
use super::{Gateway, log};
use crate::config::document::Audit;
use crate::policy::checks::body::Body;
use crate::policy::pipeline::progress::Progress;
use crate::policy::verdict::audit::{AuditRecord, RequestEnd};
use crate::policy::verdict::reply::Reply;
use crate::policy::verdict::wait::Awaited;

/// The names and values of headers, including pseudo-headers, in the order of the request. Names are in lower case.
pub type Headers<'h> = &'h [(&'h [u8], &'h [u8])];

/// The state of one request and its response.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use portcullis::config::source;
/// use portcullis::gateway::Gateway;
/// use portcullis::gateway::command::Command;
/// use portcullis::gateway::shared::LocalData;
/// use portcullis::gateway::simulation::SimulatedHost;
/// use portcullis::gateway::transaction::Transaction;
/// use portcullis::gateway::waiting::StreamId;
/// use portcullis::policy::Policy;
///
/// let document = br#"{ "version": "1.0", "routes": [{ "path": "/health", "auth": "none", "response": {} }] }"#;
/// let node = source::read(document)?;
/// let policy = Policy::from_node(&node, &|_| None).map_err(|problems| format!("{problems:?}"))?;
/// let gateway = Gateway::new(Arc::new(policy), &LocalData::default());
///
/// let mut host = SimulatedHost::new(Duration::from_secs(1_800_000_000));
/// let mut transaction = Transaction::new(StreamId(1));
/// let headers: &[(&[u8], &[u8])] = &[(b":method", b"GET"), (b":path", b"/health"), (b":authority", b"api.example.com")];
/// let commands = host.with(None, |host| transaction.on_request_headers(&gateway, headers, true, host));
/// assert!(matches!(commands.as_slice(), [Command::Reply(reply)] if reply.status == 200));
/// # Ok::<(), String>(())
/// ```
#[derive(Debug)]
pub struct Transaction {
    id: StreamId,
    stage: Stage,
    received_at: Duration,
    progress: Progress,
    body: BodyState,
    /// The reply that will replace Envoy's own reply, such as a 413, as soon as Envoy reports the headers of its reply.
    replacement_reply: Option<Reply>,
    /// The target that the client sent; `None` if `:path` still contains it. The gateway removes credentials in the query from
    /// `:path` while a request waits.
    own_target: Option<Arc<[u8]>>,
    /// Whether the proxy holds the request, according to the last result of [`Transaction::flow`].
    is_held: bool,
    /// The state of the response while the proxy holds it; `None` if the proxy does not hold the response.
    response_body: Option<Box<ResponseBody>>,
}

/// The stage of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    New,
    Waiting(Awaited),
    Inspecting,
    Forwarded,
    Replied,
}

impl Transaction {
    /// Creates a transaction for a new request.
    pub fn new(id: StreamId) -> Transaction {
        Transaction {
            id,
            stage: Stage::New,
            received_at: Duration::ZERO,
            progress: Progress::default(),
            body: BodyState::default(),
            replacement_reply: None,
            own_target: None,
            is_held: false,
            response_body: None,
        }
    }

    /// Returns the document or the rate limit bucket that the request waits for; `None` if it does not wait.
    pub fn awaited(&self) -> Option<Awaited> {
        match self.stage {
            Stage::Waiting(on) => Some(on),
            Stage::New | Stage::Inspecting | Stage::Forwarded | Stage::Replied => None,
        }
    }

    /// Returns `true` while the request is held for an inspection of its body.
    pub fn is_inspecting(&self) -> bool {
        self.stage == Stage::Inspecting
    }

    /// Returns the audit record, which is incomplete until the request ends.
    pub fn record(&self) -> &AuditRecord {
        &self.progress.audit
    }

    /// Returns `true` if the proxy holds the request, so that the next part of its body is added to the held body.
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// Returns the action of the proxy after the current event. While a request waits, every callback must return this action. A
    /// callback for the body that returned `Continue` would release the held headers too (envoy-facts §0.3).
    pub fn flow(&mut self) -> Flow {
        self.is_held = self.stage != Stage::Forwarded;
        match self.stage {
            Stage::Forwarded => Flow::Continue,
            // With `Pause`, the proxy replies with 413 if the body exceeds its buffer (envoy-facts §2.7). With `PauseWhole`, it
            // stops reading from the client instead, but does not report the body. A waiting request therefore uses `Pause` only
            // if its route may hold the body for checks.
            Stage::Waiting(_) if !self.progress.may_hold_body() => Flow::PauseWhole,
            Stage::New | Stage::Waiting(_) | Stage::Inspecting | Stage::Replied => Flow::Pause,
        }
    }

    /// Handles the headers of the request. `ended` is `true` if the request has no body and no trailers.
    pub fn on_request_headers(
        &mut self,
        gateway: &Gateway,
        headers: Headers<'_>,
        ended: bool,
        host: &mut Host<'_>,
    ) -> Vec<Command> {
        self.body.headers_only = ended;
        self.received_at = host.now;
        let mut commands = Vec::with_capacity(2);
        self.decide(gateway, headers, host, &mut commands);
        if matches!(self.stage, Stage::Waiting(_) | Stage::Inspecting) {
            self.body.note_received(host.stream);
        }
        commands
    }

    /// Decides a waiting request again, after the result that it waited for arrived, or after the wait timed out. Does nothing
    /// for a request that does not wait.
    pub fn on_wake(&mut self, gateway: &Gateway, headers: Headers<'_>, host: &mut Host<'_>) -> Vec<Command> {
        let mut commands = Vec::new();
        if self.awaited().is_none() {
            return commands;
        }
        self.decide(gateway, headers, host, &mut commands);
        // The body may have arrived completely while the request waited.
        self.inspect(gateway, host, &mut commands);
        if self.stage == Stage::Forwarded {
            self.release(gateway, headers, host, &mut commands);
        }
        commands
    }

    /// Handles a part of the body of the request. If the proxy holds the request, `size` is the size of the whole held body.
    /// Otherwise it is the size of this part (envoy-facts §2.7).
    pub fn on_request_body(
        &mut self,
        gateway: &Gateway,
        size: usize,
        ended: bool,
        host: &mut Host<'_>,
    ) -> Vec<Command> {
        let mut commands = Vec::new();
        match self.stage {
            Stage::Forwarded => {
                // If the proxy held a body until now, `size` already includes it, because the proxy releases it together with
                // this part.
                self.body.end_hold();
                self.count(gateway, size, ended, host, &mut commands);
            }
            Stage::Waiting(_) | Stage::Inspecting => {
                if !self.body.has_begun() {
                    self.forget_awaited_body(gateway);
                }
                self.body.arrive(size, ended);
                if !self.body.hold(&gateway.held) {
                    self.refuse_crowded(gateway, host, &mut commands);
                }
                self.inspect(gateway, host, &mut commands);
            }
            Stage::New | Stage::Replied => {}
        }
        commands
    }

    /// Handles the trailers of the request. They also end its body, because no other event reports this end (envoy-facts §0.2).
    /// Removes trailers that could forge a header, because some upstreams merge trailers into headers. This must happen now, even
    /// if the request is not decided yet, because Envoy reports trailers only once.
    pub fn on_request_trailers(
        &mut self,
        gateway: &Gateway,
        trailers: Headers<'_>,
        host: &mut Host<'_>,
    ) -> Vec<Command> {
        let mut commands = match self.stage {
            Stage::Forwarded => {
                let mut commands = Vec::new();
                let size = self.body.end_hold();
                self.count(gateway, size, true, host, &mut commands);
                commands
            }
            _ => self.on_request_body(gateway, self.body.size(), true, host),
        };
        let edits = gateway.policy.forged(trailers);
        if !edits.is_empty() {
            commands.push(Command::EditRequestTrailers(edits));
        }
        commands
    }

    /// Refuses a request that is held for an inspection of its body, if the proxy has received a part of the body but does not
    /// report it.
    pub fn on_awaited_body(&mut self, gateway: &Gateway, host: &mut Host<'_>) -> Vec<Command> {
        let mut commands = Vec::new();
        if self.stage == Stage::Inspecting && self.body.is_withheld(host.stream) {
            let text = "a body cannot be checked: set `allow_on_headers_stop_iteration: true` in the wasm filter";
            commands.push(log(Level::Error, text.to_string()));
            if let Some(inspection) = self.body.take_inspection() {
                self.judge(gateway, *inspection, Body::Withheld, host, &mut commands);
            }
        }
        commands
    }

    /// Handles the end of the request: counts the request, and logs its audit record unless `audit` is `access_log`. If the
    /// request was never decided, `known_id` provides its id for the record.
    pub fn on_done(
        &mut self,
        gateway: &Gateway,
        end: impl FnOnce() -> RequestEnd,
        known_id: impl FnOnce() -> String,
    ) -> Vec<Command> {
        self.end(gateway);
        let mut commands: Vec<_> = Count::of_request(&self.progress.audit).map(Command::Count).collect();
        if gateway.policy.audit() == Audit::Log {
            commands.push(log(Level::Info, self.close(end(), known_id)));
        }
        commands
    }

    /// Completes the audit record at the end of the request, and returns it as one line of JSON.
    pub fn close(&mut self, end: RequestEnd, known_id: impl FnOnce() -> String) -> String {
        let audit = &mut self.progress.audit;
        if audit.request_id.is_empty() {
            audit.request_id = known_id().into();
        }
        audit.end = Some(end);
        audit.to_json()
    }
}
