//! The response stage that changes bodies: it replaces the JSON of an upstream by a JSON:API document.

use std::time::Duration;

use super::held::{HeldResponse, JSON_API};
use super::json_api::{map_document, map_error};
use super::refusal::ReplyRenderer;
use super::response::{Response, ResponseHead};
use crate::policy::checks::body::Body;
use crate::policy::pipeline::progress::Progress;
use crate::policy::verdict::edit::HeaderEdit;
use crate::policy::verdict::rejection::{Rejection, RejectionKind};
use crate::policy::verdict::reply::Reply;

/// Decides at the headers of a response whether its body is mapped. Returns `None` for a response that passes unchanged: without
/// JSON, already JSON:API, a redirection, a part of a representation, or an error without a body.
pub(super) fn begin(
    refusals: &ReplyRenderer,
    head: &ResponseHead<'_>,
    progress: &mut Progress,
    now: Duration,
    edits: &mut Vec<HeaderEdit>,
) -> Option<Response> {
    let mapping = progress.mapping().filter(|_| head.is_forwarded && !progress.plan.grpc)?.clone();
    let has_own_body = matches!(head.status, 200 | 201 | 202 | 203 | 400..=599);
    let text = |name| (head.header)(name).map(|value| String::from_utf8_lossy(&value).into_owned());
    let content_type = text("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_error = head.status >= 400;
    let is_json =
        media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"));
    if !has_own_body || media_type == JSON_API || media_type == "text/event-stream" || !(is_json || is_error) {
        return None;
    }
    let is_head = progress.audit.method == "HEAD";
    if is_error && head.ended && !is_head {
        return None;
    }
    let is_coded = text("content-encoding").is_some_and(|coding| !coding.trim().eq_ignore_ascii_case("identity"));
    edits.extend(describe(text("etag").as_deref()));
    if is_head {
        return None;
    }
    let held = HeldResponse { mapping, error: is_error.then_some(head.status), is_coded };
    let announced = text("content-length").and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    let body = match () {
        () if head.ended => Body::Whole(&[]),
        () if held.error.is_none() && is_coded => Body::Lost,
        () if held.is_too_large(announced) => Body::TooLarge,
        () => return Some(Response::Hold(std::mem::take(edits), held)),
    };
    finish(refusals, &held, body, progress, now).err().map(Response::Replace)
}

/// Maps a body that is complete. Returns the new body, or the reply that replaces the response.
pub(in crate::policy) fn finish(
    refusals: &ReplyRenderer,
    held: &HeldResponse,
    body: Body<'_>,
    progress: &mut Progress,
    now: Duration,
) -> Result<Vec<u8>, Reply> {
    if let Some(status) = held.error {
        let detail = match body {
            Body::Whole(bytes) if held.mapping.error_detail && !held.is_coded => Some(bytes),
            _ => None,
        };
        let document = map_error(status, &progress.plan.request_id, detail);
        return if let Body::Whole(_) = body { Ok(document) } else { Err(error_reply(status, document, progress)) };
    }
    let (reason, detail) = match body {
        Body::Whole(bytes) => match map_document(&held.mapping.mapping, bytes, &progress.self_target) {
            Ok(document) => return Ok(document),
            Err(fault) => ("response_not_mapped", Some(fault.to_string())),
        },
        Body::TooLarge => ("response_too_large", None),
        Body::Crowded => ("held_bytes_exceeded", None),
        Body::Lost | Body::Withheld => ("response_not_readable", None),
    };
    let kind = if reason == "held_bytes_exceeded" { RejectionKind::Overloaded } else { RejectionKind::BadGateway };
    progress.audit.code = Some(kind.appearance().code);
    progress.audit.failure = Some(detail.map_or_else(|| reason.to_string(), |detail| format!("{reason}: {detail}")));
    Err(refusals.reply(&Rejection::new(kind, reason), &progress.plan, None, now))
}

/// Returns the edits that make the headers describe the mapped body.
fn describe(etag: Option<&str>) -> Vec<HeaderEdit> {
    let mut edits: Vec<_> = OF_THE_BYTES.into_iter().map(|name| HeaderEdit::Remove(name.into())).collect();
    edits.push(HeaderEdit::set("content-type", JSON_API));
    if let Some(etag) = etag.filter(|etag| etag.starts_with('"')) {
        // The client receives other bytes than the upstream sent, so the tag cannot be a strong one (RFC 9110 §8.8.3).
        edits.push(HeaderEdit::set("etag", &format!("W/{etag}")));
    }
    edits
}

/// Builds the reply for an error response of the upstream whose body cannot be held.
fn error_reply(status: u16, document: Vec<u8>, progress: &Progress) -> Reply {
    let mut headers = vec![("content-type".into(), JSON_API.into()), ("cache-control".into(), "no-store".into())];
    progress.plan.add_to_reply(&mut headers);
    Reply { status, headers, body: document.into(), grpc: None, details: "upstream_error" }
}

/// The headers that describe the upstream's bytes (RFC 9110 §8.4, §8.6 and §14.3, RFC 9530).
const OF_THE_BYTES: [&str; 7] =
    ["content-length", "content-encoding", "content-md5", "content-digest", "repr-digest", "digest", "accept-ranges"];
