//! Parses the `content-type` of bodies (RFC 9110 §8.3.1), and matches it against the accepted types.

use crate::config::header_name::is_token;
use crate::policy::request::Request;

/// A well-formed `content-type`, with its charset if it declares one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType {
    /// `type/subtype` in lower case.
    essence: String,
    charset: Option<String>,
}

/// A media range that a route accepts: `application/json`, `image/*`, `application/*+json`, `*/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaRange {
    start: String,
    end: String,
}

impl MediaType {
    /// Returns the media type of a request; `None` unless the request has exactly one well-formed `content-type`.
    pub fn of(request: &Request<'_>) -> Option<MediaType> {
        let mut lines = request.headers.iter().filter(|(name, _)| *name == b"content-type");
        let (_, value) = lines.next()?;
        // With two values, the upstream could use another value than the filter.
        if lines.next().is_some() { None } else { MediaType::parse(std::str::from_utf8(value).ok()?) }
    }

    fn parse(text: &str) -> Option<MediaType> {
        // Trims only spaces and tabs (RFC 9110 §5.6.3), because some upstreams do not trim other Unicode spaces.
        let mut parts = text.split(';').map(|part| part.trim_matches([' ', '\t']));
        let essence = parts.next()?.to_ascii_lowercase();
        let (kind, sub) = essence.split_once('/')?;
        if !is_token(kind) || !is_token(sub) {
            return None;
        }
        let mut charset = None;
        for part in parts.filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=')?;
            if !is_token(name) {
                return None;
            }
            if name.eq_ignore_ascii_case("charset") {
                // A second `charset` could contradict the first.
                let first = charset.replace(value.trim_matches('"').to_ascii_lowercase());
                if first.is_some() {
                    return None;
                }
            }
        }
        Some(MediaType { essence, charset })
    }

    /// Returns `true` for JSON and types with JSON syntax (RFC 6839 §3.1).
    pub fn is_json(&self) -> bool {
        self.essence.ends_with("/json") || self.essence.ends_with("+json")
    }

    /// Returns `true` if the type declares UTF-8 or no charset.
    pub fn is_utf8(&self) -> bool {
        self.charset.as_deref().is_none_or(|charset| matches!(charset, "utf-8" | "utf8"))
    }
}

impl MediaRange {
    /// Parses a range from the configuration document; `None` if it is malformed.
    pub fn parse(text: &str) -> Option<MediaRange> {
        let lower = text.to_ascii_lowercase();
        let (kind, sub) = lower.split_once('/')?;
        let stars = lower.matches('*').count();
        let well_formed = is_token(kind) && is_token(sub);
        match lower.split_once('*') {
            None if well_formed => Some(MediaRange { start: lower, end: String::new() }),
            Some((start, end))
                if well_formed && stars == 1 && kind != "*" && (end.is_empty() || end.starts_with('+')) =>
            {
                Some(MediaRange {
                    start: start.to_string(),
                    end: if end.is_empty() { "*".to_string() } else { end.to_string() },
                })
            }
            _ if lower == "*/*" => Some(MediaRange { start: String::new(), end: "*".to_string() }),
            _ => None,
        }
    }

    /// Returns `true` if the range accepts this type.
    pub fn takes(&self, media: &MediaType) -> bool {
        match self.end.as_str() {
            "" => media.essence == self.start,
            "*" => media.essence.starts_with(&self.start),
            end => media
                .essence
                .strip_prefix(self.start.as_str())
                .is_some_and(|rest| rest.len() > end.len() && rest.ends_with(end)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_range_accepts_matching_types() {
        for (range, media, taken) in [
            ("application/json", "application/json", true),
            ("application/json", "Application/JSON; charset=utf-8", true),
            ("application/json", "application/jsonp", false),
            ("application/json", "application/json-patch+json", false),
            ("application/*+json", "application/problem+json", true),
            ("application/*+json", "application/json", false),
            ("application/*+json", "application/+json", false),
            ("image/*", "image/png", true),
            ("image/*", "text/plain", false),
            ("*/*", "text/plain", true),
        ] {
            let (range, media) = (MediaRange::parse(range).unwrap(), MediaType::parse(media).unwrap());
            assert_eq!(range.takes(&media), taken, "{range:?} {media:?}");
        }
        for malformed in ["json", "application/", "/json", "application/j son", "*/json", "a/*b", "a/*+*", ""] {
            assert_eq!(MediaRange::parse(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn json_in_another_charset_is_detected() {
        for (text, expected) in [
            ("application/json", Some((true, true))),
            ("application/json;charset=UTF-8", Some((true, true))),
            ("application/json; charset=\"utf-8\"", Some((true, true))),
            ("application/json; charset=utf-16", Some((true, false))),
            ("application/vnd.api+json; profile=x", Some((true, true))),
            ("text/plain", Some((false, true))),
            ("application/json; charset=utf-8; charset=utf-16", None),
            ("application/json, text/plain", None),
            ("application/json; charset", None),
            ("application/json; charset =utf-16", None),
            ("application/json\u{a0}", None),
            ("application/json;\u{2003}charset=utf-16", None),
            ("application", None),
            ("", None),
        ] {
            let found = MediaType::parse(text).map(|media| (media.is_json(), media.is_utf8()));
            assert_eq!(found, expected, "{text}");
        }
    }
}
