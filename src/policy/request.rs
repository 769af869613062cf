//! A request as the policy reads it: all its headers, and fields for the headers that decisions use.

pub mod guard;
pub mod origin;
pub(super) mod overrides;
pub mod peer;
pub mod route;
pub(super) mod routing;

use std::time::Duration;

use super::verdict::rejection::{Rejection, RejectionKind};

/// The unparsed request that the host passes to the policy.
#[derive(Clone, Copy, Debug)]
pub struct RequestParts<'r> {
    /// All headers in order, with lower-case names, including pseudo-headers (`:method`, `:path`, `:authority`).
    pub headers: &'r [(&'r [u8], &'r [u8])],
    /// The time when the request was received, since the Unix epoch. It stays the same when the request is decided again after a
    /// wait.
    pub received_at: Duration,
    /// Whether the request has neither a body nor trailers.
    pub ended: bool,
}

/// The headers that decisions use. [`Request::read`] finds them in one pass over all headers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'r> {
    /// The value of `:method`.
    pub method: &'r str,
    /// The value of `:path`, as sent by the client.
    pub target: &'r [u8],
    /// The value of `:authority`, as sent by the client.
    pub authority: &'r [u8],
    /// The value of `authorization`, which contains the scheme and the credential.
    pub authorization: SingleValue<'r>,
    /// The value of `origin`, for CORS and the check of cross-origin requests.
    pub origin: SingleValue<'r>,
    /// The value of `access-control-request-method`, for CORS preflights.
    pub requested_method: SingleValue<'r>,
    /// The value of `access-control-request-headers`, for CORS preflights.
    pub requested_headers: SingleValue<'r>,
    /// Whether the request has `access-control-request-private-network: true`.
    pub private_network: bool,
    /// Whether the content type is `application/grpc`, with or without a suffix (envoy-facts §2.5).
    pub grpc: bool,
    /// The value of `x-request-id`, as sent by the client.
    pub request_id: SingleValue<'r>,
    /// The name of the first header whose value begins or ends with a byte that servers trim, such as a space.
    pub padded: Option<&'r [u8]>,
    /// Whether the name of a header has a character outside ASCII.
    pub has_malformed_name: bool,
    /// The value of `connection`. Envoy keeps it only for an upgrade, together with the `upgrade` header (envoy-facts §2.11,
    /// §2.12).
    pub connection: SingleValue<'r>,
    /// Whether the request has the header `upgrade`.
    pub upgrade: bool,
    /// Whether the request has neither a body nor trailers.
    pub ended: bool,
    /// All headers, in order.
    pub headers: &'r [(&'r [u8], &'r [u8])],
}

/// The value of a header that a request should contain only once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SingleValue<'r> {
    /// The header is absent.
    #[default]
    Absent,
    /// The header occurs once, with this value.
    Value(&'r [u8]),
    /// The header occurs more than once. Servers disagree about which value to use (CVE-2020-25017).
    Repeated,
}

