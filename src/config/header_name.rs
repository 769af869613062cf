//! Rules for header names: the syntax, the names that an upstream can confuse, and the names that clients must not send.

/// Returns `true` if `text` is a token (RFC 9110 §5.6.2). Header names, methods and the parts of a media type are tokens.
pub fn is_token(text: impl AsRef<[u8]>) -> bool {
    let text = text.as_ref();
    !text.is_empty() && text.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

/// Returns `true` if two header names become the same environment variable in a server that passes headers to programs as
/// environment variables (CGI).
///
/// RFC 3875 §4.1.18 ignores case and replaces `-` with `_`. Some servers also replace every other byte that is not allowed in a
/// variable name with `_`. On such a server `x.org.id`, `x~org-id` and `X-Org-ID` all become `HTTP_X_ORG_ID`. Each byte becomes
/// exactly one byte, so names of different lengths always become different variables.
pub fn is_same_cgi_variable(one: impl AsRef<[u8]>, other: impl AsRef<[u8]>) -> bool {
    let (one, other) = (one.as_ref(), other.as_ref());
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| fold(*a) == fold(*b))
}

/// Returns `true` if a header name starts with `prefix`, in any spelling that [`is_same_cgi_variable`] treats as equal.
pub fn starts_with_as_cgi_variable(name: impl AsRef<[u8]>, prefix: &str) -> bool {
    name.as_ref().split_at_checked(prefix.len()).is_some_and(|(start, _)| is_same_cgi_variable(start, prefix))
}

/// Returns `true` if a header name has only lower-case letters, digits and `-`. Two such names become the same environment
/// variable only if they are equal.
pub fn is_usual(name: impl AsRef<[u8]>) -> bool {
    name.as_ref().iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

fn fold(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' | b'0'..=b'9' => byte,
        b'A'..=b'Z' => byte.to_ascii_lowercase(),
        _ => b'-',
    }
}

/// Headers that clients may send only in exactly this spelling. They frame or route the message, describe its body, contain
/// credentials, or are set by proxies.
///
/// Envoy and the gateway read these headers only in this spelling. An upstream might also accept another spelling, such as
/// `content_length`. Neither Envoy nor the gateway would have checked a header with that spelling.
pub const SINGLE_SPELLING: [&str; 20] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-original-url",
    "x-real-ip",
    "x-request-id",
    "x-rewrite-url",
];

/// Prefixes of headers that proxies set. Clients may send such a header only in this spelling, as for [`SINGLE_SPELLING`].
pub const SINGLE_SPELLING_PREFIXES: [&str; 2] = ["x-envoy-", "x-forwarded-"];

/// The prefix of the headers by which the filter controls Envoy's routing. Only the filter may set them.
pub const OWN_PREFIX: &str = "x-portcullis-";

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn names_that_map_to_one_variable_are_the_same() {
        for (name, expected) in [
            ("x-org-id", true),
            ("X-Org-ID", true),
            ("x_org_id", true),
            ("x.org.id", true),
            ("x~org!id", true),
            ("x|org`id", true),
            ("x-org-i-", false),
            ("x-orgaid", false),
            ("xaorg-id", false),
            ("x-org-id-", false),
            ("-x-org-id", false),
            ("x--org-id", false),
            ("xorgid", false),
            ("", false),
        ] {
            assert_eq!(is_same_cgi_variable(name, "x-org-id"), expected, "{name}");
            assert_eq!(is_same_cgi_variable("x-org-id", name), expected, "{name}");
        }
    }

    #[test]
    fn a_prefix_matches_in_every_spelling() {
        for (name, expected) in
            [("x-envoy-a", true), ("X.Envoy!", true), ("x-envoy-", true), ("x-envoy", false), ("x-envoya", false)]
        {
            assert_eq!(starts_with_as_cgi_variable(name, "x-envoy-"), expected, "{name}");
        }
    }
}
