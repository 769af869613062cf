//! One request in Envoy: passes its callbacks to a [`Transaction`] as events, and performs the returned commands.

use std::cell::RefCell;
use std::rc::Rc;

use super::commands::perform;
use super::host::{self, LocalReply, Map};
use super::plugin::Plugin;
use super::properties::{StreamProperties, end, known_id};
use super::verifier::HostVerifier;
use crate::gateway::command::{Command, Flow};
use crate::gateway::host::Host;
use crate::gateway::transaction::Transaction;
use crate::gateway::waiting::StreamId;
use crate::hosts::request_id::fresh_id;

/// One request in Envoy, with the plugin and the transaction that handle its callbacks.
pub struct Stream {
    context: u32,
    plugin: Option<Rc<Plugin>>,
    transaction: RefCell<Transaction>,
}

impl Stream {
    /// Creates the state of a new request that `plugin` handles. If `plugin` is `None`, the filter refuses the request with 500.
    pub fn new(context: u32, plugin: Option<Rc<Plugin>>) -> Stream {
        Stream { context, plugin, transaction: RefCell::new(Transaction::new(StreamId(context.into()))) }
    }

    /// Returns the plugin that handles the request; `None` if the root has no configuration.
    pub fn plugin(&self) -> Option<&Plugin> {
        self.plugin.as_deref()
    }

    /// Returns `true` if the request waits for a polled document or for a rate limit service.
    pub fn is_waiting(&self) -> bool {
        self.transaction.borrow().awaited().is_some()
    }

    /// Handles the request's headers.
    pub fn handle_request_headers(&self, ended: bool) {
        if self.plugin.is_none() {
            host::reply(&LocalReply { status: 500, details: "no_policy", headers: &[], body: &[], grpc_status: -1 });
            return;
        }
        let block = host::map(Map::Request);
        self.handle(|transaction, plugin, host| {
            transaction.on_request_headers(&plugin.gateway, &host::pairs(&block), ended, host)
        });
    }

    /// Handles a part of the request's body.
    pub fn handle_request_body(&self, size: usize, ended: bool) -> CallbackResult {
        self.handle(|transaction, plugin, host| transaction.on_request_body(&plugin.gateway, size, ended, host));
        self.later_action()
    }

    /// Handles the request's trailers.
    pub fn handle_request_trailers(&self) -> CallbackResult {
        let block = host::map(Map::RequestTrailers);
        self.handle(|transaction, plugin, host| {
            transaction.on_request_trailers(&plugin.gateway, &host::pairs(&block), host)
        });
        self.later_action()
    }

    /// Handles the response's headers.
    pub fn handle_response_headers(&self, ended: bool) -> CallbackResult {
        let status = host::header(Map::Response, ":status");
        let status = status.and_then(|status| std::str::from_utf8(&status).ok()?.parse().ok()).unwrap_or(0);
        let header = |name: &str| host::header(Map::Response, name);
        self.handle(|transaction, plugin, host| {
            transaction.on_response_headers(&plugin.gateway, status, &header, ended, host)
        });
        self.response_action()
    }

    /// Handles a part of the response's body.
    #[cfg(feature = "response-body")]
    pub fn handle_response_body(&self, size: usize, ended: bool) -> CallbackResult {
        self.handle(|transaction, plugin, host| transaction.on_response_body(&plugin.gateway, size, ended, host));
        self.response_action()
    }

    /// Handles the response's trailers.
    #[cfg(feature = "response-body")]
    pub fn handle_response_trailers(&self) -> CallbackResult {
        self.handle(|transaction, plugin, host| transaction.on_response_trailers(&plugin.gateway, host));
        self.response_action()
    }

    /// Decides the request again after the result that it waited for arrived, or after the wait timed out.
    pub fn wake(&self) {
        if host::act_for(self.context) {
            let block = host::map(Map::Request);
            self.handle(|transaction, plugin, host| transaction.on_wake(&plugin.gateway, &host::pairs(&block), host));
        }
    }

    /// Refuses the request if Envoy has received a part of its body but does not report it to the filter.
    pub fn look_for_body(&self) {
        if host::act_for(self.context) {
            self.handle(|transaction, plugin, host| transaction.on_awaited_body(&plugin.gateway, host));
        }
    }

    /// Finishes a held response without its body, because Envoy reported no part of the body in time.
    pub fn end_silent_response(&self) {
        if host::act_for(self.context) {
            self.handle(|transaction, plugin, host| transaction.on_silent_response(&plugin.gateway, host));
        }
    }

    /// Handles the end of the request. Counts the request, and writes its audit record unless Envoy's access log writes the
    /// record.
    pub fn end(&self) {
        let Some(plugin) = &self.plugin else { return };
        let commands = self.transaction.borrow_mut().on_done(&plugin.gateway, end, known_id);
        perform(commands);
    }

    fn handle(&self, event: impl FnOnce(&mut Transaction, &Plugin, &mut Host<'_>) -> Vec<Command>) {
        let Some(plugin) = &self.plugin else { return };
        let commands = {
            let facts = StreamProperties::default();
            let mut host = Host {
                now: host::now(),
                stream: &facts,
                limits: &mut *plugin.limits.borrow_mut(),
                verifier: &HostVerifier,
                fresh_id: &fresh_id,
                trace: None,
            };
            event(&mut self.transaction.borrow_mut(), plugin, &mut host)
        };
        perform(commands);
    }

    /// Returns the result of a callback about the body or the trailers of the request. In these callbacks, Envoy does not accept
    /// [`CallbackResult::PauseWhole`].
    fn later_action(&self) -> CallbackResult {
        match self.action() {
            CallbackResult::PauseWhole => CallbackResult::Pause,
            action => action,
        }
    }

    /// Returns the result of a callback about the response: `Pause` while its body is held.
    fn response_action(&self) -> CallbackResult {
        match self.transaction.borrow().response_flow() {
            Flow::Continue => CallbackResult::Continue,
            Flow::Pause | Flow::PauseWhole => CallbackResult::Pause,
        }
    }

    /// Returns the result of a callback about the headers of the request.
    pub fn action(&self) -> CallbackResult {
        if self.plugin.is_none() {
            return CallbackResult::Pause;
        }
        match self.transaction.borrow_mut().flow() {
            Flow::Continue => CallbackResult::Continue,
            Flow::Pause => CallbackResult::Pause,
            Flow::PauseWhole => CallbackResult::PauseWhole,
        }
    }
}

/// The result of a callback. The proxy-wasm ABI defines 0 and 1 (`proxy_action_t`). The number 4 is not in the ABI: Envoy also
/// accepts the numbers of its own enum of filter statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum CallbackResult {
    /// Envoy continues the request or the response.
    Continue = 0,
    /// Envoy holds the request or the response.
    Pause = 1,
    /// Envoy holds the request with its body (`StopAllIterationAndWatermark`). Only the callback for the headers may return this.
    PauseWhole = 4,
}
