//! Builds the replies to refused requests: the JSON error body, the authentication challenges, and the other headers.

use std::sync::Arc;
use std::time::Duration;

use crate::config::auth::{Auth, CredentialKind};
use crate::date::Date;
use crate::policy::verdict::audit::escape;
use crate::policy::verdict::plan::ResponsePlan;
use crate::policy::verdict::rejection::{Finding, Rejection, RejectionKind};
use crate::policy::verdict::reply::Reply;

/// Converts refusals to replies in the gateway's error format.
#[derive(Debug)]
pub struct ReplyRenderer {
    /// The scheme and realm of the Bearer challenge.
    bearer: String,
    /// The realm parameter of all other challenges.
    realm: String,
}

/// The credentials that the route of a refused request accepts.
#[derive(Clone, Copy, Debug)]
pub struct RouteCredentials<'p> {
    /// The credential kinds that the route accepts.
    pub auth: &'p Auth,
    /// The scopes that the route requires, as written in a challenge.
    pub scopes: &'p str,
}

impl ReplyRenderer {
    /// Creates a renderer. `realm` is the realm of all challenges.
    pub fn new(realm: Option<&str>) -> ReplyRenderer {
        let realm = realm.map(|realm| format!(" realm=\"{realm}\"")).unwrap_or_default();
        ReplyRenderer { bearer: format!("Bearer{realm}"), realm }
    }

    /// Builds the reply to a refused request. If a route was found, the challenges list the credentials that the route accepts.
    pub fn reply(
        &self,
        rejection: &Rejection,
        plan: &ResponsePlan,
        asked: Option<RouteCredentials<'_>>,
        now: Duration,
    ) -> Reply {
        let looks = rejection.kind.appearance();
        let mut headers: Vec<(Arc<str>, Arc<str>)> = Vec::with_capacity(8);
        if let Some(error) = looks.challenge {
            self.challenges(&rejection.kind, error, asked, &mut headers);
        }
        match &rejection.kind {
            RejectionKind::MethodNotAllowed(allow) => headers.push(("allow".into(), allow.clone())),
            RejectionKind::UnsupportedMediaType(accept) if !accept.is_empty() => {
                headers.push(("accept".into(), accept.clone()))
            }
            RejectionKind::UnsupportedCoding => headers.push(("accept-encoding".into(), "identity".into())),
            RejectionKind::RateLimited(seconds) => headers.push(("retry-after".into(), seconds.to_string().into())),
            RejectionKind::AuthUnavailable
            | RejectionKind::LimitUnavailable
            | RejectionKind::ServiceUnavailable
            | RejectionKind::Overloaded => headers.push(("retry-after".into(), "5".into())),
            _ => {}
        }
        let findings = match &rejection.kind {
            RejectionKind::Invalid(findings) | RejectionKind::Unprocessable(findings) => findings,
            _ => [].as_slice(),
        };
        headers.push(("content-type".into(), "application/json".into()));
        headers.push(("cache-control".into(), "no-store".into()));
        plan.add_to_reply(&mut headers);
        Reply {
            status: looks.status,
            headers,
            body: envelope(looks.code, looks.message, &plan.request_id, findings, now).into_bytes().into(),
            grpc: plan.grpc.then_some((looks.grpc, looks.message)),
            details: rejection.reason,
        }
    }

    /// Builds one challenge for each credential kind that the route accepts (RFC 9110 §11.6.1). API keys and certificates have
    /// no registered scheme. A client that does not support the scheme still gets the information that the route accepts other
    /// credentials.
    fn challenges(
        &self,
        kind: &RejectionKind,
        error: &str,
        asked: Option<RouteCredentials<'_>>,
        headers: &mut Vec<(Arc<str>, Arc<str>)>,
    ) {
        let mut add = |text: String| headers.push(("www-authenticate".into(), text.into()));
        let Some(asked) = asked.filter(|asked| !asked.auth.kinds().is_empty()) else {
            return add(self.challenge(kind, error, None));
        };
        for credential in asked.auth.kinds() {
            match credential {
                CredentialKind::Token => add(self.challenge(kind, error, Some(asked.scopes))),
                CredentialKind::ApiKey => add(format!("ApiKey{}", self.realm)),
                CredentialKind::Certificate => add(format!("ClientCertificate{}", self.realm)),
            }
        }
    }

