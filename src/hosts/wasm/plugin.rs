//! One plugin in one worker: loads the configuration, and handles the events that do not belong to a single request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use proxy_wasm::types::LogLevel;

use super::commands::perform;
use super::host::{self, GrpcCall, Map};
use super::limits::SharedCells;
use crate::gateway::call::{Answer, Call, CallId, CallRequest, GrpcMessage, HttpResponse};
use crate::gateway::shared::SharedData;
use crate::gateway::waiting::StreamId;
use crate::gateway::{Gateway, GatewayEffects};
use crate::hosts::configuration;
use crate::policy::limits::rate_limit_client::wire;

/// A plugin with one version of its configuration. All requests that started with this version share this `Plugin`, even after
/// Envoy configures the plugin again.
pub struct Plugin {
    /// The gateway that runs the policy of this configuration.
    pub gateway: Gateway,
    /// The buckets of local limits, which all workers share.
    pub limits: RefCell<SharedCells>,
    /// The running outgoing calls, by the id that Envoy assigned to each call.
    calls: RefCell<HashMap<u32, CallId>>,
}

/// Access to Envoy's shared data, which all workers share.
struct SharedMap;

/// The response to the outgoing HTTP call that the current callback reports.
struct CallResponse;

/// The gRPC message that the current callback reports. The field is its size in bytes.
struct MessageBuffer(usize);

impl Plugin {
    /// Loads the configuration of the current root. Returns `None` if the configuration has a problem; Envoy then does not start,
    /// or rejects the update. The result must depend only on the configuration and on environment variables, so that it is the
    /// same in every worker. If this function failed in only one worker, this worker would forward all requests without the
    /// filter (envoy-facts §0.1).
    pub fn configure() -> Option<Rc<Plugin>> {
        let bytes = host::plugin_configuration();
        match configuration::load(&bytes) {
            Ok(policy) => {
                let gateway = Gateway::new(Arc::new(policy), &SharedMap);
                host::log(LogLevel::Info, &configuration::active(&bytes, &gateway));
                let plugin = Plugin { gateway, limits: RefCell::new(SharedCells::open()), calls: RefCell::default() };
                plugin.set_tick();
                Some(Rc::new(plugin))
            }
            Err(problems) => {
                for problem in problems {
                    host::log(LogLevel::Error, &configuration::refused(&problem));
                }
                None
            }
        }
    }

    /// Handles a tick. `wake` decides a waiting request again.
    pub fn tick(&self, wake: &dyn Fn(StreamId)) {
        self.handle(self.gateway.on_tick(host::now(), &SharedMap), wake);
    }

    /// Handles the response to the HTTP call with this id, or its failure. `wake` decides a waiting request again.
    pub fn handle_response(&self, call: u32, wake: &dyn Fn(StreamId)) {
        self.handle_answer(call, Answer::Http(&CallResponse), wake);
    }

    /// Handles the end of a gRPC call. `answer` is the size of the response message in bytes, or the gRPC status as `Err`.
    pub fn handle_message(&self, call: u32, answer: Result<usize, u32>, wake: &dyn Fn(StreamId)) {
        match answer {
            Ok(size) => self.handle_answer(call, Answer::Message(&MessageBuffer(size)), wake),
            Err(status) => self.handle_answer(call, Answer::Status(status), wake),
        }
    }

    /// Starts the calls that are due, in the callback of `request`. If Envoy cannot start a call, only `request` is decided now.
    /// The other requests that wait for the call are decided at the next tick. Envoy keeps only one flag for each VM, which
    /// records that a reply was sent. If this callback refused another request, Envoy would apply the flag to `request`, and
    /// would hold `request` forever.
    pub fn start_calls_of(&self, request: StreamId, wake: &dyn Fn(StreamId)) {
        self.start_calls(0, Some(request), wake);
    }

    fn start_calls(&self, mut woken: usize, only: Option<StreamId>, wake: &dyn Fn(StreamId)) {
        let now = host::now();
        let start = |call: &Call| match start(call) {
            Some(token) => {
                self.calls.borrow_mut().insert(token, call.id);
                true
            }
            None => false,
        };
        while let Some(outcome) = self.gateway.start_calls(now, &SharedMap, &mut woken, only, start) {
            decide_due(outcome, wake);
        }
        self.set_tick();
    }

    fn handle_answer(&self, call: u32, answer: Answer<'_>, wake: &dyn Fn(StreamId)) {
        let id = self.calls.borrow_mut().remove(&call);
        if let Some(id) = id {
            self.handle(self.gateway.on_answer(id, answer, host::now(), &SharedMap), wake);
        }
    }

    fn handle(&self, outcome: GatewayEffects, wake: &dyn Fn(StreamId)) {
        let woken = outcome.due.len();
        decide_due(outcome, wake);
        self.start_calls(woken, None, wake);
    }

    fn set_tick(&self) {
        if let Some(period) = self.gateway.next_tick() {
            host::tick_every(period);
        }
    }
}

fn decide_due(outcome: GatewayEffects, wake: &dyn Fn(StreamId)) {
    perform(outcome.commands);
    outcome.due.into_iter().for_each(wake);
}

/// Starts a call and returns its id. Returns `None` if Envoy cannot start the call. See [`Answer::NotStarted`] for the reasons.
fn start(call: &Call) -> Option<u32> {
    match &call.request {
        CallRequest::Http(headers) => {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            host::call(&call.cluster, &headers, call.timeout)
        }
        CallRequest::Grpc { service, method, message } => host::grpc_call(&GrpcCall {
            upstream: &wire::grpc_service(&call.cluster),
            service,
            method,
            message,
            timeout: call.timeout,
        }),
    }
}

impl SharedData for SharedMap {
    fn get(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        let (value, version) = host::shared(key);
        Some((value?, version.unwrap_or(0)))
    }

    fn set(&self, key: &str, value: &[u8]) {
        host::share(key, value, None);
    }

    fn compare_and_set(&self, key: &str, value: &[u8], version: u32) -> bool {
        host::share(key, value, Some(version))
    }
}

impl HttpResponse for CallResponse {
    fn header(&self, name: &str) -> Option<Vec<u8>> {
        host::header(Map::CallResponse, name)
    }

    fn body(&self, max: usize) -> Vec<u8> {
        host::call_body(max)
    }
}

impl GrpcMessage for MessageBuffer {
    fn bytes(&self, max: usize) -> Option<Vec<u8>> {
        host::grpc_message(self.0, max)
    }
}
