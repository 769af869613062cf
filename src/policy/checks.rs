//! Validates requests: sizes, query parameters, headers, and the body.
//!
//! The size checks of the request head are cheap and run before authentication. All other checks run after authorization,
//! because their error messages reveal details of the route.

pub mod body;
pub mod media_type;
pub mod meter;
pub mod parameter;

use std::sync::Arc;

use super::request::{Request, SingleValue};
use super::verdict::rejection::{Finding, Rejection, RejectionKind};
use crate::config::document::TokenSource;
use body::BodyCheck;
use media_type::{MediaRange, MediaType};
use meter::BodyMeter;
use parameter::ParameterCheck;

/// The checks of one route. A size limit that is not configured is `u64::MAX`.
#[derive(Debug)]
pub struct Checks {
    /// `true` if the checks are report-only: the filter records failed checks, but refuses no request because of them.
    pub log_only: bool,
    pub(super) url_bytes: u64,
    pub(super) header_bytes: u64,
    pub(super) headers: u64,
    pub(super) content_types: Vec<MediaRange>,
    /// The accepted content types, as the value of the `Accept` header in the reply with status 415.
    pub(super) accept: Arc<str>,
    pub(super) query: Vec<ParameterCheck>,
    pub(super) other_query: bool,
    pub(super) header_values: Vec<ParameterCheck>,
    pub(super) body: Option<Arc<BodyCheck>>,
}

/// How to handle the body of a forwarded request.
#[derive(Debug)]
pub enum BodyPlan {
    /// Do not check the body: the request has no body, or the route has no check for it.
    Pass,
    /// Count the bytes while the body is forwarded.
    Count(BodyMeter),
    /// Hold the request until the whole body has arrived and has passed its check.
    Read {
        /// The check that the body must pass.
        check: Arc<BodyCheck>,
        /// `true` if the content type is JSON and the route has checks for JSON bodies.
        is_json: bool,
    },
}

impl Checks {
    /// Checks the length of the target, the number and size of the headers, and the declared length of the body.
    pub fn measure(&self, request: &Request<'_>) -> Result<(), Rejection> {
        let size = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        if size(request.target.len()) > self.url_bytes {
            return Err(Rejection::new(RejectionKind::UriTooLong, "url_too_long"));
        }
        if self.headers < u64::MAX || self.header_bytes < u64::MAX {
            let own = request.headers.iter().filter(|(name, _)| !name.starts_with(b":"));
            let (count, bytes) = own.fold((0, 0), |(n, b), (name, value)| (n + 1, b + size(name.len() + value.len())));
            if bytes > self.header_bytes {
                return Err(Rejection::new(RejectionKind::HeadersTooLarge, "headers_too_large"));
            }
            if count > self.headers {
                return Err(Rejection::new(RejectionKind::HeadersTooLarge, "too_many_headers"));
            }
        }
        match &self.body {
            // A body whose declared length is too large is refused before it arrives (RFC 9110 §15.5.14).
            Some(body) if Framing::of(request).length.is_some_and(|length| length > body.most_bytes) => {
                Err(body::too_large())
            }
            _ => Ok(()),
        }
    }

    /// Checks the query parameters, the header values, and the headers that describe the body.
    pub fn examine(&self, request: &Request<'_>, query: &str, tokens: &[TokenSource]) -> Result<(), Rejection> {
        let mut findings = Vec::new();
        parameter::check_query(&self.query, self.other_query, query, tokens, &mut findings);
        parameter::check_headers(&self.header_values, request.headers, &mut findings);
        if !findings.is_empty() {
            return Err(Rejection::invalid("parameters_invalid", findings));
        }
        let framing = Framing::of(request);
        if framing.upgrade && framing.names_a_body && self.looks_at_bodies() {
            // Some servers treat the bytes after the headers of an upgrade request as a body, and others treat them as tunnel
            // data.
            return Err(Rejection::new(RejectionKind::BadRequest, "upgrade_with_body"));
        }
        if !framing.may_have_body {
            return match &self.body {
                Some(body) if body.is_required() => {
                    Err(Rejection::invalid("body_missing", vec![Finding::new("/body", "is missing")]))
                }
                _ => Ok(()),
            };
        }
        self.check_media_type(request)
    }

