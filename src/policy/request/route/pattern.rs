//! The path pattern of a route: literal segments, `{param}` for one segment, and `{.+}` for the rest of the path.

use std::borrow::Cow;
use std::fmt;

use crate::policy::request::guard::{percent, read_target};

/// The path pattern of a route.
///
/// Literal text is compared after decoding. So `/café` matches `/caf%C3%A9`, and a client cannot bypass a route by escaping
/// characters that need no escape (`%3A` for `:`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutePattern {
    text: Box<str>,
    segments: Box<[Segment]>,
}

/// A segment of a pattern. The text of a literal is decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    Literal(Box<str>),
    Param(Box<str>),
    Tail,
}

impl RoutePattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// Returns a message for the author of the pattern. It describes the first fault and the accepted form.
    pub fn parse(text: &str) -> Result<Self, PatternFault> {
        let fault = |problem: String| PatternFault { text: text.to_owned(), problem };
        let Some(rest) = text.strip_prefix('/') else {
            return Err(fault(format!("a path starts with `/`: write `/{text}`")));
        };
        if text.contains('?') {
            return Err(fault(
                "a route matches only the path: remove the query (a literal `?` is written `%3F`)".into(),
            ));
        }
        let count = rest.split('/').count();
        if count > MAX_SEGMENTS {
            return Err(fault(format!("the path has {count} segments (at most {MAX_SEGMENTS} are accepted)")));
        }
        let mut segments: Vec<Segment> = Vec::with_capacity(count);
        for (at, piece) in rest.split('/').enumerate() {
            let last = at + 1 == count;
            let in_segment = |problem: String| fault(format!("segment {} `{piece}`: {problem}", at + 1));
            if piece.is_empty() && !last {
                return Err(in_segment(
                    "remove the empty segment (`//`), because requests with one are refused".into(),
                ));
            }
            let segment = Segment::parse(piece).map_err(in_segment)?;
            if segment == Segment::Tail && !last {
                return Err(in_segment("`{.+}` matches the rest of the path, so it must be last".into()));
            }
            if matches!(segment, Segment::Param(_)) && segments.contains(&segment) {
                return Err(in_segment("an earlier segment has the same parameter name".into()));
            }
            segments.push(segment);
        }
        Ok(Self { text: text.into(), segments: segments.into() })
    }

    /// Returns the names of the parameters, from left to right.
    pub fn param_names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Param(name) => Some(&**name),
            _ => None,
        })
    }

    /// Returns the part before `/{.+}`, such as `/admin` for `/admin/{.+}`; `None` if the pattern does not end in `{.+}`.
    pub fn wildcard_prefix(&self) -> Option<&str> {
        self.text.strip_suffix(TAIL)?.strip_suffix('/')
    }

    /// Returns the normalized text of the pattern. Patterns that differ only in their escapes have the same normalized text. A
    /// pattern that is parsed from the normalized text matches the same requests.
    ///
    /// To compare two patterns, compare their normalized texts and not the written texts: `/%61` and `/a` match the same
    /// requests.
    pub fn spelling(&self) -> String {
        let mut text = String::with_capacity(self.text.len());
        for segment in &self.segments {
            text.push('/');
            match segment {
                Segment::Literal(literal) => spell(literal, &mut text),
                Segment::Param(name) => text.extend(["{", name, "}"]),
                Segment::Tail => text.push_str(TAIL),
            }
        }
        text
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

/// Formats the pattern as its author wrote it.
impl fmt::Display for RoutePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The error for a string that is not a path pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternFault {
    text: String,
    problem: String,
}

impl fmt::Display for PatternFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.text, self.problem)
    }
}

impl std::error::Error for PatternFault {}

