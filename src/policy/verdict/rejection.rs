//! Every refusal, and the one table that says what a client learns of it: status, code, challenge, gRPC status, text.

use std::borrow::Cow;
use std::rc::Rc;

/// Why a request goes no further. `kind` is for the client; `reason` is for the audit record only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The class of refusal, which decides everything the client sees.
    pub kind: Kind,
    /// The precise reason in one stable word, as `token_not_yet_valid`.
    pub reason: &'static str,
    /// What else helps whoever reads the audit record; never a secret, a token or a claim's value.
    pub detail: Option<Cow<'static, str>>,
}

/// What a client may learn about a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request's form is wrong: ambiguous path, bad header.
    BadRequest,
    /// More than one way of presenting a token, or a malformed one (RFC 6750 §3.1 `invalid_request`).
    InvalidTokenRequest,
    /// No credential where one is needed.
    MissingToken,
    /// A credential that does not hold.
    InvalidToken,
    /// No credential where one is needed, and a token is not the only kind that would do.
    MissingCredential,
    /// An API key or a certificate that does not hold.
    InvalidCredential,
    /// A token whose signature holds and whose time is over.
    ExpiredToken,
    /// Known caller, not allowed.
    Forbidden,
    /// Known caller without a scope the route asks for; the scopes in question.
    InsufficientScope(Rc<str>),
    /// Known caller without a permission the route asks for.
    PermissionDenied,
    /// The same, where the document wants such callers to be refused like strangers.
    PermissionDeniedAsUnauthorized,
    /// No route has this host and path.
    NotFound,
    /// The path exists, not for this method; the methods it has, for `Allow`.
    MethodNotAllowed(Rc<str>),
    /// Keys that are needed to decide are not to be had.
    AuthUnavailable,
    /// Too many requests; seconds until one more is welcome.
    RateLimited(u32),
    /// A limit cannot be counted, and nothing passes uncounted.
    LimitUnavailable,
    /// The request's body is larger than the route takes or the proxy buffers.
    PayloadTooLarge,
    /// The request's target is longer than the route takes.
    UriTooLong,
    /// A body of a type that the route does not take; those it takes, for `Accept`.
    UnsupportedMediaType(Rc<str>),
    /// A body in a coding that cannot be looked into.
    UnsupportedCoding,
    /// Parameters or a body that cannot be read, or are not what they must be; where, and what they must be.
    Invalid(Rc<[Finding]>),
    /// A body that can be read and is not what it must be; where, and what it must be.
    Unprocessable(Rc<[Finding]>),
    /// A version of HTTP that the proxy does not speak.
    UpgradeRequired,
    /// Request headers are larger than the proxy or the route takes.
    HeadersTooLarge,
    /// The upstream answered nonsense or broke the connection.
    BadGateway,
    /// No upstream answers.
    ServiceUnavailable,
    /// The gateway has more under way than it may.
    Overloaded,
    /// The upstream took too long.
    GatewayTimeout,
    /// The client took too long to send its request.
    RequestTimeout,
    /// A fault of the gateway's own.
    Internal,
    /// A transfer coding that the proxy does not know.
    NotImplemented,
}

/// One thing that is wrong with a request, told to its client without repeating anything of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where, as a JSON Pointer (RFC 6901) into `query`, `headers` and `body`.
    pub pointer: String,
    /// What must be there.
    pub message: Cow<'static, str>,
}

impl Finding {
    /// A finding.
    pub fn new(pointer: &str, message: impl Into<Cow<'static, str>>) -> Finding {
        Finding { pointer: pointer.to_string(), message: message.into() }
    }
}

/// One row of the table: what a kind of refusal looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appearance {
    /// HTTP status.
    pub status: u16,
    /// The envelope's stable `error.code`.
    pub code: &'static str,
    /// The envelope's `error.message`.
    pub message: &'static str,
    /// gRPC status code (grpc/status.proto), for clients that speak gRPC.
    pub grpc: u8,
    /// The `error` parameter of the Bearer challenge (RFC 6750 §3.1); `Some("")` is a challenge without one.
    pub challenge: Option<&'static str>,
}

impl Rejection {
    /// A refusal with its precise reason.
    pub fn new(kind: Kind, reason: &'static str) -> Rejection {
        Rejection { kind, reason, detail: None }
    }

    /// A request whose parameters or body cannot be read or are not what they must be. The first finding is the detail.
    pub fn invalid(reason: &'static str, findings: Vec<Finding>) -> Rejection {
        let detail = detail(&findings);
        Rejection { kind: Kind::Invalid(findings.into()), reason, detail }
    }

