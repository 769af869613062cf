//! The response pipeline: replaces local replies of Envoy, and sets the gateway's headers on all other responses.

pub mod cors;
pub mod local_reply;
pub mod refusal;

use std::time::Duration;

use super::pipeline::progress::Progress;
use super::verdict::edit::HeaderEdit;
use super::verdict::plan::ResponsePlan;
use super::verdict::reply::Reply;
use refusal::ReplyRenderer;

/// The parts of a response that determine how it is handled.
pub struct ResponseHead<'h> {
    /// The HTTP status of the response.
    pub status: u16,
    /// Whether the response has a `grpc-status` header. Envoy reports a failure to a gRPC client with status 200 and sends
    /// `grpc-status` as a header.
    pub has_grpc_status: &'h dyn Fn() -> bool,
    /// Whether the request was forwarded. If it was not, only Envoy itself can have sent the response.
    pub is_forwarded: bool,
    /// Returns Envoy's response code details (envoy-facts §2.6). They are read only for failures.
    pub details: &'h dyn Fn() -> String,
}

/// The decision about a response.
#[derive(Debug)]
pub enum Response {
    /// Send the response to the client with these changes to its headers.
    Pass(Vec<HeaderEdit>),
    /// Replace the response with this reply.
    Replace(Reply),
}

/// Decides whether a response is replaced or passed on.
pub(super) fn respond(
    refusals: &ReplyRenderer,
    head: &ResponseHead<'_>,
    progress: &mut Progress,
    now: Duration,
) -> Response {
    match replacement(refusals, head, progress, now) {
        Some(reply) => Response::Replace(reply),
        None => Response::Pass(edits(head.status, &progress.plan)),
    }
}

/// Returns the reply that replaces a local reply of Envoy; `None` if the response is not a local reply.
fn replacement(
    refusals: &ReplyRenderer,
    head: &ResponseHead<'_>,
    progress: &mut Progress,
    now: Duration,
) -> Option<Reply> {
    let may_be_trailers = progress.plan.grpc && head.status == 200 && (head.has_grpc_status)();
    if head.status < 400 && !may_be_trailers {
        return None;
    }
    let details = (head.details)();
    let status = if may_be_trailers { local_reply::meant(&details, !head.is_forwarded) } else { head.status };
    let (reply, code) = local_reply::translate(refusals, status, &details, &progress.plan, now)?;
    progress.audit.code = Some(code);
    progress.audit.failure = Some(details);
    Some(reply)
}

/// Returns the header edits for a response that is passed on.
fn edits(status: u16, plan: &ResponsePlan) -> Vec<HeaderEdit> {
    let mut edits = Vec::with_capacity(8);
    if status == 101 {
        // Replaces the upstream's `Connection`. Otherwise the next proxy towards the client would delete every header that the
        // upstream names in it (RFC 9110 §7.6.1).
        edits.push(HeaderEdit::set("connection", "upgrade"));
    }
    if let Some(cors) = &plan.cors {
        // Does not check whether a header exists, because removing an absent header costs only a tenth of reading the whole
        // header map.
        edits.extend(cors.remove.iter().filter(|name| !cors.sets(name)).map(|name| HeaderEdit::Remove((*name).into())));
    }
    edits.extend(plan.headers().map(|(name, value)| match &*name {
        // The upstream's own `Vary` must stay, because its response may depend on other request headers too.
        "vary" => HeaderEdit::Add(name, value.into()),
        _ => HeaderEdit::Set(name, value.into()),
    }));
    edits
}
