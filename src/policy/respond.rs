//! The response pipeline: replaces local replies of Envoy, sets the gateway's headers on all other responses, and maps bodies.

pub mod cors;
pub mod held;
pub mod json_api;
pub mod local_reply;
pub mod mapping;
pub mod refusal;
pub mod response;

use std::time::Duration;

use super::pipeline::progress::Progress;
use super::verdict::edit::HeaderEdit;
use super::verdict::plan::ResponsePlan;
use super::verdict::reply::Reply;
use refusal::ReplyRenderer;
use response::{Response, ResponseHead};

/// Decides whether a response is replaced, passed on with header edits, or held to map its body.
pub(super) fn respond(
    refusals: &ReplyRenderer,
    head: &ResponseHead<'_>,
    progress: &mut Progress,
    now: Duration,
) -> Response {
    match replacement(refusals, head, progress, now) {
        Some(reply) => Response::Replace(reply),
        None => {
            let mut edits = edits(head.status, &progress.plan);
            mapping::begin(refusals, head, progress, now, &mut edits).unwrap_or(Response::Pass(edits))
        }
    }
}

/// Returns the reply that replaces an error response of Envoy; `None` for other responses.
fn replacement(
    refusals: &ReplyRenderer,
    head: &ResponseHead<'_>,
    progress: &mut Progress,
    now: Duration,
) -> Option<Reply> {
    // Envoy reports a failure to a gRPC client with status 200 and sends `grpc-status` as a header.
    let may_be_trailers = progress.plan.grpc && head.status == 200 && (head.header)("grpc-status").is_some();
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
        // Replaces the upstream's `Connection`, because the next proxy towards the client would delete every header that the
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
