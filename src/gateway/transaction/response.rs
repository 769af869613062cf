//! Handles the events of a response: its headers, its body and its trailers.

use std::time::Duration;

use super::{Stage, Transaction};
use crate::config::json_api::MAPS_RESPONSES;
use crate::gateway::command::{Command, Flow, Level};
use crate::gateway::host::Host;
use crate::gateway::response_body::{ResponseBody, Step};
use crate::gateway::{Gateway, log};
use crate::policy::checks::body::Body;
use crate::policy::respond::response::{Response, ResponseHead};

impl Transaction {
    /// Handles the headers of a response, which the upstream, Envoy or this gateway sent. `header` returns the value of a
    /// response header, and `ended` is `true` for a response without a body.
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
                gateway.awaiting_response.borrow_mut().push((self.id, host.now + MAX_SILENCE));
                commands.push(Command::EditResponse(edits));
            }
            Response::Replace(reply) => {
                self.publish_record(gateway, &mut commands);
                self.reply(reply, &mut commands);
            }
        }
        // A response to a request that is not forwarded yet is a reply of Envoy itself: the request was too large or too slow.
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
        self.forget_awaited_response(gateway);
        let Some(body) = &mut self.response_body else { return commands };
        match body.arrive(size, ended, &gateway.held_responses) {
            Step::Wait => {}
            Step::Drop => commands.push(Command::ReplaceResponseBody { held: size, body: Vec::new() }),
            Step::Read => {
                let bytes = host.stream.response_body(size);
                self.finish_response(gateway, Body::held(&bytes, size), host, &mut commands);
            }
            Step::Finish(body) => self.finish_response(gateway, body, host, &mut commands),
        }
        commands
    }

    /// Handles the trailers of the response. They also end its body, because no other event reports this end (envoy-facts §0.2).
    pub fn on_response_trailers(&mut self, gateway: &Gateway, host: &mut Host<'_>) -> Vec<Command> {
        let size = self.response_body.as_ref().map_or(0, |body| body.size());
        self.on_response_body(gateway, size, true, host)
    }

    /// Finishes a held response without its body, because the proxy reported no part of the body in time. The host calls this
    /// function for the responses that [`Gateway::silent_responses`] returns.
    pub fn on_silent_response(&mut self, gateway: &Gateway, host: &mut Host<'_>) -> Vec<Command> {
        let mut commands = Vec::new();
        if MAPS_RESPONSES && self.response_body.is_some() {
            let text = format!(
                "no part of the body of a response arrived for {} s: the upstream is slow, or the plugin needs \
                 `allow_on_headers_stop_iteration: true`",
                MAX_SILENCE.as_secs()
            );
            commands.push(log(Level::Error, text));
            self.finish_response(gateway, Body::Withheld, host, &mut commands);
        }
        commands
    }

    /// Removes the response from [`Gateway::awaiting_response`], because a part of its body has arrived or the request has ended.
    pub(super) fn forget_awaited_response(&self, gateway: &Gateway) {
        if self.response_body.as_ref().is_some_and(|body| !body.has_begun()) {
            gateway.awaiting_response.borrow_mut().retain(|(id, _)| *id != self.id);
        }
    }

    fn finish_response(
        &mut self,
        gateway: &Gateway,
        whole: Body<'_>,
        host: &mut Host<'_>,
        commands: &mut Vec<Command>,
    ) {
        let Some(body) = self.response_body.take() else { return };
        match gateway.policy.map_response(body.response(), whole, &mut self.progress, host.now) {
            Ok(new) => commands.push(Command::ReplaceResponseBody { held: body.size(), body: new }),
            Err(reply) => {
                self.publish_record(gateway, commands);
                self.reply(reply, commands);
            }
        }
    }
}

