//! Envoy's own failures (upstream down, too slow, request too large) told in the gateway's envelope and with its codes.

use std::time::Duration;

use super::decision::{Reply, ResponsePlan};
use super::rejection::{Kind, Rejection};
use super::reply::Refusals;

/// The reply that takes the place of one that the proxy made by itself; `None` for an upstream's own answer, which passes as
/// it is. `details` are Envoy's response code details: `via_upstream` for an upstream's answer only (envoy-facts §2.6). Beside
/// the reply stands its code, for the record.
pub fn translate(
    refusals: &Refusals,
    status: u16,
    details: &str,
    plan: &ResponsePlan,
    now: Duration,
) -> Option<(Reply, &'static str)> {
    if details.is_empty() || details == "via_upstream" {
        return None;
    }
    let (kind, reason) = match status {
        400 => (Kind::BadRequest, "proxy_bad_request"),
        403 => (Kind::Forbidden, "proxy_forbidden"),
        404 => (Kind::NotFound, "proxy_no_route"),
        408 => (Kind::RequestTimeout, "proxy_request_timeout"),
        413 => (Kind::PayloadTooLarge, "proxy_request_too_large"),
        431 => (Kind::HeadersTooLarge, "proxy_headers_too_large"),
        500 => (Kind::Internal, "proxy_internal_error"),
        502 => (Kind::BadGateway, "upstream_protocol_error"),
        503 => (Kind::ServiceUnavailable, "upstream_unavailable"),
        504 => (Kind::GatewayTimeout, "upstream_timeout"),
        _ => return None,
    };
    let code = kind.appearance().code;
    Some((refusals.reply(&Rejection::new(kind, reason), plan, None, now), code))
}
