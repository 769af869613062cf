//! Performs the commands of the gateway by calling functions of Envoy.

use std::cell::RefCell;
use std::collections::HashMap;

use proxy_wasm::types::LogLevel;

use super::host::{self, LocalReply, Map};
use crate::gateway::command::{Command, Level};
use crate::gateway::metrics::Count;
use crate::policy::verdict::edit::HeaderEdit;
use crate::policy::verdict::reply::Reply;

thread_local! {
    /// The id that Envoy assigned to each counter; `None` for a counter that Envoy did not create.
    static COUNTERS: RefCell<HashMap<Count, Option<u32>>> = RefCell::default();
}

/// Performs commands for the request of the current callback, or for the request that [`host::act_for`] selected.
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

/// Sends a reply. If the client uses gRPC, Envoy sends it a gRPC status and a short message instead of the body (envoy-facts
/// §2.5).
fn send(reply: &Reply) {
    let headers = host::serialize(reply.headers.iter().map(|(name, value)| (name.as_ref(), value.as_ref())));
    let (grpc_status, body) = match &reply.grpc {
        Some((status, message)) => (i32::from(*status), message.as_bytes()),
        None => (-1, reply.body.as_ref()),
    };
    host::reply(&LocalReply { status: reply.status, details: reply.details, headers: &headers, body, grpc_status });
}

/// Increases a counter by one. An id is valid only in one wasm VM, so each VM asks Envoy for the id when it first uses the
/// counter.
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
