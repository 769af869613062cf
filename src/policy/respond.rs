//! The response pipeline: replaces replies that Envoy made itself, and sets the gateway's headers on every other response.

pub mod cors;
pub mod local_reply;
pub mod refusal;

use std::time::Duration;

use super::pipeline::progress::Progress;
use super::verdict::edit::HeaderEdit;
use super::verdict::plan::ResponsePlan;
use super::verdict::reply::Reply;
use refusal::Refusals;

/// A response as its headers arrive.
pub struct ResponseHead<'h> {
    /// HTTP status.
    pub status: u16,
    /// It has a `grpc-status` header: to a gRPC client, Envoy reports a failure with status 200 and the trailers as headers.
    pub has_grpc_status: bool,
    /// The request was forwarded. Before that, only Envoy can have answered.
    pub is_forwarded: bool,
    /// Envoy's response code details (envoy-facts §2.6). Read for failures only.
    pub details: &'h dyn Fn() -> String,
}

/// What becomes of a response.
#[derive(Debug)]
pub enum Response {
    /// It goes to the client with these changes to its headers.
    Pass(Vec<HeaderEdit>),
    /// This reply replaces it.
    Replace(Reply),
}

/// Decides about a response.
pub(super) fn respond(
    refusals: &Refusals,
    head: &ResponseHead<'_>,
    progress: &mut Progress,
    now: Duration,
) -> Response {
    match replacement(refusals, head, progress, now) {
        Some(reply) => Response::Replace(reply),
        None => Response::Pass(edits(head.status, &progress.plan)),
    }
}

/// The reply that replaces one that Envoy made itself.
fn replacement(refusals: &Refusals, head: &ResponseHead<'_>, progress: &mut Progress, now: Duration) -> Option<Reply> {
    let may_be_trailers = progress.plan.grpc && head.status == 200 && head.has_grpc_status;
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

/// The changes to the headers of the upstream's response.
fn edits(status: u16, plan: &ResponsePlan) -> Vec<HeaderEdit> {
    let mut edits = Vec::with_capacity(8);
    if status == 101 {
        // The next proxy on the way to the client deletes the headers that the upstream names here (RFC 9110 §7.6.1).
        edits.push(HeaderEdit::set("connection", "upgrade"));
    }
    edits.extend(plan.budget.headers().into_iter().map(|(name, value)| HeaderEdit::set(name, &value)));
    if let Some(cors) = &plan.cors {
        // Removing an absent header costs a tenth of reading the whole map, which would show whether it is there.
        edits.extend(cors.remove.iter().filter(|name| !cors.sets(name)).map(|name| HeaderEdit::Remove((*name).into())));
        edits.extend(cors.set.iter().map(|(name, value)| HeaderEdit::Set(name.clone().into(), value.clone().into())));
        edits.extend(cors.vary.iter().map(|vary| HeaderEdit::Add("vary".into(), vary.clone().into())));
    }
    edits.push(HeaderEdit::Set("x-request-id".into(), plan.request_id.clone().into()));
    edits
}
