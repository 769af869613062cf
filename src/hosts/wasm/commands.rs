//! Performs the commands of the gateway with Envoy's host calls.

use std::cell::RefCell;
use std::collections::HashMap;

use proxy_wasm::types::LogLevel;

use super::host::{self, LocalReply, Map};
use crate::gateway::command::{Command, Level};
use crate::gateway::metrics::Count;
use crate::policy::verdict::edit::HeaderEdit;
use crate::policy::verdict::reply::Reply;

thread_local! {
    /// The number with which Envoy identifies each counter; `None` for a counter that Envoy refused.
    static COUNTERS: RefCell<HashMap<Count, Option<u32>>> = RefCell::default();
}

/// Performs commands for the request of the current callback, or for the request selected by [`host::act_for`].
pub fn perform(commands: Vec<Command>) {
    for command in commands {
        match command {
            Command::EditRequest(edits) => edit(Map::Request, &edits),
            Command::EditRequestTrailers(edits) => edit(Map::RequestTrailers, &edits),
            Command::EditResponse(edits) => edit(Map::Response, &edits),
            Command::ReplaceResponseBody { held, body } => host::replace_response_body(held, &body),
            Command::SetFilterState(name, value) => host::set_filter_state(name, &value),
            Command::Reply(reply) => send(&reply),
            Command::Resume => host::resume_request(),
            Command::Log(level, text) => host::log(log_level(level), &text),
            Command::Count(count) => increment(count),
        }
    }
}

fn edit(map: Map, edits: &[HeaderEdit]) {
    for edit in edits {
        match edit {
            HeaderEdit::Set(name, value) => host::set_header(map, name, value),
            HeaderEdit::Add(name, value) => host::add_header(map, name, value),
            HeaderEdit::Remove(name) => host::remove_header(map, name),
        };
    }
}

/// Sends a reply. A gRPC client gets a gRPC status and a short message instead of the body (envoy-facts §2.5).
fn send(reply: &Reply) {
    let headers = host::serialize(reply.headers.iter().map(|(name, value)| (name.as_ref(), value.as_ref())));
    let (grpc_status, body) = match &reply.grpc {
        Some((status, message)) => (i32::from(*status), message.as_bytes()),
        None => (-1, reply.body.as_ref()),
    };
    host::reply(&LocalReply { status: reply.status, details: reply.details, headers: &headers, body, grpc_status });
}

/// Increases a counter. Envoy keeps a counter until it exits, but the number that identifies the counter is valid only in this
/// VM.
fn increment(count: Count) {
    COUNTERS.with_borrow_mut(|counters| {
        let id = match counters.get(&count) {
            Some(id) => *id,
            None => {
                let id = host::define_counter(&count.statistic());
                counters.insert(count, id);
                id
            }
        };
        if let Some(id) = id {
            host::increment_counter(id);
        }
    });
}

fn log_level(level: Level) -> LogLevel {
    match level {
        Level::Info => LogLevel::Info,
        Level::Warn => LogLevel::Warn,
        Level::Error => LogLevel::Error,
    }
}
