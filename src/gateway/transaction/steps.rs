//! The steps of a transaction: decide the request, inspect its body, apply the decision, and enter the next stage.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::{Headers, Stage, Transaction};
use crate::config::document::Audit;
use crate::gateway::Gateway;
use crate::gateway::command::Command;
use crate::gateway::host::Host;
use crate::policy::checks::body::{Body, crowded};
use crate::policy::pipeline::decision::Decision;
use crate::policy::pipeline::forward::Forward;
use crate::policy::pipeline::inspection::Inspection;
use crate::policy::request::RequestParts;
use crate::policy::respond::refusal::REPLIED_HEADER;
use crate::policy::verdict::edit::HeaderEdit;
use crate::policy::verdict::reply::Reply;
use crate::policy::world::World;

impl Transaction {
    /// Decides the request, and adds the commands that apply the decision.
    pub(super) fn decide(
        &mut self,
        gateway: &Gateway,
        headers: Headers<'_>,
        host: &mut Host<'_>,
        commands: &mut Vec<Command>,
    ) {
        let own_target = self.own_target.clone();
        let headers = with_target(headers, own_target.as_deref());
        // If too many requests are waiting, this request must not wait. With a receive time in the distant past, every wait times
        // out at once.
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
                // For a route that may hold bodies, the proxy reports the parts of the body, and `on_request_body` counts them.
                let is_counted = self.progress.may_hold_body();
                if !is_counted && !self.body.reserve(&headers, host.stream, gateway.raised_buffer, &gateway.held) {
                    self.refuse_crowded(gateway, host, commands);
                }
            }
            Decision::Inspect(inspection) => {
                self.end_waiting(gateway, Stage::Inspecting);
                let own_target_bytes = self.own_target.as_ref().map_or(0, |target| target.len());
                let target_bytes = self.progress.audit.path.len() + own_target_bytes;
                match self.body.inspect_later(inspection, target_bytes, &gateway.kept) {
                    Ok(()) if self.body.has_begun() => {}
                    Ok(()) => {
                        gateway.awaiting_body.borrow_mut().push(self.id);
                    }
                    Err(inspection) => self.judge(gateway, *inspection, Body::Crowded, host, commands),
                }
            }
            Decision::Forward(forward) => self.forward(gateway, forward, commands),
            Decision::Reply(reply) => self.refuse_or_answer(gateway, reply, host, commands),
        }
    }

    /// Runs the stored inspection if the body is complete or already too large.
    pub(super) fn inspect(&mut self, gateway: &Gateway, host: &mut Host<'_>, commands: &mut Vec<Command>) {
        let Some(inspection) = self.body.take_ready() else { return };
        let size = self.body.size();
        let too_large = inspection.is_too_large(size);
        let bytes = if too_large || size == 0 { Vec::new() } else { host.stream.body(size) };
        let body = if too_large { Body::TooLarge } else { Body::held(&bytes, size) };
        self.judge(gateway, *inspection, body, host, commands);
        if self.stage == Stage::Forwarded {
            self.body.end_hold();
        }
    }

    pub(super) fn judge(
        &mut self,
        gateway: &Gateway,
        inspection: Inspection,
        body: Body<'_>,
        host: &mut Host<'_>,
        commands: &mut Vec<Command>,
    ) {
        match gateway.policy.inspect(inspection, body, &mut self.progress, host.now) {
            Ok(forward) => self.forward(gateway, forward, commands),
            Err(reply) => self.refuse_or_answer(gateway, reply, host, commands),
        }
    }

    /// Refuses a request whose body does not fit into the bound [`Gateway::held`].
    pub(super) fn refuse_crowded(&mut self, gateway: &Gateway, host: &mut Host<'_>, commands: &mut Vec<Command>) {
        match self.body.take_inspection() {
            Some(inspection) => self.judge(gateway, *inspection, Body::Crowded, host, commands),
            None => {
                let reply = gateway.policy.refuse(crowded(), &mut self.progress, host.now);
                self.refuse_or_answer(gateway, reply, host, commands);
            }
        }
    }

    pub(super) fn forward(&mut self, gateway: &Gateway, mut forward: Forward, commands: &mut Vec<Command>) {
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
            // Restores the target that the client sent, because a route with `forward_token` forwards the credential. For other
            // routes, one of the following edits removes it again.
            edits.push(HeaderEdit::Set(PATH.into(), target));
        }
        edits.extend(forward.into_edits());
        commands.push(Command::EditRequest(edits));
    }

    pub(super) fn refuse_or_answer(
        &mut self,
        gateway: &Gateway,
        reply: Reply,
        host: &mut Host<'_>,
        commands: &mut Vec<Command>,
    ) {
        // If a body exceeds Envoy's buffer, Envoy replies with 413 before it reports the last part (envoy-facts §2.7). A second
        // reply would have no effect at this moment. So the gateway stores its reply, and replaces Envoy's reply when Envoy
        // reports the headers of that reply.
        let is_late = self.body.has_begun() && !host.stream.response_details().is_empty();
        self.end(gateway);
        self.publish_record(gateway, commands);
        if is_late {
            self.replacement_reply = Some(reply);
        } else {
            self.reply(reply, commands);
        }
    }

    /// Sends a reply. If its status is an error, also sets [`REPLIED_HEADER`] on the request, so that Envoy's access log can
    /// recognize the gateway's own replies.
    pub(super) fn reply(&mut self, reply: Reply, commands: &mut Vec<Command>) {
        if reply.status >= 400 {
            commands.push(Command::EditRequest(vec![HeaderEdit::set(REPLIED_HEADER, "1")]));
        }
        commands.push(Command::Reply(reply));
    }

    /// Resumes a request that waited, and applies the checks to the part of the body that arrived during the wait, because Envoy
    /// does not report this part again.
    pub(super) fn release(
        &mut self,
        gateway: &Gateway,
        headers: Headers<'_>,
        host: &mut Host<'_>,
        commands: &mut Vec<Command>,
    ) {
        // If the request has a `content-length` and its body is incomplete, another part will arrive, and its callback will
        // release the held part. The request must not resume earlier: on a route with retries or mirroring, Envoy would then
        // append the next part to its buffer, and would send the held part twice.
        let is_announced = headers.iter().any(|(name, _)| *name == b"content-length");
        if self.body.has_begun() && !self.body.has_ended() && is_announced {
            return;
        }
        let ended = self.body.has_ended();
        let size = self.body.end_hold();
        self.count(gateway, size, ended, host, commands);
        if self.stage == Stage::Forwarded && self.is_held {
            self.is_held = false;
            commands.push(Command::Resume);
        }
    }

    /// Applies the checks of a forwarded body to a part of the body. Refuses the request if a check fails.
    pub(super) fn count(
        &mut self,
        gateway: &Gateway,
        size: usize,
        ended: bool,
        host: &mut Host<'_>,
        commands: &mut Vec<Command>,
    ) {
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

    /// Writes the audit record to the filter state if the document sets `audit: access_log`, so that Envoy's access log can print
    /// it.
    pub(super) fn publish_record(&self, gateway: &Gateway, commands: &mut Vec<Command>) {
        if gateway.policy.audit() == Audit::AccessLog {
            commands.push(Command::SetFilterState("portcullis", self.progress.audit.to_json().into_bytes()));
        }
    }

    /// Removes tokens and API keys from `:path` of a request that waits or is refused, because access logs and traces read
    /// `:path` at the end of the request. The removal must happen now: if a waiting client disconnects or times out, no later
    /// event can change `:path`.
    pub(super) fn hide_query_secrets(&mut self, gateway: &Gateway, headers: Headers<'_>, commands: &mut Vec<Command>) {
        if self.own_target.is_some() {
            return;
        }
        let Some((_, target)) = headers.iter().find(|(name, _)| *name == PATH.as_bytes()) else { return };
        if let Some(cleaned) = gateway.policy.without_query_secrets(target) {
            commands.push(Command::EditRequest(vec![HeaderEdit::Set(PATH.into(), cleaned.into())]));
            self.own_target = Some(Arc::from(*target));
        }
    }

    pub(super) fn forget_awaited_body(&self, gateway: &Gateway) {
        gateway.awaiting_body.borrow_mut().retain(|id| *id != self.id);
    }

    /// Removes the request from the gateway's lists of requests that wait for a result or for a body, and enters the next stage.
    pub(super) fn end_waiting(&mut self, gateway: &Gateway, next: Stage) {
        match self.stage {
            Stage::Waiting(_) => gateway.waiting.borrow_mut().remove(self.id),
            Stage::Inspecting if !self.body.has_begun() => self.forget_awaited_body(gateway),
            Stage::New | Stage::Inspecting | Stage::Forwarded | Stage::Replied => {}
        }
        self.stage = next;
    }

    /// Ends the request after a reply, or when the client has gone: ends every wait, and frees the bytes that are counted for its
    /// bodies.
    pub(super) fn end(&mut self, gateway: &Gateway) {
        self.end_waiting(gateway, Stage::Replied);
        self.body.end_hold();
        self.forget_awaited_response(gateway);
        self.response_body = None;
    }
}

/// Returns the headers. If `own` is set, `:path` has this value, which is the target that the client sent.
fn with_target<'h>(headers: Headers<'h>, own: Option<&'h [u8]>) -> Cow<'h, [(&'h [u8], &'h [u8])]> {
    let Some(own) = own else { return Cow::Borrowed(headers) };
    let with = |(name, value): &(&'h [u8], &'h [u8])| (*name, if *name == PATH.as_bytes() { own } else { *value });
    headers.iter().map(with).collect()
}

const PATH: &str = ":path";
