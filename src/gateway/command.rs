//! Commands: the actions that a host performs for the gateway, as plain data.

use super::metrics::Count;
use crate::policy::verdict::edit::HeaderEdit;
use crate::policy::verdict::reply::Reply;

/// An action for the host. The host performs the commands of one event in order.
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
    /// Reply to the request, or replace its response.
    Reply(Reply),
    /// Resume a held request.
    Resume,
    /// Write a line to the log.
    Log(Level, String),
    /// Increase a counter by one.
    Count(Count),
}

/// The severity of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Normal operation.
    Info,
    /// Something failed; the gateway continues with its previous data.
    Warn,
    /// A configuration error.
    Error,
}

/// Whether the proxy continues a request or holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Continue.
    Continue,
    /// Hold the request, and report its body as it arrives.
    Pause,
    /// Hold the request with its body. The proxy buffers the body until its buffers are full, and reports it to the filter only
    /// after the request continues.
    PauseWhole,
}