    /// Returns the plan for the body of this request.
    pub fn body(&self, request: &Request<'_>) -> BodyPlan {
        let Some(body) = self.body.as_ref().filter(|_| Framing::of(request).may_have_body) else {
            return BodyPlan::Pass;
        };
        let is_json = body.json.is_some() && MediaType::of(request).is_some_and(|media| media.is_json());
        // A body can be forwarded while it arrives if the request declares its length: `measure` has already checked the declared
        // length, and Envoy enforces that the body has this length. A gRPC request is also forwarded while it arrives, because a
        // stream may never end.
        let can_pass = request.grpc || Framing::of(request).length.is_some();
        if self.log_only {
            BodyPlan::Count(BodyMeter::listening(body.clone(), is_json))
        } else if is_json || !can_pass {
            BodyPlan::Read { check: body.clone(), is_json }
        } else {
            BodyPlan::Count(BodyMeter::new(body.clone()))
        }
    }

    /// Returns the maximum size of a held body; `None` if the route holds no bodies.
    pub fn holds(&self) -> Option<u64> {
        self.body.as_ref().filter(|_| !self.log_only).map(|body| body.most_bytes)
    }

    fn looks_at_bodies(&self) -> bool {
        self.body.is_some() || !self.content_types.is_empty()
    }

    fn check_media_type(&self, request: &Request<'_>) -> Result<(), Rejection> {
        let media = MediaType::of(request);
        let not_accepted =
            || Rejection::new(RejectionKind::UnsupportedMediaType(self.accept.clone()), "content_type_not_accepted");
        if !self.content_types.is_empty() {
            let accepted =
                media.as_ref().is_some_and(|media| self.content_types.iter().any(|range| range.takes(media)));
            if !accepted {
                return Err(not_accepted());
            }
        }
        let is_read = self.body.as_ref().is_some_and(|body| body.json.is_some());
        match media.filter(|media| is_read && media.is_json()) {
            // RFC 8259 §8.1 allows only UTF-8. With another charset, the upstream might parse the body differently from the
            // filter.
            Some(media) if !media.is_utf8() => Err(not_accepted()),
            Some(_) if is_encoded(request) => {
                Err(Rejection::new(RejectionKind::UnsupportedCoding, "content_coding_not_accepted"))
            }
            _ => Ok(()),
        }
    }
}

/// The properties of the body that the headers declare (RFC 9112 §6.3; HTTP/2 has no transfer codings).
struct Framing {
    length: Option<u64>,
    names_a_body: bool,
    may_have_body: bool,
    upgrade: bool,
}

impl Framing {
    fn of(request: &Request<'_>) -> Framing {
        let (mut said, mut coded, mut upgrade) = (SingleValue::Absent, false, false);
        for (name, value) in request.headers {
            match *name {
                b"content-length" => said.add(value),
                b"transfer-encoding" => coded = true,
                // Envoy keeps `upgrade` only for an upgrade request (envoy-facts §2.11, §2.12).
                b"upgrade" => upgrade = true,
                _ => {}
            }
        }
        let length = said.value().and_then(read_length);
        // A request with a repeated or invalid `content-length` counts as a request with a body.
        let names_a_body = coded || said != SingleValue::Absent && length != Some(0);
        let may_have_body = !request.ended && length != Some(0) && (names_a_body || !upgrade);
        Framing { length, names_a_body, may_have_body, upgrade }
    }
}

/// Parses a `content-length`, which consists only of digits (RFC 9110 §8.6). The digits are checked first, because `str::parse`
/// would also accept `+5`.
fn read_length(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok().filter(|_| value.iter().all(u8::is_ascii_digit))?.parse().ok()
}

fn is_encoded(request: &Request<'_>) -> bool {
    let codings = request.headers.iter().filter(|(name, _)| *name == b"content-encoding");
    codings.into_iter().any(|(_, value)| !value.eq_ignore_ascii_case(b"identity"))
}
