//! Writes links so that they are URI references (RFC 3986 §4.1), as JSON:API requires.

use std::fmt::Write;

/// Appends the target of a request as a link that refers to the same target.
pub(super) fn push_target(out: &mut String, target: &str) {
    // A reference that starts with `//` names another host. `/.` before it keeps the meaning of the path (RFC 3986 §5.2.4).
    if target.starts_with("//") {
        out.push_str("/.");
    }
    push_escaped(out, target, 0);
}

/// Appends a link from the upstream's body as a URI reference. The result needs no escapes in JSON.
pub(super) fn push_reference(out: &mut String, link: &str) {
    let path_start = link.find(['/', '?', '#']).unwrap_or(link.len());
    let scheme = link.find(':').filter(|colon| *colon < path_start).and_then(|colon| link.get(..colon));
    let is_scheme = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    let after_scheme = match scheme {
        None => 0,
        Some(scheme) if is_scheme(scheme) => scheme.len() + 1,
        // The first segment of a relative path cannot contain a colon (RFC 3986 §4.2).
        Some(_) => {
            out.push_str("./");
            0
        }
    };
    let rest = link.get(after_scheme..).unwrap_or_default();
    let host_end = rest
        .strip_prefix("//")
        .map_or(0, |authority| after_scheme + 2 + authority.find(['/', '?', '#']).unwrap_or(authority.len()));
    push_escaped(out, link, host_end);
}

/// Appends a link and percent-encodes all characters that a URI must not contain. Brackets are kept only before `host_end`,
/// where they enclose an IP address. Elsewhere they are encoded, although links such as `?page[number]=2` often contain them.
fn push_escaped(out: &mut String, link: &str, host_end: usize) {
    let mut has_fragment = false;
    for (at, byte) in link.bytes().enumerate() {
        let is_kept = match byte {
            b'%' => {
                link.get(at + 1..at + 3).is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            }
            b'[' | b']' => at < host_end,
            b'#' => !has_fragment,
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&byte),
        };
        has_fragment |= byte == b'#';
        if is_kept {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn links_contain_only_characters_of_a_uri() {
        for (link, expected) in [
            ("/orders?page=2&sort=-a,b", "/orders?page=2&sort=-a,b"),
            ("https://api.example.com:8443/a;b=(c)?d='e'#f", "https://api.example.com:8443/a;b=(c)?d='e'#f"),
            ("?page[number]=2", "?page%5Bnumber%5D=2"),
            ("http://[2001:db8::1]/a[0]", "http://[2001:db8::1]/a%5B0%5D"),
            ("//[::1]?[", "//[::1]?%5B"),
            ("//example.com/", "//example.com/"),
            ("mailto:[x]", "mailto:%5Bx%5D"),
            ("/a b/ü", "/a%20b/%C3%BC"),
            ("/a\"b\\c<d>^`{|}\u{7f}\n", "/a%22b%5Cc%3Cd%3E%5E%60%7B%7C%7D%7F%0A"),
            ("/100%", "/100%25"),
            ("/a%2fb%2", "/a%2fb%252"),
            ("/a%zz%€", "/a%25zz%25%E2%82%AC"),
            ("#a#b", "#a%23b"),
            ("12:30", "./12:30"),
            ("a:b", "a:b"),
            ("a b:c", "./a%20b:c"),
            ("a/b:c", "a/b:c"),
            (":", "./:"),
            ("", ""),
        ] {
            let mut out = String::new();
            push_reference(&mut out, link);
            assert_eq!(out, expected, "{link}");
        }
    }

    #[test]
    fn the_target_of_a_request_stays_on_its_host() {
        for (target, expected) in [
            ("/orders?page[size]=2", "/orders?page%5Bsize%5D=2"),
            ("//evil.example/orders", "/.//evil.example/orders"),
            ("/\\evil.example", "/%5Cevil.example"),
            ("/a:b", "/a:b"),
        ] {
            let mut out = String::new();
            push_target(&mut out, target);
            assert_eq!(out, expected, "{target}");
        }
    }
}