impl<'r> Request<'r> {
    /// Extracts the headers. Refuses a request without a method or path, such as a plain CONNECT (envoy-facts §2.12).
    pub fn read(parts: &RequestParts<'r>) -> Result<Request<'r>, Rejection> {
        let mut request = Request { headers: parts.headers, ended: parts.ended, ..Request::default() };
        let mut method: &[u8] = b"";
        let mut content_type = SingleValue::Absent;
        for &(name, value) in parts.headers {
            // Servers parse pseudo-headers strictly, so this check does not include them.
            if is_padded(value) && !name.starts_with(b":") {
                request.padded = request.padded.or(Some(name));
            }
            request.has_malformed_name |= !name.is_ascii();
            match name {
                b":method" => method = value,
                b":path" => request.target = value,
                b":authority" => request.authority = value,
                b"authorization" => request.authorization.add(value),
                b"origin" => request.origin.add(value),
                b"access-control-request-method" => request.requested_method.add(value),
                b"access-control-request-headers" => request.requested_headers.add(value),
                b"access-control-request-private-network" => request.private_network |= value == b"true",
                b"content-type" => content_type.add(value),
                b"x-request-id" => request.request_id.add(value),
                b"connection" => request.connection.add(value),
                b"upgrade" => request.upgrade = true,
                _ => {}
            }
        }
        request.grpc = content_type.value().is_some_and(is_grpc);
        request.method = std::str::from_utf8(method).unwrap_or_default();
        if request.method.is_empty() || request.target.is_empty() {
            return Err(Rejection::new(RejectionKind::BadRequest, "no_method_or_path"));
        }
        Ok(request)
    }

    /// Refuses header names that are not ASCII. A header edit stores a name as a string, so it cannot remove a header whose name
    /// is not valid UTF-8. Envoy refuses such names too (RFC 9110 §5.1).
    ///
    /// Refuses values with leading or trailing whitespace that Envoy does not trim. An HTTP/1 upstream trims it, and would then
    /// use a value that the gateway has not checked. Envoy trims only the values of HTTP/1 requests, although RFC 9113 §8.2.1
    /// treats such values in HTTP/2 as malformed.
    pub fn check_headers(&self) -> Result<(), Rejection> {
        if self.has_malformed_name {
            return Err(Rejection::new(RejectionKind::BadRequest, "header_name_malformed"));
        }
        let Some(name) = self.padded else { return Ok(()) };
        let rejection = Rejection::new(RejectionKind::BadRequest, "header_value_padded");
        let name = std::str::from_utf8(name).ok().filter(|name| name.len() <= MAX_SHOWN_BYTES);
        Err(name.map_or(rejection.clone(), |name| rejection.with(format!("header {name}"))))
    }

    /// Returns the values of `Origin` and `Access-Control-Request-Method` if the request is a CORS preflight (Fetch §3.2.2): an
    /// OPTIONS request that has both headers. Returns `None` for other requests.
    pub fn preflight(&self) -> Option<(&'r [u8], &'r [u8])> {
        match (self.method, self.origin, self.requested_method) {
            ("OPTIONS", SingleValue::Value(origin), SingleValue::Value(method)) => Some((origin, method)),
            _ => None,
        }
    }

    /// Returns the client's request id if it is well formed. A malformed id could forge log lines or confuse tracing systems.
    pub fn usable_request_id(&self) -> Option<&'r str> {
        let SingleValue::Value(id) = self.request_id else { return None };
        well_formed_id(id)
    }
}

/// Returns the id if it has 1 to 128 characters, which are letters, digits, `-`, `_` and `.`.
pub fn well_formed_id(id: &[u8]) -> Option<&str> {
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let accepted = !id.is_empty() && id.len() <= MAX_ID_BYTES && id.iter().all(is_plain);
    std::str::from_utf8(id).ok().filter(|_| accepted)
}

impl<'r> SingleValue<'r> {
    pub(super) fn add(&mut self, value: &'r [u8]) {
        *self = if *self == SingleValue::Absent { SingleValue::Value(value) } else { SingleValue::Repeated };
    }

    /// Returns the value if the header occurs exactly once.
    pub fn value(self) -> Option<&'r [u8]> {
        match self {
            SingleValue::Value(value) => Some(value),
            SingleValue::Absent | SingleValue::Repeated => None,
        }
    }
}

