//! Refuses ambiguous request targets and normalizes all others, so that routes match the path that is forwarded.
//!
//! Envoy passes `:path` as the client sent it, unless the listener is hardened (envoy-facts §0.16). Even a hardened listener
//! keeps `%2f`, `%5c` and `;` (envoy-facts §2.13). The guard normalizes only escapes (RFC 3986 §6.2.2.1 and §6.2.2.2). It refuses
//! a path that needs other changes.

mod fault;
mod host;
pub mod percent;
#[cfg(test)]
#[cfg(not(target_family = "wasm"))]
mod properties;
mod query;

use std::borrow::Cow;

pub use fault::PathFault;
pub use host::{HostFault, RequestHost, read_host};
pub use query::{ParameterNameMatch, QueryParameter, parameters, query_pairs, without_query_pair};

/// A validated request target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SafePath<'a> {
    raw: &'a str,
    path: Cow<'a, str>,
    query: Option<&'a str>,
}

impl<'a> SafePath<'a> {
    /// Returns the normalized path. Unreserved characters are not escaped, and other escapes use upper-case hex digits.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the part of the target after the first `?`, as sent by the client.
    pub fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// Returns `true` if normalization changed the path. The caller must then set `:path` before it forwards the request.
    pub fn changed(&self) -> bool {
        matches!(self.path, Cow::Owned(_))
    }

    /// Returns the normalized path and the query, which together form the target to forward.
    pub fn target(&self) -> Cow<'a, str> {
        match (&self.path, self.query) {
            (Cow::Borrowed(_), _) => Cow::Borrowed(self.raw),
            (Cow::Owned(path), None) => Cow::Owned(path.clone()),
            (Cow::Owned(path), Some(query)) => Cow::Owned(format!("{path}?{query}")),
        }
    }
}

/// Validates the value of `:path`. Copies the path only if its escapes must be normalized.
///
/// # Errors
/// Returns the first fault that is found.
pub fn read_target(raw: &[u8]) -> Result<SafePath<'_>, PathFault> {
    if raw.len() > MAX_TARGET_LEN {
        return Err(PathFault::TooLong);
    }
    if raw.first() != Some(&b'/') {
        return Err(PathFault::NotOriginForm);
    }
    let raw = std::str::from_utf8(raw).map_err(|_| PathFault::NotAscii)?;
    let (path, query) = match raw.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (raw, None),
    };
    let seen = scan_path(path)?;
    if let Some(query) = query {
        scan_query(query)?;
    }
    let path = if seen.escape { respell(path)? } else { Cow::Borrowed(path) };
    // `scan_path` does not decode escapes, so a path with an escape may still contain a dot segment such as `%2e`.
    if (seen.leading_dot || seen.escape) && path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(PathFault::DotSegment);
    }
    Ok(SafePath { raw, path, query })
}

struct PathScan {
    escape: bool,
    leading_dot: bool,
}

fn scan_path(path: &str) -> Result<PathScan, PathFault> {
    let mut seen = PathScan { escape: false, leading_dot: false };
    let mut previous = 0;
    for byte in path.bytes() {
        match byte {
            b'/' if previous == b'/' => return Err(PathFault::EmptySegment),
            b'.' if previous == b'/' => seen.leading_dot = true,
            b'%' => seen.escape = true,
            b'\\' => return Err(PathFault::Backslash),
            b';' => return Err(PathFault::Semicolon),
            b'#' => return Err(PathFault::Fragment),
            0..=b' ' | 0x7f => return Err(PathFault::ControlOrSpace),
            0x80.. => return Err(PathFault::NotAscii),
            _ => {}
        }
        previous = byte;
    }
    Ok(seen)
}

/// Refuses only characters that no target may contain (RFC 3986 §3.4), because the upstream interprets the query.
fn scan_query(query: &str) -> Result<(), PathFault> {
    for byte in query.bytes() {
        match byte {
            b'#' => return Err(PathFault::Fragment),
            0..=b' ' | 0x7f => return Err(PathFault::ControlOrSpace),
            0x80.. => return Err(PathFault::NotAscii),
            _ => {}
        }
    }
    Ok(())
}

