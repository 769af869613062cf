//! Reads JSON text with the filter's own parser, and takes the locations of the values from the YAML parser.

use std::collections::HashMap;
use std::path::Path;

use super::yaml;
use crate::config::node::{Node, Position, Value};
use crate::config::problem::{Place, Problem};
use crate::strict_json;
use crate::strict_json::{Bounds, Malformed};

/// Returns whether a file name has the extension `json`, in any letter case.
pub fn is_name_of_json(file: &str) -> bool {
    Path::new(file).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

/// Reads JSON text. The values are exactly those that the filter reads. The YAML parser supplies only the positions.
pub fn read(text: &str) -> Result<Node, Problem> {
    read_within(text, Bounds { depth: yaml::MAX_DEPTH, values: usize::MAX })
}

/// Like [`read`], but with `bounds`, the limits on depth and size that the filter has for one kind of document.
pub fn read_within(text: &str, bounds: Bounds) -> Result<Node, Problem> {
    let value = strict_json::parse_within(text.as_bytes(), bounds).map_err(|fault| syntax_problem(text, &fault))?;
    let mut node = Node::from(value);
    if let Ok(placed) = yaml::read(text) {
        take_places(&mut node, placed);
    }
    Ok(node)
}

/// Copies the locations from `placed`, the YAML parser's result for the same text.
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

/// Returns the location and the reason of a syntax error. The filter's own parser reports no positions. The text is therefore
/// parsed again with serde_json, which refuses nearly the same texts.
fn syntax_problem(text: &str, fault: &Malformed) -> Problem {
    let start = Place { line: 1, column: 1, path: String::new() };
    if text.starts_with('\u{feff}') {
        let message = "not JSON: it begins with a byte order mark, which JSON text must not have (RFC 8259 §8.1)";
        return Problem { place: start, message: message.to_string() };
    }
    let Err(error) = serde_json::from_str::<serde_json::Value>(text) else {
        let duplicate = yaml::read(text).err().filter(|_| matches!(fault, Malformed::DuplicateMember(_)));
        return duplicate.unwrap_or(Problem { place: start, message: fault.to_string() });
    };
    let said = error.to_string();
    let reason = said.split(" at line ").next().unwrap_or_default();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let place = Place { line: count(error.line()), column: count(error.column()), path: String::new() };
    Problem { place, message: format!("not JSON: {reason}") }
}
