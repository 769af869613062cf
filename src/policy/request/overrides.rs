//! Removes request headers that could make an upstream use another method, path or host than the gateway has matched.
//!
//! Overrides in a query or a body, such as the parameter `_method`, are not removed: they are part of the data for the upstream.

use crate::config::header_name::is_same_cgi_variable;
use crate::policy::verdict::edit::HeaderEdit;

/// Adds edits that remove the headers in `OVERRIDES`, in every spelling that an upstream might accept.
pub fn strip(sent: &[(&[u8], &[u8])], edits: &mut Vec<HeaderEdit>) {
    HeaderEdit::remove_matching(sent, edits, overrides);
}

fn overrides(name: &[u8]) -> bool {
    // Compares the first letter before the whole name, because most headers begin with another letter.
    matches!(name.first(), Some(b'x' | b'X' | b'p' | b'P'))
        && OVERRIDES.iter().any(|known| is_same_cgi_variable(name, known.as_bytes()))
}

/// Headers that frameworks and auth services use instead of the request line and `Host` (`X-Original-URL`: CVE-2018-14773).
/// Programs that receive headers as environment variables treat `Proxy` as `HTTP_PROXY` (httpoxy, CVE-2016-5385).
const OVERRIDES: [&str; 14] = [
    "proxy",
    "x-forwarded-method",
    "x-forwarded-uri",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-override-url",
    "x-rewrite-url",
];

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn overrides_are_removed_in_every_spelling() {
        for (name, removed) in [
            ("x-http-method-override", true),
            ("X-HTTP-Method-Override", true),
            ("x_http_method_override", true),
            ("proxy", true),
            ("Proxy", true),
            ("x-rewrite-url", true),
            ("proxy-authorization", false),
            ("x-http-methods", false),
            ("prefer", false),
            ("x-forwarded-for", false),
            ("", false),
        ] {
            let mut edits = Vec::new();
            strip(&[(name.as_bytes(), b"a"), (name.as_bytes(), b"b")], &mut edits);
            assert_eq!(edits.len(), usize::from(removed), "{name}");
        }
    }
}