/// Decodes escapes of unreserved characters, and writes other escapes in upper-case hex digits. Refuses escapes that some
/// upstreams decode before they split the path into segments.
fn respell(path: &str) -> Result<Cow<'_, str>, PathFault> {
    let mut spelled = String::with_capacity(path.len());
    let mut pieces = path.split('%');
    spelled.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (digits, plain) = piece.split_at_checked(2).ok_or(PathFault::InvalidEscape)?;
        let byte = percent::byte(digits).ok_or(PathFault::InvalidEscape)?;
        match byte {
            b'/' => return Err(PathFault::EncodedSlash),
            b'\\' => return Err(PathFault::EncodedBackslash),
            b';' => return Err(PathFault::EncodedSemicolon),
            0 => return Err(PathFault::EncodedNul),
            1..0x20 | 0x7f => return Err(PathFault::EncodedControl),
            _ if is_unreserved(byte) => spelled.push(char::from(byte)),
            _ => {
                spelled.push('%');
                spelled.extend(digits.chars().map(|digit| digit.to_ascii_uppercase()));
            }
        }
        spelled.push_str(plain);
    }
    // Checks the normalized path, because normalization changes `%25%32%66` to `%252f`.
    if spelled.split("%25").skip(1).any(|after| after.get(..2).and_then(percent::byte).is_some()) {
        return Err(PathFault::EncodedPercent);
    }
    let decoded: Vec<u8> = percent::bytes(&spelled).collect();
    match std::str::from_utf8(&decoded) {
        Err(_) => Err(PathFault::NotUtf8),
        Ok(text) if text.contains(char::is_control) => Err(PathFault::EncodedControl),
        Ok(_) if spelled == path => Ok(Cow::Borrowed(path)),
        Ok(_) => Ok(Cow::Owned(spelled)),
    }
}