/// The maximum time for which the gateway waits for the first part of the body of a held response. Without
/// `allow_on_headers_stop_iteration: true`, Envoy holds the body together with the headers and never reports it.
const MAX_SILENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::config::node::Node;
    use crate::gateway::shared::LocalData;
    use crate::gateway::simulation::SimulatedHost;
    use crate::gateway::waiting::StreamId;
    use crate::policy::Policy;
    use crate::policy::verdict::reply::Reply;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// A forwarded request whose response the gateway maps, with its gateway and its host.
    struct Fixture {
        gateway: Gateway,
        host: SimulatedHost<'static>,
        transaction: Transaction,
    }

    impl Fixture {
        fn new(method: &str) -> Fixture {
            let document = json!({
                "version": "1.0",
                "upstreams": { "orders": { "url": "http://127.0.0.1:1" } },
                "bounds": { "held_response_bytes": 1_000 },
                "routes": [{ "path": "/a", "auth": "none", "upstream": "orders",
                    "jsonapi": { "type": "orders", "max_bytes": 1_000 } }],
            });
            let policy = Policy::from_node(&Node::from(document), &|_| None).unwrap();
            let gateway = Gateway::new(Arc::new(policy), &LocalData::default());
            let mut host = SimulatedHost::new(Duration::from_secs(1_700_000_000));
            let mut transaction = Transaction::new(StreamId(1));
            let headers: &[(&[u8], &[u8])] =
                &[(b":method", method.as_bytes()), (b":authority", b"api.example"), (b":path", b"/a")];
            host.with(None, |host| transaction.on_request_headers(&gateway, headers, true, host));
            assert_eq!(transaction.flow(), Flow::Continue);
            Fixture { gateway, host, transaction }
        }

        fn headers(&mut self, status: u16) {
            let header = |name: &str| (name == "content-type").then(|| b"application/json".to_vec());
            let Fixture { gateway, host, transaction } = self;
            host.with(None, |host| transaction.on_response_headers(gateway, status, &header, false, host));
            assert_eq!(transaction.response_flow(), Flow::Pause);
        }

        fn part(&mut self, size: usize, ended: bool) -> Vec<Command> {
            let Fixture { gateway, host, transaction } = self;
            host.with(None, |host| transaction.on_response_body(gateway, size, ended, host))
        }
    }

    fn reply(commands: &[Command]) -> Option<&Reply> {
        commands.iter().find_map(|command| if let Command::Reply(reply) = command { Some(reply) } else { None })
    }

    #[test]
    fn a_response_whose_body_is_not_reported_ends_after_a_while() {
        let mut fixture = Fixture::new("GET");
        fixture.headers(200);
        assert!(fixture.gateway.silent_responses(fixture.host.now + MAX_SILENCE / 2).is_empty());
        assert_eq!(fixture.gateway.silent_responses(fixture.host.now + MAX_SILENCE), [StreamId(1)]);
        let Fixture { gateway, host, transaction } = &mut fixture;
        let commands = host.with(None, |host| transaction.on_silent_response(gateway, host));
        assert!(commands.iter().any(|command| matches!(command, Command::Log(Level::Error, _))));
        assert_eq!(reply(&commands).map(|reply| reply.status), Some(502));
    }

    #[test]
    fn a_slow_response_is_not_silent_once_a_part_has_arrived() {
        let mut fixture = Fixture::new("GET");
        fixture.headers(200);
        assert!(fixture.part(1, false).is_empty());
        assert!(fixture.gateway.silent_responses(fixture.host.now + 2 * MAX_SILENCE).is_empty());
    }

    #[test]
    fn the_parts_of_an_error_are_dropped_as_they_arrive() {
        let mut fixture = Fixture::new("GET");
        fixture.headers(500);
        for size in [900, 5_000] {
            let commands = fixture.part(size, false);
            assert!(
                matches!(&*commands, [Command::ReplaceResponseBody { held, body }] if *held == size && body.is_empty())
            );
            assert_eq!(fixture.gateway.held_responses.held(), 0);
        }
        let commands = fixture.part(10, true);
        assert!(
            matches!(&*commands, [Command::ReplaceResponseBody { held: 10, body }] if body.starts_with(b"{\"jsonapi\""))
        );
        assert_eq!(fixture.transaction.response_flow(), Flow::Continue);
    }

    /// The upstream has already performed the request. If the method is not safe, a client that obeys `Retry-After` would cause
    /// the effect of the request again.
    #[test]
    fn a_full_worker_asks_only_for_repetitions_of_safe_methods() {
        for (method, status) in [("GET", 503), ("POST", 502)] {
            let mut fixture = Fixture::new(method);
            let other = fixture.gateway.held_responses.hold(900);
            fixture.headers(200);
            let commands = fixture.part(500, false);
            let reply = reply(&commands).unwrap();
            let may_retry = reply.headers.iter().any(|(name, _)| &**name == "retry-after");
            assert_eq!((reply.status, may_retry), (status, status == 503));
            assert_eq!(fixture.gateway.held_responses.held(), 900, "the bytes of the response are free again");
            drop(other);
        }
    }
}
