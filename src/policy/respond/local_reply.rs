//! Envoy's own failures (upstream down, too slow, request too large) told in the gateway's envelope and with its codes.

use std::time::Duration;

use super::refusal::Refusals;
use crate::policy::verdict::plan::ResponsePlan;
use crate::policy::verdict::rejection::{Kind, Rejection};
use crate::policy::verdict::reply::Reply;

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
        426 => (Kind::UpgradeRequired, "proxy_upgrade_required"),
        431 => (Kind::HeadersTooLarge, "proxy_headers_too_large"),
        500 => (Kind::Internal, "proxy_internal_error"),
        501 => (Kind::NotImplemented, "proxy_not_implemented"),
        502 => (Kind::BadGateway, "upstream_protocol_error"),
        503 => (Kind::ServiceUnavailable, "upstream_unavailable"),
        504 => (Kind::GatewayTimeout, "upstream_timeout"),
        _ => return None,
    };
    let code = kind.appearance().code;
    Some((refusals.reply(&Rejection::new(kind, reason), plan, None, now), code))
}

/// The status behind a reply to a gRPC client, whom Envoy sends 200 and a gRPC status that says less: read from the details. `held`
/// says that the request had not gone on yet, so that nobody but Envoy can have answered. 0 for what is no failure of Envoy's own.
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
    fn what_a_grpc_client_is_not_told_stands_in_the_details() {
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