/// Returns `true` for unreserved characters (RFC 3986 §2.3).
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// The maximum length of a target in bytes, including the query.
pub const MAX_TARGET_LEN: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// Each row has a target as sent, and the normalized path or the reason for the refusal.
    const TARGETS: &[(&str, Result<&str, &str>)] = &[
        ("/", Ok("/")),
        ("/admin", Ok("/admin")),
        ("/admin/", Ok("/admin/")),
        ("/a.b/.well-known/...", Ok("/a.b/.well-known/...")),
        ("/a:b@c!$&'()*+,=|[]", Ok("/a:b@c!$&'()*+,=|[]")),
        // Normalized escapes
        ("/%61dmin", Ok("/admin")),
        ("/%7euser/%2d%2E%5f", Ok("/~user/-._")),
        ("/caf%c3%a9", Ok("/caf%C3%A9")),
        ("/caf%C3%A9", Ok("/caf%C3%A9")),
        ("/a%20b%3f%3A", Ok("/a%20b%3F%3A")),
        ("/100%25", Ok("/100%25")),
        ("/100%25/x", Ok("/100%25/x")),
        // Targets that are not in origin form
        ("", Err("not_origin_form")),
        ("*", Err("not_origin_form")),
        ("admin", Err("not_origin_form")),
        ("http://example.com/admin", Err("not_origin_form")),
        ("?x=/admin", Err("not_origin_form")),
        // Empty segments: `//admin` must not be parsed as an authority (CVE-2026-26205) or matched like `/admin` (CVE-2021-29492)
        ("//admin", Err("empty_segment")),
        ("/a//b", Err("empty_segment")),
        ("/a//", Err("empty_segment")),
        // Dot segments (CVE-2019-9901)
        ("/p/../admin", Err("dot_segment")),
        ("/admin/.", Err("dot_segment")),
        ("/./admin", Err("dot_segment")),
        ("/..", Err("dot_segment")),
        ("/p/%2e%2e/admin", Err("dot_segment")),
        ("/p/.%2E/admin", Err("dot_segment")),
        ("/p/%2e./admin", Err("dot_segment")),
        ("/admin/%2e", Err("dot_segment")),
        // Escaped slashes and backslashes (CVE-2021-29492)
        ("/p/..%2fadmin", Err("encoded_slash")),
        ("/p%2Fadmin", Err("encoded_slash")),
        ("/p/..%5cadmin", Err("encoded_backslash")),
        ("/p\\..\\admin", Err("backslash")),
        // Fragments (CVE-2021-32779)
        ("/admin#x", Err("fragment")),
        ("/admin?x#y", Err("fragment")),
        // Path parameters, which some upstreams remove before they match the path
        ("/admin;x=1", Err("semicolon")),
        ("/..;/admin", Err("semicolon")),
        ("/admin%3bx=1", Err("encoded_semicolon")),
        // Escapes of control characters and malformed escapes
        ("/admin%00", Err("encoded_nul")),
        ("/admin%0d%0aX-Evil:%201", Err("encoded_control")),
        ("/admin%7f", Err("encoded_control")),
        ("/admin%c2%85", Err("encoded_control")),
        ("/%c0%ae%c0%ae/admin", Err("not_utf8")),
        ("/%c0%af", Err("not_utf8")),
        ("/%e0%80%af", Err("not_utf8")),
        ("/%ff", Err("not_utf8")),
        ("/caf%c3", Err("not_utf8")),
        ("/%ed%a0%80", Err("not_utf8")),
        ("/%", Err("invalid_escape")),
        ("/%4", Err("invalid_escape")),
        ("/%zz", Err("invalid_escape")),
        ("/%u002f", Err("invalid_escape")),
        ("/%+1", Err("invalid_escape")),
        // Targets that become another target after a second decoding
        ("/%252e%252e/admin", Err("encoded_percent")),
        ("/p%25%32%66admin", Err("encoded_percent")),
        ("/%2525", Err("encoded_percent")),
        // Raw bytes that no target may contain
        ("/a b", Err("control_or_space")),
        ("/a\tb", Err("control_or_space")),
        ("/a\0", Err("control_or_space")),
        ("/a\u{7f}", Err("control_or_space")),
        ("/a\r\nb", Err("control_or_space")),
        ("/café", Err("not_ascii")),
        ("/a?b c", Err("control_or_space")),
        ("/a?é", Err("not_ascii")),
    ];

    #[test]
    fn ambiguous_paths_are_refused_before_matching() {
        for (sent, expected) in TARGETS {
            let read = read_target(sent.as_bytes());
            let got = read.as_ref().map(SafePath::path).map_err(|fault| fault.reason());
            assert_eq!(got, *expected, "{sent:?}");
        }
        assert_eq!(read_target(b"/caf\xe9"), Err(PathFault::NotAscii), "Latin-1 is refused, not guessed");
    }

    #[test]
    fn the_query_is_forwarded_unchanged() {
        let read = read_target(b"/%61?next=/../x;y%2f&b=%zz?").unwrap();
        assert_eq!((read.path(), read.query()), ("/a", Some("next=/../x;y%2f&b=%zz?")));
        assert!(read.changed());
        assert_eq!(read.target(), "/a?next=/../x;y%2f&b=%zz?");
        assert_eq!(read_target(b"/a?").unwrap().target(), "/a?", "an empty query is still a query");
    }

    #[test]
    fn a_normalized_target_is_not_copied() {
        for target in ["/a/b?c=d", "/caf%C3%A9"] {
            let read = read_target(target.as_bytes()).unwrap();
            assert!(!read.changed() && matches!(read.target(), Cow::Borrowed(_)), "{target}");
        }
    }

    #[test]
    fn a_target_has_at_most_8192_bytes() {
        let longest = format!("/{}", "a".repeat(MAX_TARGET_LEN - 1));
        assert!(read_target(longest.as_bytes()).is_ok());
        assert_eq!(read_target(format!("{longest}a").as_bytes()), Err(PathFault::TooLong));
    }
}
