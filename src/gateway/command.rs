//! Commands: everything that the gateway wants a host to do, as plain data.

use crate::policy::verdict::edit::HeaderEdit;
use crate::policy::verdict::reply::Reply;

/// Something that a host does. The commands of one event are performed in their order.
#[derive(Debug)]
pub enum Command {
    /// Change the request's headers.
    EditRequest(Vec<HeaderEdit>),
    /// Change the request's trailers.
    EditRequestTrailers(Vec<HeaderEdit>),
    /// Change the response's headers.
    EditResponse(Vec<HeaderEdit>),
    /// Put a value into the request's filter state, where later filters and access logs find it.
    SetFilterState(&'static str, Vec<u8>),
    /// Answer the request, or replace its response.
    Reply(Reply),
    /// Let a held request go on.
    Resume,
    /// Write a line to the log.
    Log(Level, String),
}

/// How much an operator should care about a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Everything works.
    Info,
    /// Something failed, and the gateway goes on with what it has.
    Warn,
    /// Something is set up wrongly.
    Error,
}

/// Whether the proxy goes on with a request or a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Hold it.
    Pause,
}
