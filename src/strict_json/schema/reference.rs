//! Resolves references between schemas to addresses (RFC 3986 §5). Nothing is fetched from these addresses.

/// Splits a reference into the address before `#` and the fragment after it.
pub(super) fn split(reference: &str) -> (&str, &str) {
    reference.split_once('#').unwrap_or((reference, ""))
}

/// Resolves a reference without a fragment against `base` (RFC 3986 §5.2.2).
pub(super) fn resolve(base: &str, reference: &str) -> String {
    let from = Parts::of(base);
    let to = Parts::of(reference);
    if to.scheme.is_some() {
        return to.text(&without_dots(to.path));
    }
    let to = Parts { scheme: from.scheme, ..to };
    if to.authority.is_some() {
        return to.text(&without_dots(to.path));
    }
    let to = Parts { authority: from.authority, ..to };
    if to.path.is_empty() {
        return Parts { query: to.query.or(from.query), ..to }.text(from.path);
    }
    if to.path.starts_with('/') {
        return to.text(&without_dots(to.path));
    }
    let folder = from.path.rsplit_once('/').map(|(folder, _)| folder);
    let path = match folder {
        Some(folder) => format!("{folder}/{}", to.path),
        None if from.authority.is_some() => format!("/{}", to.path),
        None => to.path.to_string(),
    };
    to.text(&without_dots(&path))
}

/// Decodes the percent escapes of a fragment (RFC 6901 §6). Returns `None` if an escape is incomplete or the result is not UTF-8.
pub(super) fn unescape(fragment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.bytes();
    while let Some(byte) = rest.next() {
        let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(if byte == b'%' { hex(rest.next()?)? * 16 + hex(rest.next()?)? } else { byte });
    }
    String::from_utf8(bytes).ok()
}

/// Returns `true` if the text can be a reference: it has no characters that RFC 3986 forbids, such as spaces, and all its escapes
/// are complete.
pub(super) fn is_reference(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() && !matches!(c, ' ' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}'))
        && unescape(text).is_some()
}

/// The components of an address (RFC 3986 §3) that resolution uses.
#[derive(Clone, Copy)]
struct Parts<'t> {
    scheme: Option<&'t str>,
    authority: Option<&'t str>,
    path: &'t str,
    query: Option<&'t str>,
}

impl<'t> Parts<'t> {
    fn of(text: &'t str) -> Parts<'t> {
        let is_scheme = |s: &str| {
            s.starts_with(|c: char| c.is_ascii_alphabetic())
                && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
        };
        let (scheme, rest) = match text.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text),
        };
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => {
                let end = rest.find('/').unwrap_or(rest.len());
                let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
                (Some(authority), path)
            }
            None => (None, rest),
        };
        Parts { scheme, authority, path, query }
    }

    fn text(&self, path: &str) -> String {
        let mut text = String::new();
        if let Some(scheme) = self.scheme {
            text = format!("{scheme}:");
        }
        if let Some(authority) = self.authority {
            text = format!("{text}//{authority}");
        }
        text.push_str(path);
        if let Some(query) = self.query {
            text = format!("{text}?{query}");
        }
        text
    }
}

/// Removes the `.` and `..` segments of a path (RFC 3986 §5.2.4).
fn without_dots(path: &str) -> String {
    if !path.contains('/') {
        return path.to_string();
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_folder = false;
    for segment in path.split('/') {
        ends_in_folder = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." if kept.len() > 1 => drop(kept.pop()),
            ".." => {}
            segment => kept.push(segment),
        }
    }
    if ends_in_folder {
        kept.push("");
    }
    kept.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn references_resolve_as_rfc_3986_defines() {
        // Examples from RFC 3986 §5.4, and addresses used by this module.
        for (base, reference, expected) in [
            ("http://a/b/c/d;p?q", "g:h", "g:h"),
            ("http://a/b/c/d;p?q", "g", "http://a/b/c/g"),
            ("http://a/b/c/d;p?q", "./g", "http://a/b/c/g"),
            ("http://a/b/c/d;p?q", "g/", "http://a/b/c/g/"),
            ("http://a/b/c/d;p?q", "/g", "http://a/g"),
            ("http://a/b/c/d;p?q", "//g", "http://g"),
            ("http://a/b/c/d;p?q", "?y", "http://a/b/c/d;p?y"),
            ("http://a/b/c/d;p?q", "", "http://a/b/c/d;p?q"),
            ("http://a/b/c/d;p?q", ".", "http://a/b/c/"),
            ("http://a/b/c/d;p?q", "..", "http://a/b/"),
            ("http://a/b/c/d;p?q", "../g", "http://a/b/g"),
            ("http://a/b/c/d;p?q", "../../g", "http://a/g"),
            ("http://a/b/c/d;p?q", "../../../g", "http://a/g"),
            ("http://a", "g", "http://a/g"),
            ("schemas:///order", "address", "schemas:///address"),
            ("urn:uuid:deadbeef", "", "urn:uuid:deadbeef"),
            ("file:///folder/file.json", "other.json", "file:///folder/other.json"),
        ] {
            assert_eq!(resolve(base, reference), expected, "{reference} from {base}");
        }
    }

    #[test]
    fn fragments_are_unescaped() {
        assert_eq!(unescape("/a%25b").as_deref(), Some("/a%b"));
        assert_eq!(unescape("/%c3%a1").as_deref(), Some("/á"));
        assert_eq!(unescape("/%c3"), None);
        assert_eq!(unescape("/%2"), None);
        assert_eq!(unescape("/%zz"), None);
    }
}
