//! The events of the response.

use super::{Stage, Transaction};
use crate::gateway::Gateway;
use crate::gateway::command::{Command, Flow};
use crate::gateway::host::Host;
use crate::gateway::response_body::{Arrived, ResponseBody};
use crate::policy::respond::response::{Response, ResponseHead};

impl Transaction {
    /// Handles the headers of a response: from the upstream, from Envoy, or from a reply of this gateway. `header` returns the value of
    /// a response header, and `ended` is `true` for a response without a body.
    pub fn on_response_headers(
        &mut self,
        gateway: &Gateway,
        status: u16,
        header: &dyn Fn(&str) -> Option<Vec<u8>>,
        ended: bool,
        host: &mut Host<'_>,
    ) -> Vec<Command> {
        let mut commands = Vec::new();
        if matches!(self.stage, Stage::New | Stage::Replied) {
            if let Some(reply) = self.replacement_reply.take() {
                self.reply(reply, &mut commands);
            }
            return commands;
        }
        let details = || host.stream.response_details();
        let is_forwarded = self.stage == Stage::Forwarded;
        let head = ResponseHead { status, header, ended, is_forwarded, details: &details };
        match gateway.policy.respond(&head, &mut self.progress, host.now) {
            Response::Pass(edits) => commands.push(Command::EditResponse(edits)),
            Response::Hold(edits, response) => {
                self.response_body = Some(Box::new(ResponseBody::new(response)));
                commands.push(Command::EditResponse(edits));
            }
            Response::Replace(reply) => {
                self.publish_record(gateway, &mut commands);
                self.reply(reply, &mut commands);
            }
        }
        // Envoy ended a held request itself, because the request was too large or too slow.
        if !is_forwarded {
            self.end(gateway);
        }
        commands
    }

    /// Returns whether the proxy continues the response or holds it.
    pub fn response_flow(&self) -> Flow {
        if self.response_body.is_some() { Flow::Pause } else { Flow::Continue }
    }

    /// Handles a part of the response's body. `size` is the size of the whole held body.
    pub fn on_response_body(
        &mut self,
        gateway: &Gateway,
        size: usize,
        ended: bool,
        host: &mut Host<'_>,
    ) -> Vec<Command> {
        let mut commands = Vec::new();
        let Some(body) = &mut self.response_body else { return commands };
        let Some(arrived) = body.arrive(size, ended, &gateway.held) else { return commands };
        let bytes = if arrived == Arrived::Whole { host.stream.response_body(size) } else { Vec::new() };
        let whole = arrived.body(&bytes, size);
        match gateway.policy.map_response(body.response(), whole, &mut self.progress, host.now) {
            Ok(body) => commands.push(Command::ReplaceResponseBody { held: size, body }),
            Err(reply) => {
                self.publish_record(gateway, &mut commands);
                self.reply(reply, &mut commands);
            }
        }
        self.response_body = None;
        commands
    }

    /// Handles the trailers of the response, which end its body without a separate event (envoy-facts §0.2).
    pub fn on_response_trailers(&mut self, gateway: &Gateway, host: &mut Host<'_>) -> Vec<Command> {
        let size = self.response_body.as_ref().map_or(0, |body| body.size());
        self.on_response_body(gateway, size, true, host)
    }
}
