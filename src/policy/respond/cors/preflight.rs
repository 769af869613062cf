//! Answers preflights: requests that a browser sends first, to check whether a cross-origin request is allowed.

use std::borrow::Cow;
use std::sync::Arc;

use super::{AllowedHeaders, CorsPolicy, Methods, names};
use crate::config::header_name::is_token;
use crate::policy::verdict::plan::HeaderFields;

/// The headers of a CORS-preflight request (Fetch standard, §4.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preflight<'r> {
    /// The value of `Origin`.
    pub origin: &'r [u8],
    /// The value of `Access-Control-Request-Method`.
    pub method: &'r [u8],
    /// The value of `Access-Control-Request-Headers`. Several header lines are joined with commas.
    pub headers: Option<&'r [u8]>,
    /// Whether the request has `Access-Control-Request-Private-Network: true` (Private Network Access §3.1).
    pub private_network: bool,
}

/// The answer of the policy to a preflight, without the headers that every reply has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreflightAnswer {
    /// 204 if the origin is allowed, and otherwise 403. A refused method or header also gets 204, but is missing from the lists.
    /// The browser then shows the author of the page which method or header was refused. For a 403, it shows neither.
    pub status: u16,
    /// All headers of the answer, including `vary`, with lower-case names.
    pub headers: HeaderFields,
    /// The reason for a refusal, as a stable word for the audit record; `None` if the preflight is allowed.
    pub reason: Option<&'static str>,
    /// The refused method or header name; `None` if it is unknown or unsafe to log.
    pub detail: Option<Cow<'static, str>>,
}

impl CorsPolicy {
    /// Answers a preflight for a path whose routes accept `route_methods`. `*` in this list means any method.
    pub fn preflight(&self, request: &Preflight<'_>, route_methods: &[&str]) -> PreflightAnswer {
        let vary = if self.private_network || request.private_network { VARY_PRIVATE_NETWORK } else { VARY };
        let vary = (Arc::from("vary"), Arc::from(vary));
        let Some(origin) = self.allow_origin(request.origin) else {
            let reason = Some("cors_origin_not_allowed");
            return PreflightAnswer { status: 403, headers: vec![vary], reason, detail: None };
        };
        let (reason, detail) = match self.check(request, route_methods) {
            Ok(()) => (None, None),
            Err((reason, detail)) => (Some(reason), detail),
        };
        let mut headers = self.lists(request, route_methods, origin, reason);
        headers.push(vary);
        PreflightAnswer { status: 204, headers, reason, detail }
    }

    /// Checks the method and headers as the browser will (Fetch §4.8 step 7), so that the audit record can contain the refusal.
    fn check(&self, request: &Preflight<'_>, route_methods: &[&str]) -> Result<(), PreflightRefusal> {
        if !self.methods.permit(request.method, route_methods) {
            return Err(("cors_method_not_allowed", shown(request.method)));
        }
        self.headers.permit(request.headers.unwrap_or_default())?;
        if request.private_network && !self.private_network {
            return Err(("cors_private_network_not_allowed", None));
        }
        Ok(())
    }

    /// Builds the CORS headers for this origin. They contain the requested method and headers only if the policy allows them, so
    /// the browser refuses other requests.
    fn lists(
        &self,
        request: &Preflight<'_>,
        route_methods: &[&str],
        origin: Arc<str>,
        reason: Option<&'static str>,
    ) -> HeaderFields {
        let methods = self.methods.text(request.method, route_methods);
        let mut headers: HeaderFields = vec![(Arc::from(names::ALLOW_ORIGIN), origin)];
        if self.credentials {
            headers.push((Arc::from(names::ALLOW_CREDENTIALS), Arc::from("true")));
        }
        if !methods.is_empty() {
            headers.push((Arc::from(names::ALLOW_METHODS), methods));
        } else if reason.is_some() {
            // Without this header, a browser treats the requested method as allowed (Fetch §4.8 step 7.3). The answer therefore
            // contains the header, with only the methods that are always allowed.
            headers.push((Arc::from(names::ALLOW_METHODS), Arc::from(names::SAFELISTED_METHODS.join(", "))));
        }
        // The browser refuses the request if this list lacks a requested header. The list is left out if the policy refuses a
        // header but the browser might find all requested headers in the list. This is possible if `allow_headers` contains `*`,
        // or if the request has more names than the policy checks.
        let list = request.headers.unwrap_or_default();
        let is_plain =
            !self.headers.any && list.len() <= LONGEST_LIST && list.split(|b| *b == b',').count() <= MAX_NAMES;
        if let Some(text) = self.headers.text.as_ref().filter(|_| reason != Some(HEADER_NOT_ALLOWED) || is_plain) {
            headers.push((Arc::from(names::ALLOW_HEADERS), text.clone()));
        }
        if let Some(seconds) = self.max_age.as_ref().filter(|_| reason.is_none()) {
            headers.push((Arc::from(names::MAX_AGE), seconds.clone()));
        }
        if request.private_network && self.private_network {
            headers.push((Arc::from(names::ALLOW_PRIVATE_NETWORK), Arc::from("true")));
        }
        headers
    }
}

