//! The response stage that changes bodies: it replaces the JSON of an upstream with a JSON:API document.

use std::time::Duration;

use super::held::{HeldResponse, JSON_API};
use super::json_api::{MappingFault, map_document, map_error};
use super::refusal::ReplyRenderer;
use super::response::{Response, ResponseHead};
use crate::config::json_api::MAPS_RESPONSES;
use crate::policy::checks::body::Body;
use crate::policy::pipeline::progress::Progress;
use crate::policy::verdict::edit::HeaderEdit;
use crate::policy::verdict::rejection::{Rejection, RejectionKind};
use crate::policy::verdict::reply::Reply;

/// Decides at the headers of a response whether its body is mapped. Returns `None` if the body stays unchanged: the response has
/// no body, is a success without JSON, is already JSON:API, is a redirection, or is a part of a representation. Even then, the
/// headers may change.
pub(super) fn begin(
    refusals: &ReplyRenderer,
    head: &ResponseHead<'_>,
    progress: &mut Progress,
    now: Duration,
    edits: &mut Vec<HeaderEdit>,
) -> Option<Response> {
    if !MAPS_RESPONSES || !matches!(head.status, 200..=203 | 304 | 400..=599) {
        return None;
    }
    let mapping = progress.mapping().filter(|_| head.is_forwarded)?.clone();
    let text = |name| (head.header)(name).map(|value| String::from_utf8_lossy(&value).into_owned());
    let content_type = text("content-type");
    let media_type = content_type.as_deref().and_then(|text| text.split(';').next()).unwrap_or_default();
    let media_type = media_type.trim().to_ascii_lowercase();
    let is_json =
        media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"));
    let is_error = head.status >= 400;
    let is_other = media_type == JSON_API
        || media_type == "text/event-stream"
        || media_type.starts_with("application/grpc")
        || !(is_json || is_error);
    let etag = text("etag");
    if head.status == 304 && !(is_other && content_type.is_some()) {
        // A cache updates its stored response from these headers, so they must describe the mapped body too (RFC 9111 §4.3.4).
        edits.extend(describe(etag.as_deref(), content_type.is_some()));
    }
    if is_other || head.status == 304 {
        return None;
    }
    let is_head = progress.audit.method == "HEAD";
    if is_error && head.ended && !is_head {
        return None;
    }
    let is_coded = text("content-encoding").is_some_and(|coding| !coding.trim().eq_ignore_ascii_case("identity"));
    edits.extend(describe(etag.as_deref(), true));
    if is_head {
        return None;
    }
    let held = HeldResponse { mapping, error: is_error.then_some(head.status), is_coded };
    let announced = text("content-length").and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    let body = match () {
        () if is_error => return Some(Response::Hold(std::mem::take(edits), held)),
        () if head.ended => Body::Whole(&[]),
        () if is_coded => Body::Lost,
        () if held.is_too_large(announced) => Body::TooLarge,
        () => return Some(Response::Hold(std::mem::take(edits), held)),
    };
    finish(refusals, &held, body, progress, now).err().map(Response::Replace)
}

/// Maps a body that has ended or cannot be held. Returns the new body, or the reply that replaces the response. An error response
/// always gets a new body.
pub(in crate::policy) fn finish(
    refusals: &ReplyRenderer,
    held: &HeldResponse,
    body: Body<'_>,
    progress: &mut Progress,
    now: Duration,
) -> Result<Vec<u8>, Reply> {
    if let Some(status) = held.error {
        let detail = if let Body::Whole(bytes) = body { Some(bytes) } else { None };
        return Ok(map_error(status, &progress.plan.request_id, detail.filter(|_| held.needs_body())));
    }
    let (reason, detail) = match body {
        Body::Whole(bytes) => {
            let max_bytes = held.mapping.max_bytes;
            match map_document(&held.mapping.mapping, bytes, &progress.self_target, max_bytes) {
                Ok(document) => return Ok(document),
                Err(MappingFault::TooLarge) => ("response_too_large", Some(MappingFault::TooLarge.to_string())),
                Err(fault) => ("response_not_mapped", Some(fault.to_string())),
            }
        }
        Body::TooLarge => ("response_too_large", None),
        Body::Crowded => ("held_bytes_exceeded", None),
        Body::Lost | Body::Withheld => ("response_not_readable", None),
    };
    // The upstream has already handled the request. A client that obeys `Retry-After` would repeat the effect of an unsafe
    // method, so only safe methods get a reply with this header.
    let is_safe = matches!(&*progress.audit.method, "GET" | "HEAD" | "OPTIONS");
    let kind = match body {
        Body::Crowded if is_safe => RejectionKind::Overloaded,
        _ => RejectionKind::BadGateway,
    };
    progress.audit.response_fault = Some(reason);
    progress.audit.code = Some(kind.appearance().code);
    progress.audit.failure = Some(detail.map_or_else(|| reason.to_string(), |detail| format!("{reason}: {detail}")));
    Err(refusals.reply(&Rejection::new(kind, reason), &progress.plan, None, now))
}

/// Returns the edits that make the headers describe the mapped body.
fn describe(etag: Option<&str>, has_type: bool) -> Vec<HeaderEdit> {
    let mut edits: Vec<_> = OF_THE_BYTES.into_iter().map(|name| HeaderEdit::Remove(name.into())).collect();
    if has_type {
        edits.push(HeaderEdit::set("content-type", JSON_API));
    }
    if let Some(etag) = etag.filter(|etag| etag.starts_with('"')) {
        // The client receives other bytes than the upstream sent, so the tag cannot be a strong one (RFC 9110 §8.8.3).
        edits.push(HeaderEdit::set("etag", &format!("W/{etag}")));
    }
    edits
}

/// The headers that describe the upstream's bytes (RFC 9110 §8.4, §8.6, §14.3 and §14.4, RFC 9530).
const OF_THE_BYTES: [&str; 8] = [
    "content-length",
    "content-encoding",
    "content-range",
    "content-md5",
    "content-digest",
    "repr-digest",
    "digest",
    "accept-ranges",
];
