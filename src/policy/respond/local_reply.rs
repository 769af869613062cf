//! Translates Envoy's local replies (upstream down, timeout, request too large) to the gateway's format and codes.

use std::time::Duration;

use super::refusal::ReplyRenderer;
use crate::policy::verdict::plan::ResponsePlan;
use crate::policy::verdict::rejection::{Rejection, RejectionKind};
use crate::policy::verdict::reply::Reply;

/// Returns the reply that replaces a local reply of Envoy, and the code for the audit record. Returns `None` for a response of
/// the upstream. `details` are Envoy's response code details, which are `via_upstream` only for a response of the upstream
/// (envoy-facts §2.6).
pub fn translate(
    refusals: &ReplyRenderer,
    status: u16,
    details: &str,
    plan: &ResponsePlan,
    now: Duration,
) -> Option<(Reply, &'static str)> {
    if details.is_empty() || details == "via_upstream" {
        return None;
    }
    let (kind, reason) = match status {
        400 => (RejectionKind::BadRequest, "proxy_bad_request"),
        403 => (RejectionKind::Forbidden, "proxy_forbidden"),
        404 => (RejectionKind::NotFound, "proxy_no_route"),
        408 => (RejectionKind::RequestTimeout, "proxy_request_timeout"),
        413 => (RejectionKind::PayloadTooLarge, "proxy_request_too_large"),
        426 => (RejectionKind::UpgradeRequired, "proxy_upgrade_required"),
        431 => (RejectionKind::HeadersTooLarge, "proxy_headers_too_large"),
        500 => (RejectionKind::Internal, "proxy_internal_error"),
        501 => (RejectionKind::NotImplemented, "proxy_not_implemented"),
        502 => (RejectionKind::BadGateway, "upstream_protocol_error"),
        503 => (RejectionKind::ServiceUnavailable, "upstream_unavailable"),
        504 => (RejectionKind::GatewayTimeout, "upstream_timeout"),
        _ => return None,
    };
    let code = kind.appearance().code;
    Some((refusals.reply(&Rejection::new(kind, reason), plan, None, now), code))
}

/// Returns the HTTP status that Envoy would send to a client without gRPC. A gRPC client gets status 200 and a less precise
/// gRPC status from Envoy, so this function derives the status from the details. `held` means that the request was not
/// forwarded yet, so only Envoy can have replied. Returns 0 if Envoy reports no failure.
pub fn meant(details: &str, held: bool) -> u16 {
    match details.split_once('{').map_or(details, |(word, _)| word) {
        "request_payload_too_large" => 413,
        "stream_idle_timeout" if held => 408,
        "request_overall_timeout" | "max_duration_timeout" => 408,
        "stream_idle_timeout"
        | "response_timeout"
        | "upstream_per_try_timeout"
        | "upstream_per_try_idle_timeout"
        | "upstream_max_stream_duration_reached" => 504,
        "upstream_reset_before_response_started" if details.contains("protocol_error") => 502,
        "upstream_reset_before_response_started" | "no_healthy_upstream" | "cluster_not_found" | "maintenance_mode" => {
            503
        }
        "route_not_found" => 404,
        "response_payload_too_large" => 500,
        _ if held => 500,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::meant;

    #[test]
    fn the_status_of_grpc_failures_comes_from_the_details() {
        for (details, held, forwarded) in [
            ("request_payload_too_large", 413, 413),
            ("request_overall_timeout", 408, 408),
            ("stream_idle_timeout", 408, 504),
            ("response_timeout", 504, 504),
            ("upstream_reset_before_response_started{connection_termination}", 503, 503),
            ("upstream_reset_before_response_started{protocol_error}", 502, 502),
            ("no_healthy_upstream", 503, 503),
            ("route_not_found", 404, 404),
            ("something_new", 500, 0),
            ("via_upstream", 500, 0),
        ] {
            assert_eq!((meant(details, true), meant(details, false)), (held, forwarded), "{details}");
        }
    }
}
