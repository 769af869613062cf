//! Commands: the actions that the gateway returns as data, and that a host performs.

use super::metrics::Count;
use crate::policy::verdict::edit::HeaderEdit;
use crate::policy::verdict::reply::Reply;

/// An action that the host must perform. The host performs the commands of one event in the order of the list.
#[derive(Debug)]
pub enum Command {
    /// Change the request's headers.
    EditRequest(Vec<HeaderEdit>),
    /// Change the request's trailers.
    EditRequestTrailers(Vec<HeaderEdit>),
    /// Change the response's headers.
    EditResponse(Vec<HeaderEdit>),
    /// Replace the held body of the response.
    ReplaceResponseBody {
        /// The size of the held body in bytes.
        held: usize,
        /// The new body.
        body: Vec<u8>,
    },
    /// Set a value in the request's filter state. Later filters and access logs can read it.
    SetFilterState(&'static str, Vec<u8>),
    /// Reply to the request. If the response of the upstream has begun, but no part of it was sent to the client, the reply
    /// replaces it.
    Reply(Reply),
    /// Resume the request, which the proxy holds.
    Resume,
    /// Write a line to the log.
    Log(Level, String),
    /// Increase a counter by one.
    Count(Count),
}

/// The severity of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// An event of normal operation.
    Info,
    /// A failure after which the gateway continues with its previous data.
    Warn,
    /// A fault in the configuration of the filter or of Envoy, which an operator must correct.
    Error,
}

/// The action of the proxy after an event of a request or a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The proxy continues the request or the response.
    Continue,
    /// The proxy holds the request or the response, and reports its body as the body arrives.
    Pause,
    /// The proxy holds the request with its body, and reports the body only after the request continues. When the buffer is full,
    /// the proxy stops reading from the client.
    PauseWhole,
}