impl Segment {
    fn parse(piece: &str) -> Result<Self, String> {
        if piece == TAIL {
            return Ok(Self::Tail);
        }
        if let Some(problem) = other_dialect(piece) {
            return Err(problem);
        }
        if let Some(name) = piece.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            return if is_name(name) { Ok(Self::Param(name.into())) } else { Err(not_a_name(name)) };
        }
        if piece.contains(['{', '}']) {
            return Err(
                "a parameter must be a whole segment, as in `/{name}/` (a literal brace is written `%7B` or `%7D`)"
                    .into(),
            );
        }
        // The guard refuses or normalizes some texts in requests. A literal that contains such a text could never match.
        let target = format!("/{}", escape_non_ascii(piece));
        read_target(target.as_bytes()).map_err(|problem| format!("no request can contain this: {problem}"))?;
        Ok(Self::Literal(percent::decode(piece).into()))
    }
}

/// Detects the parameter and wildcard syntax of other routers. As literals, they would match almost no request, and the author
/// would not notice the mistake.
fn other_dialect(piece: &str) -> Option<String> {
    let inner = piece.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let wildcard = matches!(piece, "*" | "**")
        || inner.is_some_and(|inner| inner.starts_with('*') || inner.ends_with("...") || inner.starts_with('.'))
        || inner.is_some_and(|inner| inner.ends_with(":.*") || inner.ends_with(":.+"));
    if wildcard {
        return Some(
            "write the rest of a path as `{.+}`, and one segment as `{name}` (a literal `*` is written `%2A`)".into(),
        );
    }
    let name = piece.strip_prefix(':').filter(|name| is_name(name))?;
    Some(format!("a parameter is written `{{{name}}}` (a literal `:` is written `%3A`)"))
}

fn not_a_name(name: &str) -> String {
    let nearest: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let rule = "a parameter's name has letters, digits and `_` and does not start with a digit";
    if is_name(&nearest) { format!("{rule}: write `{{{nearest}}}`") } else { rule.to_owned() }
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Writes the text of a literal segment. Escapes only the characters that a pattern cannot contain literally.
fn spell(literal: &str, text: &mut String) {
    for (at, c) in literal.chars().enumerate() {
        let is_read_otherwise = match c {
            '%' | '?' | '#' | ';' | '/' | '\\' | '{' | '}' => true,
            // At the start of a segment, these characters begin a parameter or wildcard in other routers.
            ':' | '*' => at == 0,
            _ => c == ' ' || c.is_ascii_control(),
        };
        if is_read_otherwise {
            text.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            text.push(c);
        }
    }
}

fn escape_non_ascii(piece: &str) -> Cow<'_, str> {
    if piece.is_ascii() {
        return Cow::Borrowed(piece);
    }
    let escape = |byte: u8| if byte.is_ascii() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    Cow::Owned(piece.bytes().map(escape).collect())
}

const TAIL: &str = "{.+}";