    /// Builds the Bearer challenge (RFC 6750 §3). It has no `error` if the request has no token, and has `scope` if the route
    /// requires scopes.
    fn challenge(&self, kind: &RejectionKind, error: &str, scopes: Option<&str>) -> String {
        let mut challenge = String::with_capacity(128);
        challenge.push_str(&self.bearer);
        let mut separator = if self.bearer.contains(' ') { ", " } else { " " };
        let mut add = |name: &str, value: &str| {
            for part in [separator, name, "=\"", value, "\""] {
                challenge.push_str(part);
            }
            separator = ", ";
        };
        if !error.is_empty() {
            add("error", error);
        }
        if *kind == RejectionKind::ExpiredToken {
            add("error_description", "Token has expired");
        }
        if let Some(scopes) = scopes.filter(|s| !s.is_empty()) {
            add("scope", scopes);
        }
        challenge
    }
}

/// Builds the JSON body of an error. The order of its members is fixed, and `details` is present only if there are findings.
pub fn envelope(code: &str, message: &str, request_id: &str, findings: &[Finding], now: Duration) -> String {
    let mut out = String::with_capacity(192);
    for part in ["{\"error\":{\"code\":\"", code, "\",\"message\":\"", message, "\",\"request_id\":\""] {
        out.push_str(part);
    }
    escape(&mut out, request_id);
    out.push('"');
    for (i, finding) in findings.iter().take(MAX_FINDINGS).enumerate() {
        out.push_str(if i == 0 { ",\"details\":[{\"pointer\":\"" } else { ",{\"pointer\":\"" });
        escape(&mut out, &finding.pointer);
        out.push_str("\",\"message\":\"");
        escape(&mut out, &finding.message);
        out.push_str("\"}");
    }
    if !findings.is_empty() {
        out.push(']');
    }
    out.push_str("},\"metadata\":{\"success\":false,\"timestamp\":\"");
    timestamp(&mut out, now);
    out.push_str("\"}}");
    out
}

/// Writes a time in UTC with whole seconds, in RFC 3339 format.
pub fn timestamp(out: &mut String, since_epoch: Duration) {
    let seconds = since_epoch.as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let Date { year, month, day } = Date::of_day(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    // `format!` would take longer than the rest of the reply, so the digits are written directly.
    for (number, digits, behind) in
        [(year, 4, '-'), (month, 2, '-'), (day, 2, 'T'), (hour, 2, ':'), (minute, 2, ':'), (second, 2, 'Z')]
    {
        let digit = |place| char::from_digit((number / 10_u64.pow(place) % 10) as u32, 10);
        out.extend((0..digits).rev().filter_map(digit));
        out.push(behind);
    }
}

/// The request header that the filter sets when it sends an error reply. With it, Envoy's access log and local reply mappers
/// recognize replies of the gateway without a CEL expression.
pub const REPLIED_HEADER: &str = "x-portcullis-replied";

/// The maximum number of findings in a reply.
const MAX_FINDINGS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn the_envelope_matches_the_source_document_byte_for_byte() {
        let text =
            envelope("UNAUTHORIZED", "Invalid or expired token", "req-abc123", &[], Duration::from_secs(1_709_287_200));
        assert_eq!(
            text,
            "{\"error\":{\"code\":\"UNAUTHORIZED\",\"message\":\"Invalid or expired token\",\"request_id\":\"req-abc123\"},\
             \"metadata\":{\"success\":false,\"timestamp\":\"2024-03-01T10:00:00Z\"}}"
        );
    }

    #[test]
    fn timestamps_handle_leap_years() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            let mut out = String::new();
            timestamp(&mut out, Duration::from_secs(seconds));
            assert_eq!(out, expected);
        }
    }
}
