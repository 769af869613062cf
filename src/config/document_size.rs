//! Bounds on the size of a gateway document.
//!
//! The bounds are the same for YAML, JSON text and a protobuf `Struct`. A document that is small enough for the command line tool
//! is therefore also small enough for the filter.

use super::node::{Node, Value};
use super::problem::{Place, Problem};

/// The maximum nesting depth of lists and mappings; the document itself is the first level.
pub const MAX_DEPTH: usize = crate::strict_json::MAX_DEPTH;

/// The maximum number of values in a document. A YAML alias counts as a copy of the value that it refers to.
pub const MAX_VALUES: usize = 500_000;

/// The maximum total size of keys and strings in bytes. A YAML alias counts as a copy of the value that it refers to.
pub const MAX_TEXT: usize = 16 * 1024 * 1024;

/// The number of values and bytes that the unchecked rest of the document may still have.
struct SizeLeft {
    values: usize,
    text: usize,
}

/// Checks a parsed document against all bounds. The parsers accept a nesting of at least twice [`MAX_DEPTH`], so that this check
/// can report the location of a value that is nested too deeply.
///
/// # Errors
/// The problem contains the first location that exceeds a bound.
pub fn check(root: &Node) -> Result<(), Problem> {
    walk(root, 0, &mut SizeLeft { values: MAX_VALUES, text: MAX_TEXT })
}

fn walk(node: &Node, depth: usize, left: &mut SizeLeft) -> Result<(), Problem> {
    let beyond = |message: String| {
        let place = Place { line: node.at.line, column: node.at.column, path: String::new() };
        Err(Problem { place, message })
    };
    let text = match &node.value {
        Value::Text(text) => text.len(),
        Value::Map(entries) => entries.iter().map(|(key, _)| key.text.len()).sum(),
        _ => 0,
    };
    match (left.values.checked_sub(1), left.text.checked_sub(text)) {
        (Some(values), Some(text)) => *left = SizeLeft { values, text },
        (None, _) => return beyond(format!("the document has more than {MAX_VALUES} values, aliases expanded")),
        (_, None) => {
            return beyond(format!("the document has more than {} MiB of text, aliases expanded", MAX_TEXT >> 20));
        }
    }
    match &node.value {
        Value::List(_) | Value::Map(_) if depth == MAX_DEPTH => {
            beyond(format!("the document is nested more than {MAX_DEPTH} levels deep"))
        }
        Value::List(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(i, item)| walk(item, depth + 1, left).map_err(|problem| below(&format!("[{i}]"), problem))),
        Value::Map(entries) => entries
            .iter()
            .try_for_each(|(key, value)| walk(value, depth + 1, left).map_err(|problem| below(&key.text, problem))),
        _ => Ok(()),
    }
}

/// Prepends a step to the path of a problem. The path is built only after a problem was found, because most documents have no
/// problem.
fn below(step: &str, mut problem: Problem) -> Problem {
    let inner = std::mem::take(&mut problem.place.path);
    let dot = if inner.is_empty() || inner.starts_with('[') { "" } else { "." };
    problem.place.path = format!("{step}{dot}{inner}");
    problem
}