/// Returns `true` if this `content-type` is that of gRPC, which does not include gRPC-Web (envoy-facts §2.5).
pub fn is_grpc(content_type: &[u8]) -> bool {
    content_type
        .strip_prefix(b"application/grpc")
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

/// Returns `true` if a value begins or ends with a space, a tab or another control character. In a value that is not UTF-8, the
/// Latin-1 bytes 0x85 and 0xa0 count too, because servers that read headers as Latin-1 trim these bytes.
fn is_padded(value: &[u8]) -> bool {
    let (Some(first), Some(last)) = (value.first(), value.last()) else { return false };
    let is_control = |byte: &u8| *byte <= b' ' || *byte == 0x7f;
    let is_latin = |byte: &u8| matches!(byte, 0x85 | 0xa0);
    is_control(first) || is_control(last) || (is_latin(first) || is_latin(last)) && std::str::from_utf8(value).is_err()
}

const MAX_ID_BYTES: usize = 128;
/// The maximum length of a header name in the audit record. Longer names are omitted.
const MAX_SHOWN_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn values_that_servers_trim_are_padded() {
        let padded: [&[u8]; 13] = [
            b" a",
            b"a ",
            b"\ta",
            b"a\t",
            b" ",
            b"\t",
            b"\x0ba",
            b"a\x0c",
            b"\x1fa",
            b"a\x00",
            b"\xa0a",
            b"a\x85",
            b"a\xc3\xa0\xa0",
        ];
        for value in padded {
            assert!(is_padded(value), "{:?}", value.escape_ascii().to_string());
        }
        let plain: [&[u8]; 7] = [b"", b"a", b"a b\tc", b"voil\xc3\xa0", b"\xc3\x85", b"caf\xe9", b"\xff"];
        for value in plain {
            assert!(!is_padded(value), "{:?}", value.escape_ascii().to_string());
        }
    }

    #[test]
    fn a_repeated_content_type_is_not_grpc() {
        let read = |types: &[&str]| {
            let start = [(":method", "POST"), (":path", "/")].into_iter();
            let headers: Vec<_> = start.chain(types.iter().map(|value| ("content-type", *value))).collect();
            let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
            let parts = RequestParts { headers: &headers, received_at: Duration::ZERO, ended: false };
            Request::read(&parts).unwrap().grpc
        };
        assert!(read(&["application/grpc"]));
        assert!(!read(&["application/json", "application/grpc"]));
        assert!(!read(&["application/grpc", "application/grpc"]));
    }

    #[test]
    fn a_header_name_is_ascii() {
        let refused = |name: &[u8]| {
            let headers: [(&[u8], &[u8]); 3] = [(b":method", b"GET"), (b":path", b"/"), (name, b"x")];
            let parts = RequestParts { headers: &headers, received_at: Duration::ZERO, ended: true };
            Request::read(&parts).unwrap().check_headers().err().map(|rejection| rejection.reason)
        };
        assert_eq!(refused(b"x-org-id"), None);
        assert_eq!(refused(b"x\xc7org-id"), Some("header_name_malformed"));
        assert_eq!(refused("x-\u{fffd}".as_bytes()), Some("header_name_malformed"));
    }

    #[test]
    fn a_preflight_is_an_options_request_with_an_origin_and_a_requested_method() {
        let (origin, put) = (("origin", "https://a.test"), ("access-control-request-method", "PUT"));
        let private = "access-control-request-private-network";
        let read = |method: &str, sent: &[(&str, &str)]| {
            let headers = [&[(":method", method), (":path", "/")], sent].concat();
            let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
            let request =
                Request::read(&RequestParts { headers: &headers, received_at: Duration::ZERO, ended: true }).unwrap();
            request.preflight().map(|_| request.private_network)
        };
        assert!(read("OPTIONS", &[origin, put]).is_some());
        assert!(read("OPTIONS", &[put]).is_none(), "no origin: an ordinary OPTIONS");
        assert!(read("OPTIONS", &[origin]).is_none(), "no method: an ordinary OPTIONS");
        assert!(read("PUT", &[origin, put]).is_none(), "not OPTIONS");
        for (value, expected) in [("true", true), ("false", false), ("", false), ("TRUE", false)] {
            assert_eq!(read("OPTIONS", &[origin, put, (private, value)]), Some(expected), "{value:?}");
        }
    }
}