    /// A request whose body can be read and is not what it must be. The first finding is the detail.
    pub fn unprocessable(reason: &'static str, findings: Vec<Finding>) -> Rejection {
        let detail = detail(&findings);
        Rejection { kind: Kind::Unprocessable(findings.into()), reason, detail }
    }

    /// The same with a detail for the audit record.
    pub fn with(self, detail: impl Into<Cow<'static, str>>) -> Rejection {
        Rejection { detail: Some(detail.into()), ..self }
    }
}

impl Kind {
    /// The one table that speaks to the client. Codes of seeds/003 first, then those added in its style (R130).
    pub fn appearance(&self) -> Appearance {
        let row = |status, code, message, grpc, challenge| Appearance { status, code, message, grpc, challenge };
        match self {
            Kind::MissingToken => row(401, "UNAUTHORIZED", "Missing or invalid token", 16, Some("")),
            Kind::InvalidToken => row(401, "UNAUTHORIZED", "Missing or invalid token", 16, Some("invalid_token")),
            Kind::MissingCredential | Kind::InvalidCredential => {
                row(401, "UNAUTHORIZED", "Missing or invalid credentials", 16, Some(""))
            }
            Kind::ExpiredToken => row(401, "EXPIRED_TOKEN", "Token has expired", 16, Some("invalid_token")),
            Kind::Forbidden => row(403, "FORBIDDEN", "Access denied", 7, None),
            Kind::InsufficientScope(_) => {
                row(403, "INSUFFICIENT_SCOPE", "Token lacks required scope", 7, Some("insufficient_scope"))
            }
            Kind::PermissionDenied => row(403, "PERMISSION_DENIED", "Permission denied", 7, None),
            Kind::PermissionDeniedAsUnauthorized => {
                row(401, "PERMISSION_DENIED", "Permission denied", 7, Some("insufficient_scope"))
            }
            Kind::RateLimited(_) => row(429, "RATE_LIMITED", "Too many requests", 8, None),
            Kind::ServiceUnavailable => row(503, "SERVICE_UNAVAILABLE", "Backend service down", 14, None),
            Kind::Overloaded => row(503, "SERVICE_UNAVAILABLE", "The gateway is busy", 14, None),
            Kind::BadRequest => row(400, "BAD_REQUEST", "The request is malformed", 3, None),
            Kind::InvalidTokenRequest => {
                row(400, "BAD_REQUEST", "The request is malformed", 3, Some("invalid_request"))
            }
            Kind::NotFound => row(404, "NOT_FOUND", "No such resource", 5, None),
            Kind::MethodNotAllowed(_) => row(405, "METHOD_NOT_ALLOWED", "Method not allowed", 12, None),
            Kind::RequestTimeout => row(408, "REQUEST_TIMEOUT", "The request took too long to arrive", 4, None),
            Kind::PayloadTooLarge => row(413, "PAYLOAD_TOO_LARGE", "The request body is too large", 8, None),
            Kind::UriTooLong => row(414, "URI_TOO_LONG", "The request target is too long", 3, None),
            Kind::UnsupportedMediaType(_) | Kind::UnsupportedCoding => {
                row(415, "UNSUPPORTED_MEDIA_TYPE", "The request body has a type that is not accepted", 3, None)
            }
            Kind::Invalid(_) => row(400, "VALIDATION_FAILED", "The request is not valid", 3, None),
            Kind::Unprocessable(_) => row(422, "VALIDATION_FAILED", "The request is not valid", 3, None),
            Kind::UpgradeRequired => row(426, "UPGRADE_REQUIRED", "HTTP/1.1 or newer is required", 3, None),
            Kind::HeadersTooLarge => row(431, "HEADERS_TOO_LARGE", "The request headers are too large", 8, None),
            Kind::Internal => row(500, "INTERNAL_ERROR", "The gateway could not handle the request", 13, None),
            Kind::NotImplemented => {
                row(501, "NOT_IMPLEMENTED", "The request uses a transfer coding that is not supported", 12, None)
            }
            Kind::BadGateway => row(502, "BAD_GATEWAY", "The backend service gave no usable answer", 14, None),
            Kind::AuthUnavailable => {
                row(503, "AUTH_UNAVAILABLE", "Authentication is temporarily unavailable", 14, None)
            }
            Kind::LimitUnavailable => {
                row(503, "LIMIT_UNAVAILABLE", "Request limits are temporarily unavailable", 14, None)
            }
            Kind::GatewayTimeout => row(504, "GATEWAY_TIMEOUT", "The backend service took too long", 4, None),
        }
    }
}

fn detail(findings: &[Finding]) -> Option<Cow<'static, str>> {
    findings.first().map(|first| format!("{} {}", first.pointer, first.message).into())
}