/// The maximum number of segments. It bounds the depth of the trie, and so the recursion of a search.
const MAX_SEGMENTS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn literal(text: &str) -> Segment {
        Segment::Literal(text.into())
    }

    #[test]
    fn patterns_have_literals_params_and_a_tail() {
        let param = |name: &str| Segment::Param(name.into());
        for (text, segments, prefix) in [
            ("/", vec![literal("")], None),
            ("/a/", vec![literal("a"), literal("")], None),
            ("/v1/{_id2}/x.json", vec![literal("v1"), param("_id2"), literal("x.json")], None),
            ("/admin/{.+}", vec![literal("admin"), Segment::Tail], Some("/admin")),
            ("/{t}/{.+}", vec![param("t"), Segment::Tail], Some("/{t}")),
            ("/{.+}", vec![Segment::Tail], Some("")),
            ("/café/caf%C3%A9", vec![literal("café"), literal("café")], None),
            ("/a%20b/%7e/%2A/a:b", vec![literal("a b"), literal("~"), literal("*"), literal("a:b")], None),
        ] {
            let pattern = RoutePattern::parse(text).unwrap();
            assert_eq!(pattern.segments(), segments, "{text}");
            assert_eq!(pattern.wildcard_prefix(), prefix, "{text}");
            assert_eq!(pattern.to_string(), text);
        }
        let names: Vec<_> = RoutePattern::parse("/{b}/x/{a}").unwrap().param_names().map(str::to_owned).collect();
        assert_eq!(names, ["b", "a"]);
    }

    #[test]
    fn patterns_that_differ_only_in_escapes_normalize_to_the_same_text() {
        for (text, spelling) in [
            ("/", "/"),
            ("/a/", "/a/"),
            ("/%61/%62", "/a/b"),
            ("/{x}/%7e/{.+}", "/{x}/~/{.+}"),
            ("/caf%c3%a9", "/café"),
            ("/café", "/café"),
            ("/a%3ab", "/a:b"),
            ("/%3aid/%2a/a%2Ab", "/%3Aid/%2A/a*b"),
            ("/100%25/a%20b%3f%23/%7bx%7d", "/100%25/a%20b%3F%23/%7Bx%7D"),
        ] {
            let pattern = RoutePattern::parse(text).unwrap();
            assert_eq!(pattern.spelling(), spelling, "{text}");
            assert_eq!(RoutePattern::parse(spelling).unwrap().segments(), pattern.segments(), "{text}");
        }
    }

    #[test]
    fn pattern_errors_name_the_problem_and_the_accepted_form() {
        for (text, problem) in [
            ("users", "a path starts with `/`: write `/users`"),
            ("/a?x=1", "a route matches only the path: remove the query (a literal `?` is written `%3F`)"),
            ("/a//b", "segment 2 ``: remove the empty segment (`//`), because requests with one are refused"),
            ("/{.+}/a", "segment 1 `{.+}`: `{.+}` matches the rest of the path, so it must be last"),
            ("/{a}/{a}", "segment 2 `{a}`: an earlier segment has the same parameter name"),
            (
                "/{a-b}",
                "segment 1 `{a-b}`: a parameter's name has letters, digits and `_` and does not start with a digit: write `{a_b}`",
            ),
            ("/{1}", "segment 1 `{1}`: a parameter's name has letters, digits and `_` and does not start with a digit"),
            (
                "/{a}.json",
                "segment 1 `{a}.json`: a parameter must be a whole segment, as in `/{name}/` (a literal brace is written `%7B` or `%7D`)",
            ),
            ("/:id", "segment 1 `:id`: a parameter is written `{id}` (a literal `:` is written `%3A`)"),
            (
                "/a b",
                "segment 1 `a b`: no request can contain this: a control character or space (a space is written `%20`)",
            ),
            ("/a/..", "segment 2 `..`: no request can contain this: a `.` or `..` segment"),
            ("/a%2fb", "segment 1 `a%2fb`: no request can contain this: an escaped slash (`%2F`)"),
            (
                "/100%",
                "segment 1 `100%`: no request can contain this: a `%` without two hex digits (a literal one is written `%25`)",
            ),
            (
                "/a;b",
                "segment 1 `a;b`: no request can contain this: `;`, because some servers ignore the rest of the segment",
            ),
            ("/\u{85}", "segment 1 `\u{85}`: no request can contain this: an escaped control character"),
        ] {
            assert_eq!(RoutePattern::parse(text).unwrap_err().to_string(), format!("`{text}`: {problem}"));
        }
        for text in ["/*", "/a/**", "/{*rest}", "/{.*}", "/{rest...}", "/{rest:.*}", "/{.+:x}"] {
            let message = RoutePattern::parse(text).unwrap_err().to_string();
            assert!(message.contains("write the rest of a path as `{.+}`"), "{message}");
        }
        let deep = "/a".repeat(MAX_SEGMENTS);
        assert!(RoutePattern::parse(&deep).is_ok() && RoutePattern::parse(&format!("{deep}/a")).is_err());
    }
}
