//! One request in Envoy: passes its hooks to a [`Transaction`] as events, and performs the returned commands.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use super::clock::now;
use super::commands::CommandTarget;
use super::envoy::abi::{Map, StreamAttribute, status};
use super::envoy::{BodyKind, EnvoyStream};
use super::plugin::Plugin;
use super::properties::StreamProperties;
use super::verifier::NativeVerifier;
use crate::gateway::command::{Command, Flow};
use crate::gateway::host::Host;
use crate::gateway::metrics::Count;
use crate::gateway::transaction::Transaction;
use crate::gateway::waiting::StreamId;
use crate::hosts::request_id::{fresh_id, known_id};
use crate::policy::request::well_formed_id;
use crate::policy::verdict::audit::RequestEnd;
use crate::policy::verdict::wait::Awaited;

/// One request, with the plugin and the transaction that handle its hooks.
pub struct Stream {
    /// The id of the request in its worker.
    pub id: StreamId,
    plugin: Rc<Plugin>,
    target: CommandTarget,
    transaction: RefCell<Transaction>,
    /// Envoy's details of the latest local reply; empty if there was none.
    local_reply: RefCell<String>,
    has_response: Cell<bool>,
    is_broken: Cell<bool>,
    /// The time of the request, since the Unix epoch.
    began: Duration,
}

impl Stream {
    /// Creates a request.
    pub fn new(plugin: Rc<Plugin>, envoy: EnvoyStream) -> Stream {
        let id = plugin.next_id();
        Stream {
            id,
            target: CommandTarget::new(plugin.shared.clone(), envoy),
            plugin,
            transaction: RefCell::new(Transaction::new(id)),
            local_reply: RefCell::default(),
            has_response: Cell::new(false),
            is_broken: Cell::new(false),
            began: now(),
        }
    }

    /// Returns Envoy's object; `None` if Envoy has destroyed it.
    pub fn envoy(&self) -> Option<EnvoyStream> {
        self.target.envoy()
    }

    /// Returns the plugin that handles the request.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Returns the result that the request waits for; `None` if it does not wait.
    pub fn awaited(&self) -> Option<Awaited> {
        self.transaction.borrow().awaited()
    }

    /// Returns `true` if the stream must be woken later.
    pub fn sleeps(&self) -> bool {
        let transaction = self.transaction.borrow();
        !self.is_broken.get() && (transaction.awaited().is_some() || transaction.response_flow() != Flow::Continue)
    }

    /// Handles the request's headers.
    pub fn handle_request_headers(&self, ended: bool) {
        let Some(envoy) = self.envoy() else { return };
        self.handle(|transaction, plugin, host| {
            envoy.with_headers(Map::Request, |headers| {
                transaction.on_request_headers(&plugin.gateway, headers, ended, host)
            })
        });
    }

    /// Returns the result of the hook for the request's headers (envoy-facts §5.8).
    pub fn request_status(&self) -> u32 {
        match self.flow() {
            Flow::Continue => status::CONTINUE,
            Flow::Pause => status::STOP_HEADERS,
            Flow::PauseWhole => status::STOP_ALL_AND_WATERMARK,
        }
    }

    /// Handles a part of the request's body.
    pub fn handle_request_body(&self, ended: bool) -> u32 {
        let Some(envoy) = self.envoy() else { return status::STOP_BODY_AND_BUFFER };
        let size = envoy.body_size(BodyKind::Request, self.transaction.borrow().is_held());
        self.handle(|transaction, plugin, host| transaction.on_request_body(&plugin.gateway, size, ended, host));
        status_of(self.flow(), status::STOP_BODY_AND_BUFFER)
    }

    /// Handles the request's trailers.
    pub fn handle_request_trailers(&self) -> u32 {
        let Some(envoy) = self.envoy() else { return status::STOP_TRAILERS };
        self.handle(|transaction, plugin, host| {
            envoy.with_headers(Map::RequestTrailers, |trailers| {
                transaction.on_request_trailers(&plugin.gateway, trailers, host)
            })
        });
        status_of(self.flow(), status::STOP_TRAILERS)
    }

    /// Records that Envoy or a filter made the response, with Envoy's response code details (envoy-facts §5.10).
    pub fn handle_local_reply(&self, details: &[u8]) {
        // Envoy itself replaces spaces in the details that access logs print.
        *self.local_reply.borrow_mut() = String::from_utf8_lossy(details).replace(' ', "_");
    }

    /// Handles the response's headers.
    pub fn handle_response_headers(&self, ended: bool) -> u32 {
        let Some(envoy) = self.envoy() else { return status::STOP_HEADERS };
        self.has_response.set(true);
        let code = envoy.header(Map::Response, ":status");
        let code = code.and_then(|code| std::str::from_utf8(&code).ok()?.parse().ok()).unwrap_or(0);
        let header = |name: &str| envoy.header(Map::Response, name);
        self.handle(|transaction, plugin, host| {
            transaction.on_response_headers(&plugin.gateway, code, &header, ended, host)
        });
        self.response_status(status::STOP_HEADERS)
    }

