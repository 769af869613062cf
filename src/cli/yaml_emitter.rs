//! Writes readable YAML that every parser reads in the same way.
//! The order of keys is stable, and strings that a parser could read as another type are quoted.

use serde_json::{Map, Value};

use super::yaml_scalar;
use crate::config::node;
use crate::printable;

/// Writes a value as a YAML document. `@type`, `name`, `version` and `path` come first, then the other keys in alphabetical
/// order.
pub fn yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(members) if !members.is_empty() => mapping(&mut out, members, 0),
        Value::Array(items) if !items.is_empty() => list(&mut out, items, 0),
        simple => {
            out.push_str(&inline(simple));
            out.push('\n');
        }
    }
    out
}

/// Writes a string as a YAML scalar on one line.
pub fn text(text: &str) -> String {
    if is_plain(text) {
        text.to_string()
    } else if text.chars().any(printable::is_hidden) {
        double_quoted(text)
    } else if text.contains('\'') && !text.contains(['"', '\\']) {
        format!("\"{text}\"")
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// Writes a double-quoted scalar with every hidden character escaped. JSON escapes are valid in YAML, except surrogate pairs
/// (YAML 1.2.2 §5.7).
fn double_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in Value::String(text.to_string()).to_string().chars() {
        match u32::from(c) {
            _ if !printable::is_hidden(c) => out.push(c),
            code @ ..=0xffff => out.push_str(&format!("\\u{code:04x}")),
            code => out.push_str(&format!("\\U{code:08x}")),
        }
    }
    out
}

fn mapping(out: &mut String, members: &Map<String, Value>, indent: usize) {
    let first = LEADING.iter().filter_map(|key| members.get_key_value(*key));
    let rest = members.iter().filter(|(key, _)| !LEADING.contains(&key.as_str()));
    for (i, (key, value)) in first.chain(rest).enumerate() {
        if i > 0 || out.is_empty() || out.ends_with('\n') {
            out.push_str(&" ".repeat(indent));
        }
        out.push_str(&text(key));
        out.push(':');
        below(out, value, indent);
    }
}

fn list(out: &mut String, items: &[Value], indent: usize) {
    for item in items {
        out.push_str(&" ".repeat(indent));
        out.push_str("- ");
        match item {
            Value::Object(members) if !members.is_empty() => mapping(out, members, indent + 2),
            simple => {
                out.push_str(&inline(simple));
                out.push('\n');
            }
        }
    }
}

/// Writes the value of a key. Mappings with members, and lists that contain mappings or lists, start on the next line. All
/// other values are on the line of the key.
fn below(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            out.push('\n');
            mapping(out, members, indent + 2);
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            out.push('\n');
            list(out, items, indent);
        }
        simple => {
            out.push(' ');
            out.push_str(&inline(simple));
            out.push('\n');
        }
    }
}

/// Writes a value on one line, with nested values in flow style.
fn inline(value: &Value) -> String {
    match value {
        Value::String(t) => text(t),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(key, value)| format!("{}: {}", text(key), flow(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
        other => other.to_string(),
    }
}

/// Writes a value inside a list or mapping in flow style. There, a comma, bracket or brace ends a plain scalar, so strings with
/// these characters are quoted.
fn flow(value: &Value) -> String {
    match value {
        Value::String(t) if t.contains([',', '[', ']', '{', '}']) && !t.chars().any(printable::is_hidden) => {
            format!("'{}'", t.replace('\'', "''"))
        }
        other => inline(other),
    }
}

/// Returns whether a string needs no quotes, not even for YAML 1.1 parsers. Without quotes, they read more strings as other
/// types (`no`, `12:30`, `1_000`).
fn is_plain(text: &str) -> bool {
    let resolves_to_text = matches!(yaml_scalar::resolve(text), Ok(node::Value::Text(_)));
    let starts_safely = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '_'))
        || text.strip_suffix('s').is_some_and(|span| span.bytes().all(|b| b.is_ascii_digit()));
    let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '.' | '-' | ':' | ' ' | '+' | '=');
    let is_word_of_yaml_1_1 = YAML_1_1.iter().any(|word| text.eq_ignore_ascii_case(word));
    resolves_to_text
        && starts_safely
        && text.chars().all(is_safe)
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && !is_word_of_yaml_1_1
}

const LEADING: [&str; 4] = ["@type", "name", "version", "path"];
const YAML_1_1: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "true", "false"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::yaml;

    #[test]
    fn documents_survive_a_round_trip_and_look_like_yaml() {
        let value = serde_json::json!({
            "routes": [{"path": "/a/{.+}", "name": "all", "method": ["GET", "no"], "empty": {}, "list": []}, 7, [1, [2]]],
            "@type": "type.example/X", "text": "line\nbreak\u{7f}\t'", "n": null, "word": "yes", "num": "1e3", "time": "12:30",
            "span": "15s", "colon": "a: b", "hash": "a #b", "json": "{\"a\":\"it's\"}", "big": 9_007_199_254_740_993_u64, "f": 1.5,
            "": "", "hidden": "\u{202e}\u{9b}\u{7f}\u{feff}", "tags": ["\u{e0041}, \n"], " lead": "trail ", "flow": ["a,b", "{x}", "a: b"], "nested": {"deep": [{"a": [{"b": 1}]}]},
        });
        let text = yaml(&value);
        assert_eq!(yaml::read(&text).unwrap().to_json(), value, "{text}");
        assert!(text.starts_with("'@type': type.example/X\n"), "{text}");
        assert!(
            text.contains(
                "\nroutes:\n- name: all\n  path: '/a/{.+}'\n  empty: {}\n  list: []\n  method: [GET, 'no']\n- 7\n"
            ),
            "{text}"
        );
    }
}
