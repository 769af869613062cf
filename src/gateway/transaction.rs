//! The state machine of one request and its response.
//!
//! Hosts pass events to it and perform the commands that it returns.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

use super::body::BodyState;
use super::command::{Command, Flow, Level};
use super::host::Host;
use super::waiting::StreamId;
use super::{Gateway, log};
use crate::config::document::Audit;
use crate::policy::checks::body::Body;
use crate::policy::pipeline::decision::Decision;
use crate::policy::pipeline::forward::Forward;
use crate::policy::pipeline::inspection::Inspection;
use crate::policy::pipeline::progress::Progress;
use crate::policy::request::RequestParts;
use crate::policy::respond::refusal::REPLIED_HEADER;
use crate::policy::respond::{Response, ResponseHead};
use crate::policy::verdict::audit::{AuditRecord, End};
use crate::policy::verdict::edit::HeaderEdit;
use crate::policy::verdict::reply::Reply;
use crate::policy::verdict::wait::Awaited;
use crate::policy::world::World;

/// Lower-case header names and their values, including pseudo-headers, in the order of the request.
pub type Headers<'h> = &'h [(&'h [u8], &'h [u8])];

/// One request and its response.
#[derive(Debug)]
pub struct Transaction {
    id: StreamId,
    stage: Stage,
    received_at: Duration,
    progress: Progress,
    body: BodyState,
    /// A reply of this gateway, held until Envoy's own reply reaches the response phase.
    late: Option<Reply>,
    /// The client's original target, while credentials are removed from `:path`.
    own_target: Option<Rc<[u8]>>,
    /// The proxy holds the request.
    is_held: bool,
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
            late: None,
            own_target: None,
            is_held: false,
        }
    }

    /// Returns the id of the request.
    pub fn id(&self) -> StreamId {
        self.id
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

    /// Returns whether the proxy continues the request. While a request waits, its body waits too: if only the headers were
    /// held, the body would release them (envoy-facts §0.3).
    pub fn flow(&mut self) -> Flow {
        self.is_held = self.stage != Stage::Forwarded;
        if self.is_held { Flow::Pause } else { Flow::Continue }
    }

    /// Handles the request's headers. `ended` means that there is no body.
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

    /// Decides a waiting request again, after its awaited result arrived or timed out. Hosts may call it for any request.
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
                // If this part releases the held body, `size` covers both.
                self.body.let_go();
                self.count(gateway, size, ended, host, &mut commands);
            }
            Stage::Waiting(_) | Stage::Inspecting => {
                if !self.body.has_begun() {
                    self.forget_unseen(gateway);
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

    /// Handles the request's trailers. Trailers end the body without a separate event (envoy-facts §0.2). They can forge a
    /// header for upstreams that merge trailers into headers. Envoy reports them once, whether or not the request is decided.
    pub fn on_request_trailers(
        &mut self,
        gateway: &Gateway,
        trailers: Headers<'_>,
        host: &mut Host<'_>,
    ) -> Vec<Command> {
        let mut commands = match self.stage {
            Stage::Forwarded => {
                let mut commands = Vec::new();
                let size = self.body.let_go();
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

    /// Refuses a held request if the proxy hides its body.
    pub fn on_unseen_body(&mut self, gateway: &Gateway, host: &mut Host<'_>) -> Vec<Command> {
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

    /// Handles the headers of a response: from the upstream, from Envoy, or from a reply of this gateway.
    pub fn on_response_headers(
        &mut self,
        gateway: &Gateway,
        status: u16,
        has_grpc_status: bool,
        host: &mut Host<'_>,
    ) -> Vec<Command> {
        let mut commands = Vec::new();
        if matches!(self.stage, Stage::New | Stage::Replied) {
            commands.extend(self.late.take().map(Command::Reply));
            return commands;
        }
        let details = || host.stream.response_details();
        let is_forwarded = self.stage == Stage::Forwarded;
        let head = ResponseHead { status, has_grpc_status, is_forwarded, details: &details };
        match gateway.policy.respond(&head, &mut self.progress, host.now) {
            Response::Pass(edits) => commands.push(Command::EditResponse(edits)),
            Response::Replace(reply) => {
                self.publish_record(gateway, &mut commands);
                self.reply(reply, &mut commands);
            }
        }
        // Envoy ended a held request itself because it was too large or too slow.
        if !is_forwarded {
            self.end(gateway, Stage::Replied);
        }
        commands
    }

    /// Handles the end of the request. Returns the audit log line, if the host writes it. `known_id` returns the id in Envoy's
    /// log for a request that was never decided.
    pub fn on_done(
        &mut self,
        gateway: &Gateway,
        end: impl FnOnce() -> End,
        known_id: impl FnOnce() -> String,
    ) -> Option<String> {
        self.end(gateway, Stage::Replied);
        if gateway.policy.audit() != Audit::Log {
            return None;
        }
        Some(self.close(end(), known_id))
    }

    /// Completes the audit record at the end of the request.
    pub fn close(&mut self, end: End, known_id: impl FnOnce() -> String) -> String {
        let audit = &mut self.progress.audit;
        if audit.request_id.is_empty() {
            audit.request_id = known_id().into();
        }
        audit.end = Some(end);
        audit.to_json()
    }

    /// Decides the request, and turns the decision into commands.
    fn decide(&mut self, gateway: &Gateway, headers: Headers<'_>, host: &mut Host<'_>, commands: &mut Vec<Command>) {
        let own_target = self.own_target.clone();
        let headers = with_target(headers, own_target.as_deref());
        // If too many requests wait already, this one is decided as if its wait had timed out.
        let is_full = gateway.waiting.borrow().is_full();
        let received_at = if is_full { Duration::ZERO } else { self.received_at };
        let parts = RequestParts { headers: &headers, received_at, ended: self.body.headers_only };
        let decision = {
            let memory = &mut *gateway.memory.borrow_mut();
            let mut world = World {
                now: host.now,
                polled: &mut memory.polled,
                tokens: &mut memory.tokens,
                limits: &mut *host.limits,
                quotas: &mut memory.quotas,
                verifier: host.verifier,
                peer: host.stream.peer(),
                fresh_id: host.fresh_id,
                trace: host.trace.as_deref_mut(),
            };
            gateway.policy.decide(&parts, &mut self.progress, &mut world)
        };
        if !matches!(decision, Decision::Forward(_)) {
            self.hide_query_secrets(gateway, &headers, commands);
        }
        match decision {
            Decision::Await(wait) => {
                self.stage = Stage::Waiting(wait.on);
                gateway.waiting.borrow_mut().insert(self.id, wait);
                if !self.body.reserve(&headers, host.stream, &gateway.held) {
                    self.refuse_crowded(gateway, host, commands);
                }
            }
            Decision::Inspect(inspection) => {
                self.end(gateway, Stage::Inspecting);
                match self.body.inspect_later(inspection, &gateway.kept) {
                    Ok(()) if self.body.has_begun() => {}
                    Ok(()) => {
                        gateway.unseen.borrow_mut().push(self.id);
                    }
                    Err(inspection) => self.judge(gateway, *inspection, Body::Crowded, host, commands),
                }
            }
            Decision::Forward(forward) => self.forward(gateway, forward, commands),
            Decision::Reply(reply) => self.refuse_or_answer(gateway, reply, host, commands),
        }
    }

    /// Inspects a body that is complete or already too large.
    fn inspect(&mut self, gateway: &Gateway, host: &mut Host<'_>, commands: &mut Vec<Command>) {
        let Some(inspection) = self.body.take_ready() else { return };
        let too_large = inspection.is_too_large(self.body.size());
        let (progress, now) = (&mut self.progress, host.now);
        let judge = |body: Body<'_>| gateway.policy.inspect(*inspection, body, progress, now);
        let decision = self.body.with_body(too_large, host.stream, judge);
        self.conclude(gateway, decision, host, commands);
        if self.stage == Stage::Forwarded {
            self.body.let_go();
        }
    }

    fn judge(
        &mut self,
        gateway: &Gateway,
        inspection: Inspection,
        body: Body<'_>,
        host: &mut Host<'_>,
        commands: &mut Vec<Command>,
    ) {
        let decision = gateway.policy.inspect(inspection, body, &mut self.progress, host.now);
        self.conclude(gateway, decision, host, commands);
    }

    /// Refuses a request whose body exceeds the worker's bound.
    fn refuse_crowded(&mut self, gateway: &Gateway, host: &mut Host<'_>, commands: &mut Vec<Command>) {
        match self.body.take_inspection() {
            Some(inspection) => self.judge(gateway, *inspection, Body::Crowded, host, commands),
            None => {
                let reply = gateway.policy.refuse_crowded(&mut self.progress, host.now);
                self.refuse_or_answer(gateway, reply, host, commands);
            }
        }
    }

    /// Turns a decision about a body into commands.
    fn conclude(&mut self, gateway: &Gateway, decision: Decision, host: &mut Host<'_>, commands: &mut Vec<Command>) {
        match decision {
            Decision::Forward(forward) => self.forward(gateway, forward, commands),
            Decision::Reply(reply) => self.refuse_or_answer(gateway, reply, host, commands),
            // A body is inspected once and never waits.
            Decision::Inspect(_) | Decision::Await(_) => {}
        }
    }

    fn forward(&mut self, gateway: &Gateway, mut forward: Forward, commands: &mut Vec<Command>) {
        self.end_waiting(gateway, Stage::Forwarded);
        self.body.drop_kept();
        self.body.meter = forward.take_meter();
        self.publish_record(gateway, commands);
        if forward.is_routed_elsewhere() {
            commands.push(Command::SetFilterState("portcullis.decision", b"forward".to_vec()));
        }
        if let Some(permissions) = forward.permissions() {
            commands.push(Command::SetFilterState("portcullis.permissions", permissions.as_bytes().to_vec()));
        }
        let mut edits = Vec::new();
        if let Some(target) = self.own_target.take() {
            // Routes with `forward_token` need the original target; later edits may set another.
            edits.push(HeaderEdit::Set(PATH.into(), target));
        }
        edits.extend(forward.into_edits());
        commands.push(Command::EditRequest(edits));
    }

    fn refuse_or_answer(&mut self, gateway: &Gateway, reply: Reply, host: &mut Host<'_>, commands: &mut Vec<Command>) {
        // Envoy adds the new part to the held part before it reports it, and refuses at once if the sum is too large
        // (envoy-facts §2.7). If the gateway replied now, the client would receive Envoy's reply, without the gateway's
        // headers.
        let is_late = self.body.has_begun() && !host.stream.response_details().is_empty();
        self.end(gateway, Stage::Replied);
        self.publish_record(gateway, commands);
        if is_late {
            self.late = Some(reply);
        } else {
            self.reply(reply, commands);
        }
    }

    /// Sends a reply. A refusal also marks the request.
    fn reply(&mut self, reply: Reply, commands: &mut Vec<Command>) {
        if reply.status >= 400 {
            commands.push(Command::EditRequest(vec![HeaderEdit::set(REPLIED_HEADER, "1")]));
        }
        commands.push(Command::Reply(reply));
    }

    /// Resumes a request that waited while its body arrived. The part that arrived is not reported again.
    fn release(&mut self, gateway: &Gateway, headers: Headers<'_>, host: &mut Host<'_>, commands: &mut Vec<Command>) {
        // With a `content-length`, another part is certain to arrive, and releases the held part. If the request resumed
        // earlier and the route retries or mirrors, Envoy would send the held part twice: it appends the next part to its
        // buffer and sends both.
        let is_announced = headers.iter().any(|(name, _)| *name == b"content-length");
        if self.body.has_begun() && !self.body.has_ended() && is_announced {
            return;
        }
        let ended = self.body.has_ended();
        let size = self.body.let_go();
        self.count(gateway, size, ended, host, commands);
        if self.stage == Stage::Forwarded && self.is_held {
            self.is_held = false;
            commands.push(Command::Resume);
        }
    }

    /// Counts a forwarded body with its meter.
    fn count(&mut self, gateway: &Gateway, size: usize, ended: bool, host: &mut Host<'_>, commands: &mut Vec<Command>) {
        let Some(mut meter) = self.body.meter.take() else { return };
        let bytes = if size > 0 && meter.wants_bytes() { host.stream.body(size) } else { Vec::new() };
        match meter.add(size, &bytes, &gateway.copied) {
            Err(rejection) => {
                let reply = gateway.policy.cut_off(&rejection, &mut self.progress, host.now);
                self.publish_record(gateway, commands);
                self.stage = Stage::Replied;
                self.reply(reply, commands);
            }
            Ok(()) if ended => {
                if let Some(remark) = meter.finish() {
                    self.progress.audit.remark(remark);
                    self.publish_record(gateway, commands);
                }
            }
            Ok(()) => self.body.meter = Some(meter),
        }
    }

    /// Publishes the audit record in the filter state, if Envoy's access log writes it.
    fn publish_record(&self, gateway: &Gateway, commands: &mut Vec<Command>) {
        if gateway.policy.audit() == Audit::AccessLog {
            commands.push(Command::SetFilterState("portcullis", self.progress.audit.to_json().into_bytes()));
        }
    }

    /// Removes tokens and keys from `:path` unless the request is forwarded now. Envoy may end a held request without an event,
    /// after a timeout or when the client disconnects. Access logs and traces read `:path` at the end.
    fn hide_query_secrets(&mut self, gateway: &Gateway, headers: Headers<'_>, commands: &mut Vec<Command>) {
        if self.own_target.is_some() {
            return;
        }
        let Some((_, target)) = headers.iter().find(|(name, _)| *name == PATH.as_bytes()) else { return };
        if let Some(cleaned) = gateway.policy.without_query_secrets(target) {
            commands.push(Command::EditRequest(vec![HeaderEdit::Set(PATH.into(), cleaned.into())]));
            self.own_target = Some(Rc::from(*target));
        }
    }

    fn forget_unseen(&self, gateway: &Gateway) {
        gateway.unseen.borrow_mut().retain(|id| *id != self.id);
    }

    /// Ends the wait and enters the next stage.
    fn end_waiting(&mut self, gateway: &Gateway, next: Stage) {
        match self.stage {
            Stage::Waiting(_) => gateway.waiting.borrow_mut().remove(self.id),
            Stage::Inspecting if !self.body.has_begun() => self.forget_unseen(gateway),
            Stage::New | Stage::Inspecting | Stage::Forwarded | Stage::Replied => {}
        }
        self.stage = next;
    }

    /// Ends the wait and enters the next stage. After a reply, also releases the held body.
    fn end(&mut self, gateway: &Gateway, next: Stage) {
        self.end_waiting(gateway, next);
        if next == Stage::Replied {
            self.body.let_go();
        }
    }
}

/// Replaces `:path` with the client's original target.
fn with_target<'h>(headers: Headers<'h>, own: Option<&'h [u8]>) -> Cow<'h, [(&'h [u8], &'h [u8])]> {
    let Some(own) = own else { return Cow::Borrowed(headers) };
    let with = |(name, value): &(&'h [u8], &'h [u8])| (*name, if *name == PATH.as_bytes() { own } else { *value });
    headers.iter().map(with).collect()
}

const PATH: &str = ":path";
