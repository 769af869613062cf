//! All refusals, and the table of their client-visible form: status, code, challenge, gRPC status, message.

use std::borrow::Cow;
use std::sync::Arc;

/// The refusal of a request. `kind` determines the reply to the client; `reason` is only for the audit record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The class of the refusal, which determines the reply to the client.
    pub kind: RejectionKind,
    /// The precise reason as a stable word, such as `token_not_yet_valid`.
    pub reason: &'static str,
    /// Further information for readers of the audit record. It never contains a secret, a token, or the value of a claim other
    /// than the client id.
    pub detail: Option<Cow<'static, str>>,
}

/// The client-visible classes of refusals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RejectionKind {
    /// The request is malformed, for example its path is ambiguous or a header is invalid.
    BadRequest,
    /// The request has more than one token, or a malformed token (RFC 6750 §3.1 `invalid_request`).
    InvalidTokenRequest,
    /// The route accepts only tokens, and the request has no credential.
    MissingToken,
    /// The token is invalid for a reason other than its expiry.
    InvalidToken,
    /// The request lacks a credential, and the route accepts or requires credentials other than tokens.
    MissingCredential,
    /// The API key or the certificate is invalid.
    InvalidCredential,
    /// The token has a valid signature but is expired.
    ExpiredToken,
    /// The caller is authenticated but not allowed.
    Forbidden,
    /// The caller lacks scopes that the route requires. Contains all scopes that the route names, separated by spaces.
    InsufficientScope(Arc<str>),
    /// The caller lacks a permission that the route requires.
    PermissionDenied,
    /// Like `PermissionDenied`, but the document sets `permission_denied_status: 401`.
    PermissionDeniedAsUnauthorized,
    /// No route matches the host and path.
    NotFound,
    /// No route of the path accepts the method. Contains the accepted methods for `Allow`.
    MethodNotAllowed(Arc<str>),
    /// A key set, client document or revocation list that the decision needs is unavailable.
    AuthUnavailable,
    /// A limit refuses the request. Contains the seconds until the next request is allowed.
    RateLimited(u32),
    /// A limit cannot count the request, and the request must not pass uncounted.
    LimitUnavailable,
    /// The body is larger than the route allows, or larger than Envoy can buffer.
    PayloadTooLarge,
    /// The target is longer than the route allows.
    UriTooLong,
    /// The route does not accept the content type. Contains the accepted types for `Accept`.
    UnsupportedMediaType(Arc<str>),
    /// The body has a content coding that the filter cannot decode.
    UnsupportedCoding,
    /// Parameters are invalid, or a required body is missing or cannot be parsed. Contains the findings.
    Invalid(Arc<[Finding]>),
    /// The body can be parsed but is invalid. Contains the findings.
    Unprocessable(Arc<[Finding]>),
    /// The client uses an HTTP version that Envoy does not support.
    UpgradeRequired,
    /// The request headers are larger than Envoy or the route allows.
    HeadersTooLarge,
    /// The upstream sent an invalid response or closed the connection.
    BadGateway,
    /// No upstream is available.
    ServiceUnavailable,
    /// The gateway cannot hold a body, because the bodies that this worker holds have reached their bound.
    Overloaded,
    /// The upstream timed out.
    GatewayTimeout,
    /// The client was too slow to send its request.
    RequestTimeout,
    /// The gateway has an internal fault, such as a body that it cannot read.
    Internal,
    /// The request has a transfer coding that Envoy does not support.
    NotImplemented,
}

/// A fault in a request, for the reply to the client. It contains no values of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The location of the fault, as a JSON Pointer (RFC 6901) that starts with `query`, `headers` or `body`.
    pub pointer: String,
    /// The fault or the requirement, as a phrase that follows the location: `must be JSON`.
    pub message: Cow<'static, str>,
}

impl Finding {
    /// Creates a finding about the part of the request at `pointer`.
    pub fn new(pointer: &str, message: impl Into<Cow<'static, str>>) -> Finding {
        Finding { pointer: pointer.to_string(), message: message.into() }
    }
}

/// The part of a refusal that the client sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientView {
    /// The HTTP status of the reply.
    pub status: u16,
    /// The stable `error.code` of the error body.
    pub code: &'static str,
    /// The `error.message` of the error body.
    pub message: &'static str,
    /// The gRPC status code (grpc/status.proto) for gRPC clients.
    pub grpc: u8,
    /// The `error` parameter of the Bearer challenge (RFC 6750 §3.1). `Some("")` means a challenge without `error`; `None` means
    /// no challenge.
    pub challenge: Option<&'static str>,
}

impl Rejection {
    /// Creates a refusal without a detail.
    pub fn new(kind: RejectionKind, reason: &'static str) -> Rejection {
        Rejection { kind, reason, detail: None }
    }

    /// Creates a refusal for invalid parameters or for a body that cannot be parsed. The first finding becomes the detail.
    pub fn invalid(reason: &'static str, findings: Vec<Finding>) -> Rejection {
        let detail = detail(&findings);
        Rejection { kind: RejectionKind::Invalid(findings.into()), reason, detail }
    }

