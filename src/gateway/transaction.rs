//! The state machine of one request and its response.
//!
//! Hosts pass events to a transaction and perform the commands that it returns.

mod response;
mod steps;

use std::rc::Rc;
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

/// Lower-case header names and their values, including pseudo-headers, in the order of the request.
pub type Headers<'h> = &'h [(&'h [u8], &'h [u8])];

/// One request and its response.
///
/// ```
/// use std::rc::Rc;
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
/// let gateway = Gateway::new(Rc::new(policy), &LocalData::default());
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
    /// A reply of this gateway that replaces Envoy's own reply in the response phase.
    replacement_reply: Option<Reply>,
    /// The client's original target, stored while credentials are removed from `:path`.
    own_target: Option<Rc<[u8]>>,
    /// Whether the proxy holds the request.
    is_held: bool,
    /// The response, while the proxy holds it until its body is complete.
    response_body: Option<Box<ResponseBody>>,
}

/// The state of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    New,
    Waiting(Awaited),
    Inspecting,
    Forwarded,
    Replied,
}

impl Transaction {
    /// Creates a transaction for an undecided request.
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

    /// Returns the external result that the request waits for.
    pub fn awaited(&self) -> Option<Awaited> {
        match self.stage {
            Stage::Waiting(on) => Some(on),
            Stage::New | Stage::Inspecting | Stage::Forwarded | Stage::Replied => None,
        }
    }

    /// Returns `true` while the request is held for inspection of its body.
    pub fn is_inspecting(&self) -> bool {
        self.stage == Stage::Inspecting
    }

    /// Returns the audit record written so far.
    pub fn record(&self) -> &AuditRecord {
        &self.progress.audit
    }

    /// Returns whether the proxy continues the request. While a request waits, the proxy also holds its body. If it held only
    /// the headers, the arrival of the body would release them (envoy-facts §0.3).
    pub fn flow(&mut self) -> Flow {
        self.is_held = self.stage != Stage::Forwarded;
        match self.stage {
            Stage::Forwarded => Flow::Continue,
            // If the proxy reports a body while it holds the request, it buffers the body, and replies with 413 if the body
            // exceeds the buffer (envoy-facts §2.7). So it reports the body early only for routes that may hold bodies.
            Stage::Waiting(_) if !self.progress.may_hold_body() => Flow::PauseWhole,
            Stage::New | Stage::Waiting(_) | Stage::Inspecting | Stage::Replied => Flow::Pause,
        }
    }

    /// Handles the request's headers. `ended` is `true` for a request without a body.
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

    /// Decides a waiting request again, after its awaited result arrived or timed out. Hosts may call this function for any
    /// request.
    pub fn on_wake(&mut self, gateway: &Gateway, headers: Headers<'_>, host: &mut Host<'_>) -> Vec<Command> {
        let mut commands = Vec::new();
        if self.awaited().is_none() {
            return commands;
        }
        self.decide(gateway, headers, host, &mut commands);
        // The body may have arrived while the request waited.
        self.inspect(gateway, host, &mut commands);
        if self.stage == Stage::Forwarded {
            self.release(gateway, headers, host, &mut commands);
        }
        commands
    }

    /// Handles a part of the request's body. `size` is the size of the whole held body, or of the part that is forwarded
    /// (envoy-facts §2.7).
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
                // If this part releases the held body, `size` includes the held body.
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

    /// Handles the request's trailers. Trailers end the body without a separate event (envoy-facts §0.2). Removes trailers that
    /// could forge a header at an upstream that merges trailers into headers. Envoy reports trailers only once, possibly before
    /// the request is decided.
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

    /// Refuses a held request if the proxy does not report its body.
    pub fn on_awaited_body(&mut self, gateway: &Gateway, host: &mut Host<'_>) -> Vec<Command> {
        let mut commands = Vec::new();
        if self.stage == Stage::Inspecting && self.body.is_withheld(host.stream) {
            let text = "a body cannot be checked: the plugin needs `allow_on_headers_stop_iteration: true`";
            commands.push(log(Level::Error, text.to_string()));
            if let Some(inspection) = self.body.take_inspection() {
                self.judge(gateway, *inspection, Body::Withheld, host, &mut commands);
            }
        }
        commands
    }

    /// Handles the end of the request: counts the request, and logs its audit record unless Envoy's access log writes the record.
    /// `known_id` returns the id in Envoy's log for a request that was never decided.
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

    /// Completes the audit record at the end of the request, and returns it.
    pub fn close(&mut self, end: RequestEnd, known_id: impl FnOnce() -> String) -> String {
        let audit = &mut self.progress.audit;
        if audit.request_id.is_empty() {
            audit.request_id = known_id().into();
        }
        audit.end = Some(end);
        audit.to_json()
    }
}
