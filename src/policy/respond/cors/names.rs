//! The header and method names that the Fetch standard treats specially for CORS.

pub(super) const ALLOW_CREDENTIALS: &str = "access-control-allow-credentials";
pub(super) const ALLOW_HEADERS: &str = "access-control-allow-headers";
pub(super) const ALLOW_METHODS: &str = "access-control-allow-methods";
pub(super) const ALLOW_ORIGIN: &str = "access-control-allow-origin";
pub(super) const ALLOW_PRIVATE_NETWORK: &str = "access-control-allow-private-network";
pub(super) const EXPOSE_HEADERS: &str = "access-control-expose-headers";
pub(super) const MAX_AGE: &str = "access-control-max-age";

/// The response headers of the CORS protocol (Fetch §3.2.3) and of Private Network Access.
pub(super) const RESPONSE_HEADERS: [&str; 7] =
    [ALLOW_CREDENTIALS, ALLOW_HEADERS, ALLOW_METHODS, ALLOW_ORIGIN, ALLOW_PRIVATE_NETWORK, EXPOSE_HEADERS, MAX_AGE];

/// Methods that are always allowed (Fetch §2.2.1, "CORS-safelisted method").
pub(super) const SAFELISTED_METHODS: [&str; 3] = ["GET", "HEAD", "POST"];

/// Methods that no script can use (Fetch §2.2.1, "forbidden method").
pub(super) const FORBIDDEN_METHODS: [&str; 3] = ["CONNECT", "TRACE", "TRACK"];

/// Standard methods. The compiler reports them if they are written in lower case, because methods are case-sensitive and
/// browsers convert only some of them to upper case.
pub(super) const USUAL_METHODS: [&str; 7] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

/// Response headers that no script can read (Fetch §2.2.2, "forbidden response-header name").
pub(super) const FORBIDDEN_RESPONSE_HEADERS: [&str; 2] = ["set-cookie", "set-cookie2"];

/// Returns `true` if no script can set this request header (Fetch §2.2.2, "forbidden request-header"). Pass the name in lower
/// case.
pub(super) fn is_forbidden_request_header(name: &str) -> bool {
    FORBIDDEN_REQUEST_HEADERS.contains(&name) || name.starts_with("proxy-") || name.starts_with("sec-")
}

const FORBIDDEN_REQUEST_HEADERS: [&str; 22] = [
    "accept-charset",
    "accept-encoding",
    "access-control-request-headers",
    "access-control-request-method",
    "access-control-request-private-network",
    "connection",
    "content-length",
    "cookie",
    "cookie2",
    "date",
    "dnt",
    "expect",
    "host",
    "keep-alive",
    "origin",
    "referer",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];
