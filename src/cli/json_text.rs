//! Reads JSON text with the filter's own reader, and finds the places of its values with the YAML reader.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use super::yaml;
use crate::config::node::{Node, Position, Value};
use crate::config::problem::{Place, Problem};
use crate::strict_json::{self, Bounds, Malformed};

/// Whether a file holds JSON, by its name.
pub fn is_name_of_json(file: &str) -> bool {
    Path::new(file).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

/// Reads a JSON text. The values are those that the filter would see; only their places come from the YAML reader.
pub fn read(text: &str) -> Result<Node, Problem> {
    read_within(text, Bounds { depth: yaml::MOST_DEPTH, values: usize::MAX })
}

/// [`read`] within the bounds that the filter has for this kind of document.
pub fn read_within(text: &str, bounds: Bounds) -> Result<Node, Problem> {
    let value = strict_json::parse_within(text.as_bytes(), bounds).map_err(|fault| unread(text, &fault))?;
    let mut node = Node::from(value);
    if let Ok(placed) = yaml::read(text) {
        take_places(&mut node, placed);
    }
    Ok(node)
}

/// Gives a tree the places of another one of the same text.
fn take_places(node: &mut Node, placed: Node) {
    node.at = placed.at;
    match (&mut node.value, placed.value) {
        (Value::List(items), Value::List(others)) => {
            items.iter_mut().zip(others).for_each(|(item, other)| take_places(item, other));
        }
        (Value::Map(entries), Value::Map(others)) => {
            let mut others: HashMap<String, (Position, Node)> =
                others.into_iter().map(|(key, node)| (key.text, (key.at, node))).collect();
            for (key, value) in entries {
                if let Some((at, other)) = others.remove(&key.text) {
                    key.at = at;
                    take_places(value, other);
                }
            }
        }
        _ => {}
    }
}

/// The place and the reason of a syntax error. The strict reader has no positions, so the place comes from a second reader
/// that rejects most of the same texts.
fn unread(text: &str, fault: &Malformed) -> Problem {
    let start = Place { line: 1, column: 1, path: String::new() };
    if text.starts_with('\u{feff}') {
        let message = "not JSON: it begins with a byte order mark, which JSON text must not have (RFC 8259 §8.1)";
        return Problem { place: start, message: message.to_string() };
    }
    let Err(error) = serde_json::from_str::<serde_json::Value>(text) else {
        let told = yaml::read(text).err().filter(|_| matches!(fault, Malformed::DuplicateMember(_)));
        return told.unwrap_or(Problem { place: start, message: fault.to_string() });
    };
    let said = error.to_string();
    let reason = said.split(" at line ").next().unwrap_or_default();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let place = Place { line: count(error.line()), column: count(error.column()), path: String::new() };
    Problem { place, message: format!("not JSON: {reason}") }
}

/// JSON text as YAML text: a character beyond U+FFFF is two escapes in JSON and one in YAML. Other text is left as it is.
pub fn as_yaml(text: &str) -> Cow<'_, str> {
    let may_hold_pairs = text.trim_start().starts_with(['{', '[', '"']) && text.contains("\\u");
    if !may_hold_pairs || serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        out.push_str(before);
        match pair(escape) {
            Some((character, behind)) => {
                out.push_str(&format!("\\U{:08x}", u32::from(character)));
                rest = behind;
            }
            None => {
                // The character after a backslash belongs to it, a second backslash most of all.
                let mut characters = escape.chars();
                out.push('\\');
                out.extend(characters.next());
                rest = characters.as_str();
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Reads `uD83D\uDE00`, the first backslash already gone (RFC 8259 §7).
fn pair(escape: &str) -> Option<(char, &str)> {
    let (high, rest) = unit(escape)?;
    let (low, rest) = unit(rest.strip_prefix('\\')?)?;
    let character = char::decode_utf16([high, low]).next()?.ok()?;
    (u32::from(character) > 0xffff).then_some((character, rest))
}

fn unit(escape: &str) -> Option<(u16, &str)> {
    let (digits, rest) = escape.strip_prefix('u')?.split_at_checked(4)?;
    Some((u16::from_str_radix(digits, 16).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use crate::cli::yaml;

    #[test]
    fn json_reads_as_json_whatever_its_strings_hold() {
        for text in [
            r#"{"a":"\ud83d\ude00","b":"x"}"#,
            r#"["\\ud83d\\ude00 \\", "\uD83D\uDE00\ud83d\ude01", "\u00e9\/\"\b\f"]"#,
            r#"{"a":"é\u0041 😀"}"#,
        ] {
            let expected: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(yaml::read(text).unwrap().to_json(), expected, "{text}");
        }
        assert_eq!(yaml::read("a: '\\ud83d\\ude00'").unwrap().to_json()["a"], "\\ud83d\\ude00");
        assert!(yaml::read(r#"{"a":"\ud83d"}"#).is_err());
    }
}
