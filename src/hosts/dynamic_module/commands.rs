//! Performs the commands of the gateway by calling functions of Envoy.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::envoy::abi::Map;
use super::envoy::{EnvoyStream, LocalReply, log};
use super::shared_plugin::SharedPlugin;
use crate::gateway::command::Command;
use crate::gateway::metrics::Count;
use crate::policy::verdict::edit::HeaderEdit;
use crate::policy::verdict::reply::Reply;

/// The stream for which commands are performed.
pub struct CommandTarget {
    plugin: Arc<SharedPlugin>,
    /// Envoy's object; `None` after Envoy has destroyed it.
    envoy: Cell<Option<EnvoyStream>>,
    /// The audit record for the access log. It is written once at the end, because Envoy 1.38 does not replace a value
    /// (envoy-facts §5.14).
    record: RefCell<Option<Vec<u8>>>,
}

impl CommandTarget {
    /// Creates the target for a stream.
    pub fn new(plugin: Arc<SharedPlugin>, envoy: EnvoyStream) -> CommandTarget {
        CommandTarget { plugin, envoy: Cell::new(Some(envoy)), record: RefCell::default() }
    }

    /// Returns Envoy's object; `None` if Envoy has destroyed it.
    pub fn envoy(&self) -> Option<EnvoyStream> {
        self.envoy.get()
    }

    /// Records that Envoy has destroyed its object.
    pub fn destroy(&self) {
        self.envoy.set(None);
    }

    /// Performs commands. A reply can make Envoy destroy the stream at once; the other commands then only write log lines.
    pub fn perform(&self, commands: Vec<Command>) {
        for command in commands {
            match self.envoy() {
                Some(envoy) => self.perform_one(envoy, command),
                None => perform_outside(vec![command], |_| ()),
            }
        }
    }

    fn perform_one(&self, envoy: EnvoyStream, command: Command) {
        match command {
            Command::EditRequest(edits) => {
                edit(envoy, Map::Request, &edits);
                // The route depends on headers that the gateway sets.
                envoy.choose_route_again();
            }
            Command::EditRequestTrailers(edits) => edit(envoy, Map::RequestTrailers, &edits),
            Command::EditResponse(edits) => edit(envoy, Map::Response, &edits),
            Command::ReplaceResponseBody { body, .. } => envoy.replace_response_body(&body),
            Command::SetFilterState(RECORD, value) => *self.record.borrow_mut() = Some(value),
            Command::SetFilterState(name, value) => envoy.set_filter_state(&filter_state(name), &value),
            Command::Reply(reply) => send(envoy, &reply),
            Command::Resume => envoy.resume_request(),
            Command::Log(level, text) => log(level, &text),
            Command::Count(event) => self.count(&event),
        }
    }

    /// Counts an event.
    pub fn count(&self, event: &Count) {
        if let Some(envoy) = self.envoy() {
            self.plugin.count(envoy, event);
        }
    }

    /// Writes the audit record to the filter state, before Envoy writes its access log.
    pub fn write_record(&self) {
        if let (Some(envoy), Some(record)) = (self.envoy(), self.record.take()) {
            envoy.set_filter_state(&filter_state(RECORD), &record);
        }
    }
}

/// Performs commands that belong to no stream: writes log lines, and passes counted events to `count`.
pub fn perform_outside(commands: Vec<Command>, mut count: impl FnMut(&Count)) {
    for command in commands {
        match command {
            Command::Log(level, text) => log(level, &text),
            Command::Count(event) => count(&event),
            _ => {}
        }
    }
}

fn edit(envoy: EnvoyStream, map: Map, edits: &[HeaderEdit]) {
    for edit in edits {
        match edit {
            HeaderEdit::Set(name, value) => envoy.set_header(map, name, value),
            HeaderEdit::Add(name, value) => envoy.add_header(map, name, value),
            HeaderEdit::Remove(name) => envoy.remove_header(map, name),
        }
    }
}

/// Sends a reply. A gRPC client receives a gRPC status and a short message instead of the body (envoy-facts §2.5). Envoy itself
/// would send the gRPC status 0, which means success, so the status is among the headers (envoy-facts §5.12).
fn send(envoy: EnvoyStream, reply: &Reply) {
    let status = reply.grpc.as_ref().map(|(status, _)| status.to_string());
    let mut headers: Vec<(&str, &str)> = reply.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    headers.extend(status.as_deref().map(|status| ("grpc-status", status)));
    let body = reply.grpc.as_ref().map_or(&*reply.body, |(_, message)| message.as_bytes());
    envoy.reply(&LocalReply { status: reply.status, details: reply.details, headers: &headers, body });
}

/// Returns the key of a value in the filter state. Envoy adds the same prefix to the keys of wasm modules, so the access log is
/// the same for both hosts (envoy-facts §5.14).
fn filter_state(name: &str) -> String {
    format!("wasm.{name}")
}

/// The name of the audit record in the filter state.
const RECORD: &str = "portcullis";