    /// Creates a refusal for a body that can be parsed but is invalid. The first finding becomes the detail.
    pub fn unprocessable(reason: &'static str, findings: Vec<Finding>) -> Rejection {
        let detail = detail(&findings);
        Rejection { kind: RejectionKind::Unprocessable(findings.into()), reason, detail }
    }

    /// Adds a detail for the audit record.
    pub fn with(self, detail: impl Into<Cow<'static, str>>) -> Rejection {
        Rejection { detail: Some(detail.into()), ..self }
    }
}

impl RejectionKind {
    /// Returns the part of the refusal that the client sees. Codes are stable.
    pub fn appearance(&self) -> ClientView {
        let row = |status, code, message, grpc, challenge| ClientView { status, code, message, grpc, challenge };
        match self {
            RejectionKind::MissingToken => row(401, "UNAUTHORIZED", "Missing or invalid token", 16, Some("")),
            RejectionKind::InvalidToken => {
                row(401, "UNAUTHORIZED", "Missing or invalid token", 16, Some("invalid_token"))
            }
            RejectionKind::MissingCredential | RejectionKind::InvalidCredential => {
                row(401, "UNAUTHORIZED", "Missing or invalid credentials", 16, Some(""))
            }
            RejectionKind::ExpiredToken => row(401, "EXPIRED_TOKEN", "Token has expired", 16, Some("invalid_token")),
            RejectionKind::Forbidden => row(403, "FORBIDDEN", "Access denied", 7, None),
            RejectionKind::InsufficientScope(_) => {
                row(403, "INSUFFICIENT_SCOPE", "Token lacks required scope", 7, Some("insufficient_scope"))
            }
            RejectionKind::PermissionDenied => row(403, "PERMISSION_DENIED", "Permission denied", 7, None),
            RejectionKind::PermissionDeniedAsUnauthorized => {
                row(401, "PERMISSION_DENIED", "Permission denied", 7, Some("insufficient_scope"))
            }
            RejectionKind::RateLimited(_) => row(429, "RATE_LIMITED", "Too many requests", 8, None),
            RejectionKind::ServiceUnavailable => row(503, "SERVICE_UNAVAILABLE", "Backend service down", 14, None),
            RejectionKind::Overloaded => row(503, "SERVICE_UNAVAILABLE", "The gateway is busy", 14, None),
            RejectionKind::BadRequest => row(400, "BAD_REQUEST", "The request is malformed", 3, None),
            RejectionKind::InvalidTokenRequest => {
                row(400, "BAD_REQUEST", "The request is malformed", 3, Some("invalid_request"))
            }
            RejectionKind::NotFound => row(404, "NOT_FOUND", "No such resource", 5, None),
            RejectionKind::MethodNotAllowed(_) => row(405, "METHOD_NOT_ALLOWED", "Method not allowed", 12, None),
            RejectionKind::RequestTimeout => {
                row(408, "REQUEST_TIMEOUT", "The request took too long to arrive", 4, None)
            }
            RejectionKind::PayloadTooLarge => row(413, "PAYLOAD_TOO_LARGE", "The request body is too large", 8, None),
            RejectionKind::UriTooLong => row(414, "URI_TOO_LONG", "The request target is too long", 3, None),
            RejectionKind::UnsupportedMediaType(_) | RejectionKind::UnsupportedCoding => {
                row(415, "UNSUPPORTED_MEDIA_TYPE", "The request body has a type that is not accepted", 3, None)
            }
            RejectionKind::Invalid(_) => row(400, "VALIDATION_FAILED", "The request is not valid", 3, None),
            RejectionKind::Unprocessable(_) => row(422, "VALIDATION_FAILED", "The request is not valid", 3, None),
            RejectionKind::UpgradeRequired => row(426, "UPGRADE_REQUIRED", "HTTP/1.1 or newer is required", 3, None),
            RejectionKind::HeadersTooLarge => {
                row(431, "HEADERS_TOO_LARGE", "The request headers are too large", 8, None)
            }
            RejectionKind::Internal => row(500, "INTERNAL_ERROR", "The gateway could not handle the request", 13, None),
            RejectionKind::NotImplemented => {
                row(501, "NOT_IMPLEMENTED", "The request uses a transfer coding that is not supported", 12, None)
            }
            RejectionKind::BadGateway => row(502, "BAD_GATEWAY", "The backend service gave no usable answer", 14, None),
            RejectionKind::AuthUnavailable => {
                row(503, "AUTH_UNAVAILABLE", "Authentication is temporarily unavailable", 14, None)
            }
            RejectionKind::LimitUnavailable => {
                row(503, "LIMIT_UNAVAILABLE", "Request limits are temporarily unavailable", 14, None)
            }
            RejectionKind::GatewayTimeout => row(504, "GATEWAY_TIMEOUT", "The backend service took too long", 4, None),
        }
    }
}

fn detail(findings: &[Finding]) -> Option<Cow<'static, str>> {
    findings.first().map(|first| format!("{} {}", first.pointer, first.message).into())
}