impl Methods {
    /// Returns `true` if the method is allowed. Methods are case-sensitive (RFC 9110 §9.1). Like browsers, the policy always
    /// allows safelisted methods.
    fn permit(&self, method: &[u8], route_methods: &[&str]) -> bool {
        let listed = |methods: &[&str]| methods.iter().any(|name| name.as_bytes() == method);
        let safelisted = listed(&names::SAFELISTED_METHODS);
        match self {
            Methods::OfThePath if route_methods.contains(&"*") => echo(method).is_some(),
            Methods::OfThePath => safelisted || listed(route_methods),
            Methods::Any => is_token(method),
            Methods::These(names, _) => safelisted || names.iter().any(|name| name.as_bytes() == method),
        }
    }

    /// Returns the value of `Access-Control-Allow-Methods`.
    fn text(&self, method: &[u8], route_methods: &[&str]) -> Arc<str> {
        match self {
            Methods::OfThePath if route_methods.contains(&"*") => echo(method).unwrap_or_default(),
            Methods::OfThePath => Arc::from(route_methods.join(", ")),
            Methods::Any => Arc::from(if is_token(method) { "*" } else { "" }),
            Methods::These(_, text) => text.clone(),
        }
    }
}

impl AllowedHeaders {
    /// Checks that the policy allows every requested header name in `list`. Names are case-insensitive, and empty elements are
    /// skipped (RFC 9110 §5.6.1.2). Refuses a list that is too long or has too many names, so that the work is bounded.
    fn permit(&self, list: &[u8]) -> Result<(), PreflightRefusal> {
        if list.len() > LONGEST_LIST {
            return Err((HEADER_NOT_ALLOWED, Some(Cow::Borrowed("the list of requested headers is too long"))));
        }
        let requested = list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|name| !name.is_empty());
        for (count, name) in requested.enumerate() {
            if count == MAX_NAMES {
                return Err((HEADER_NOT_ALLOWED, Some(Cow::Borrowed("too many requested headers"))));
            }
            let listed = self.names.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(name));
            if listed {
                continue;
            }
            if !self.any || !is_token(name) {
                return Err((HEADER_NOT_ALLOWED, shown(name)));
            }
            if name.eq_ignore_ascii_case(b"authorization") {
                let detail = "`*` in allow_headers does not cover `authorization`: list it in addition to `*`";
                return Err((HEADER_NOT_ALLOWED, Some(Cow::Borrowed(detail))));
            }
        }
        Ok(())
    }
}

/// The reason of a refusal and its detail. Both are for the audit record.
type PreflightRefusal = (&'static str, Option<Cow<'static, str>>);

/// Returns the method if it is a token, which is safe to send back to the browser.
fn echo(method: &[u8]) -> Option<Arc<str>> {
    std::str::from_utf8(method).ok().filter(|_| is_token(method)).map(Arc::from)
}

/// Returns a method or header name from the client if it is a token and short enough for the audit record.
fn shown(bytes: &[u8]) -> Option<Cow<'static, str>> {
    let text = std::str::from_utf8(bytes).ok()?;
    (is_token(bytes) && bytes.len() <= LONGEST_SHOWN).then(|| Cow::Owned(text.to_owned()))
}

const HEADER_NOT_ALLOWED: &str = "cors_header_not_allowed";
const LONGEST_LIST: usize = 4096;
const LONGEST_SHOWN: usize = 64;
const MAX_NAMES: usize = 64;
const VARY: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
const VARY_PRIVATE_NETWORK: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers, \
                                    Access-Control-Request-Private-Network";