    /// Handles a part of the response's body.
    pub fn handle_response_body(&self, ended: bool) -> u32 {
        // Most responses are not held. They need no event for each part.
        if self.transaction.borrow().response_flow() == Flow::Continue {
            return status::CONTINUE;
        }
        let Some(envoy) = self.envoy() else { return status::STOP_BODY_AND_BUFFER };
        let size = envoy.body_size(BodyKind::Response, true);
        self.handle(|transaction, plugin, host| transaction.on_response_body(&plugin.gateway, size, ended, host));
        self.response_status(status::STOP_BODY_AND_BUFFER)
    }

    /// Handles the response's trailers.
    pub fn handle_response_trailers(&self) -> u32 {
        if self.transaction.borrow().response_flow() == Flow::Continue {
            return status::CONTINUE;
        }
        self.handle(|transaction, plugin, host| transaction.on_response_trailers(&plugin.gateway, host));
        self.response_status(status::STOP_TRAILERS)
    }

    /// Decides the request again after the result that it waited for arrived, or after the wait timed out.
    pub fn wake(&self) {
        let Some(envoy) = self.envoy() else { return };
        self.handle(|transaction, plugin, host| {
            envoy.with_headers(Map::Request, |headers| transaction.on_wake(&plugin.gateway, headers, host))
        });
    }

    /// Ends a held response of which no part arrived in time.
    pub fn end_silent_response(&self) {
        self.handle(|transaction, plugin, host| transaction.on_silent_response(&plugin.gateway, host));
    }

    /// Handles the end of the request, before Envoy writes its access log (envoy-facts §5.14). Counts the request, and writes its
    /// audit record.
    pub fn complete(&self) {
        let Some(envoy) = self.envoy() else { return };
        let end = || RequestEnd {
            status: envoy.number(StreamAttribute::ResponseCode).and_then(|code| code.try_into().ok()),
            details: Some(self.response_details().into_owned()).filter(|details| !details.is_empty()),
            duration_millis: Some(millis(now().saturating_sub(self.began))),
        };
        // Envoy reports the start of the request only in the id that its own reply contains.
        let replied = || envoy.header(Map::Response, "x-request-id").filter(|id| well_formed_id(id).is_some());
        let id = || {
            let known = envoy.text(StreamAttribute::RequestId).filter(|id| well_formed_id(id).is_some());
            let connection = envoy.number(StreamAttribute::ConnectionId).unwrap_or(0);
            known_id(&known.or_else(replied).unwrap_or_default(), connection, millis(self.began))
        };
        let commands = self.transaction.borrow_mut().on_done(&self.plugin.gateway, end, id);
        self.target.perform(commands);
        self.target.write_record();
    }

    /// Records that Envoy has destroyed its object.
    pub fn destroy(&self) {
        self.target.destroy();
    }

    /// Refuses the request after a panic in one of its hooks. If the response has begun, its client receives an incomplete response.
    pub fn refuse_after_panic(&self) {
        if self.is_broken.replace(true) {
            return;
        }
        if let Some(envoy) = self.envoy() {
            self.target.count(&Count::Panic);
            envoy.refuse_after_panic();
        }
    }

    /// Returns `true` if a hook of this request has panicked.
    pub fn is_broken(&self) -> bool {
        self.is_broken.get()
    }

    fn handle(&self, event: impl FnOnce(&mut Transaction, &Plugin, &mut Host<'_>) -> Vec<Command>) {
        let Some(envoy) = self.envoy() else { return };
        let commands = {
            let details = self.response_details();
            let facts = StreamProperties::new(envoy, &details, self.transaction.borrow().is_held());
            let mut host = Host {
                now: now(),
                stream: &facts,
                limits: &mut *self.plugin.limits.borrow_mut(),
                verifier: &NativeVerifier,
                fresh_id: &fresh_id,
                trace: None,
            };
            event(&mut self.transaction.borrow_mut(), &self.plugin, &mut host)
        };
        self.target.perform(commands);
    }

    /// Returns Envoy's response code details. They are those of local replies, because Envoy has no attribute for the others
    /// before version 1.40.
    fn response_details(&self) -> Cow<'static, str> {
        let local_reply = self.local_reply.borrow();
        match (local_reply.is_empty(), self.has_response.get()) {
            (false, _) => Cow::Owned(local_reply.clone()),
            (true, true) => Cow::Borrowed("via_upstream"),
            (true, false) => Cow::Borrowed(""),
        }
    }

    fn flow(&self) -> Flow {
        self.transaction.borrow_mut().flow()
    }

    fn response_status(&self, stop: u32) -> u32 {
        status_of(self.transaction.borrow().response_flow(), stop)
    }
}

/// Returns the result of a hook: `stop` if Envoy must hold the request or the response.
fn status_of(flow: Flow, stop: u32) -> u32 {
    match flow {
        Flow::Continue => status::CONTINUE,
        Flow::Pause | Flow::PauseWhole => stop,
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
