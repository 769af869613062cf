//! What an import could not carry over, each thing with its place: nothing is dropped without a word.

use crate::config::node::{Node, Position, Value};

/// The list, in the order of the text.
#[derive(Default)]
pub struct Losses(Vec<(Position, String, String)>);

impl Losses {
    /// Notes a loss at a place.
    pub fn add(&mut self, at: Position, path: &str, message: impl Into<String>) {
        self.0.push((at, path.to_string(), message.into()));
    }

    /// Notes something about the file as a whole.
    pub fn add_everywhere(&mut self, message: &str) {
        self.add(Position::default(), "document", message);
    }

    /// Notes every key of a mapping that is not among those that were carried over.
    pub fn others(&mut self, node: &Node, path: &str, carried: &[&str]) {
        let Value::Map(entries) = &node.value else { return };
        for (key, _) in entries.iter().filter(|(key, _)| !carried.contains(&key.text.as_str())) {
            self.add(key.at, &child(path, &key.text), "was not carried over: there is nothing like it here");
        }
    }

    /// `file:line:col: path: message`, a line each.
    pub fn lines(mut self, file: &str) -> Vec<String> {
        self.0.sort_by_key(|(at, _, _)| (at.line, at.column));
        let line = |(at, path, message): &(Position, String, String)| match at.line {
            0 => format!("{file}: warning: {message}"),
            _ => format!("{file}:{}:{}: {path}: warning: {message}", at.line, at.column),
        };
        self.0.iter().map(line).collect()
    }
}

/// The path of a member.
pub fn child(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_string() } else { format!("{path}.{key}") }
}

/// The text under a key.
pub fn text<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    match node.get(key).map(|n| &n.value) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

/// The truth value under a key.
pub fn flag(node: &Node, key: &str) -> Option<bool> {
    match node.get(key).map(|n| &n.value) {
        Some(Value::Bool(flag)) => Some(*flag),
        _ => None,
    }
}

/// The items of a list under a key; none when there is no list.
pub fn items<'n>(node: &'n Node, key: &str) -> &'n [Node] {
    match node.get(key).map(|n| &n.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}
