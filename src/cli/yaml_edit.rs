//! Edits the text of a YAML or JSON document in place; all other characters stay unchanged, including comments.
//!
//! An edit supports the usual layouts. The new text is accepted only if it parses to exactly the intended value.

use serde_json::{Map, Value as Json};

use super::{yaml, yaml_emitter};
use crate::config::node::{Node, Position, Value};

/// The text of a document during an edit, and the value that the text must have at the end.
pub struct Draft {
    text: String,
    meant: Json,
}

/// One step on the path from the root of a document to a value.
#[derive(Clone, Copy)]
pub enum PathStep<'s> {
    /// A step to the member of a mapping.
    Key(&'s str),
    /// A step to the item of a list.
    Item(usize),
}

/// The members of a new mapping, in order; all values are strings.
pub type YamlMembers<'m> = [(&'m str, String)];

impl Draft {
    /// Starts an edit of a document; `root` is its parsed tree.
    pub fn new(text: &str, root: &Node) -> Draft {
        Draft { text: text.to_string(), meant: root.to_json() }
    }

    /// Sets a member of the mapping at `path` to a value.
    pub fn set(&mut self, path: &[PathStep<'_>], key: &str, value: &str) -> Option<()> {
        let root = yaml::read(&self.text).ok()?;
        let map = at(&root, path)?;
        let Value::Map(entries) = &map.value else { return None };
        self.text = match entries.iter().find(|(known, _)| known.text == key) {
            Some((_, old)) => replaced(&self.text, old, value)?,
            None => {
                let entry = format!("{}: {}", self.word(key), self.quoted(value));
                let last = entries.last().map(|(key, value)| (key.at, value));
                match is_flow(&self.text, map) {
                    true => add_flow(&self.text, map, last, &entry)?,
                    false => {
                        let first = entries.first()?.0.at;
                        let indent = indent_of(first);
                        let line = last_line(&self.text, first.line, |line| indent_in(line) >= indent);
                        after_line(&self.text, line, &[format!("{}{entry}", " ".repeat(indent))])
                    }
                }
            }
        };
        object(&mut self.meant, path)?.insert(key.to_string(), value.into());
        Some(())
    }

    /// Appends an item to the list under `key` of the mapping at `path`. If the list does not exist, creates it.
    pub fn push(&mut self, path: &[PathStep<'_>], key: &str, item: &YamlMembers<'_>) -> Option<()> {
        let root = yaml::read(&self.text).ok()?;
        let map = at(&root, path)?;
        let Value::Map(entries) = &map.value else { return None };
        self.text = match entries.iter().find(|(known, _)| known.text == key) {
            Some((name, list)) => match &list.value {
                Value::List(items) if is_flow(&self.text, list) => {
                    let last = items.last().map(|item| (item.at, item));
                    add_flow(&self.text, list, last, &self.flow(item))?
                }
                Value::List(items) => self.add_block(items, item)?,
                // The key has no value, as in `keys:`.
                Value::Null if list.at == name.at => {
                    let lines = self.block(indent_of(name.at) + 2, item);
                    after_line(&self.text, name.at.line, &lines)
                }
                _ => return None,
            },
            None if is_flow(&self.text, map) => {
                let entry = format!("{}: [{}]", self.word(key), self.flow(item));
                let last = entries.last().map(|(key, value)| (key.at, value));
                add_flow(&self.text, map, last, &entry)?
            }
            None => {
                let first = entries.first()?.0.at;
                let indent = indent_of(first);
                let line = last_line(&self.text, first.line, |line| indent_in(line) >= indent);
                let head = format!("{}{}:", " ".repeat(indent), self.word(key));
                after_line(&self.text, line, &[vec![head], self.block(indent + 2, item)].concat())
            }
        };
        let members = item.iter().map(|(name, value)| ((*name).to_string(), Json::from(value.as_str())));
        let list = object(&mut self.meant, path)?.entry(key).or_insert_with(|| Json::Array(Vec::new()));
        if list.is_null() {
            *list = Json::Array(Vec::new());
        }
        list.as_array_mut()?.push(Json::Object(members.collect()));
        Some(())
    }

    /// Returns the new text and its tree; `None` if the text does not have the intended value.
    pub fn finish(self) -> Option<(String, Node)> {
        let root = yaml::read(&self.text).ok()?;
        (root.to_json() == self.meant).then_some((self.text, root))
    }

    fn is_json(&self) -> bool {
        self.text.trim_start().starts_with('{')
    }

    fn word(&self, key: &str) -> String {
        if self.is_json() { format!("\"{key}\"") } else { key.to_string() }
    }

    fn quoted(&self, value: &str) -> String {
        let needs_quotes = self.is_json() || value.contains([',', '[', ']', '{', '}']);
        if needs_quotes { Json::from(value).to_string() } else { yaml_emitter::text(value) }
    }

    /// Formats an item in flow style, such as `{ id: b-1, prefix: … }`.
    fn flow(&self, item: &YamlMembers<'_>) -> String {
        let members: Vec<_> =
            item.iter().map(|(key, value)| format!("{}: {}", self.word(key), self.quoted(value))).collect();
        format!("{{ {} }}", members.join(", "))
    }

    /// Formats an item in block style: `- id: b-1` and the lines below it.
    fn block(&self, indent: usize, item: &YamlMembers<'_>) -> Vec<String> {
        let lead = |i: usize| format!("{}{}", " ".repeat(indent), if i == 0 { "- " } else { "  " });
        let line = |(i, (key, value)): (usize, &(&str, String))| format!("{}{key}: {}", lead(i), self.quoted(value));
        item.iter().enumerate().map(line).collect()
    }

    /// Appends an item to a block-style list. The new item has the layout of the first item.
    fn add_block(&self, items: &[Node], item: &YamlMembers<'_>) -> Option<String> {
        let first = items.first()?;
        let (before, _) = split_at(&self.text, first.at)?;
        let lead = before.rsplit('\n').next().unwrap_or_default().trim_end();
        let dash = lead.chars().count().checked_sub(1).filter(|_| lead.ends_with('-'))?;
        let inside = |line: &str| {
            let indent = indent_in(line);
            indent > dash || indent == dash && line.trim_start().starts_with('-')
        };
        let line = last_line(&self.text, first.at.line, inside);
        Some(match is_flow(&self.text, first) {
            true => after_line(&self.text, line, &[format!("{}- {}", " ".repeat(dash), self.flow(item))]),
            false => after_line(&self.text, line, &self.block(dash, item)),
        })
    }
}

/// Returns the value at a path.
fn at<'n>(root: &'n Node, path: &[PathStep<'_>]) -> Option<&'n Node> {
    path.iter().try_fold(root, |node, step| match (step, &node.value) {
        (PathStep::Key(key), _) => node.get(key),
        (PathStep::Item(index), Value::List(items)) => items.get(*index),
        (PathStep::Item(_), _) => None,
    })
}

fn object<'j>(root: &'j mut Json, path: &[PathStep<'_>]) -> Option<&'j mut Map<String, Json>> {
    let found = path.iter().try_fold(root, |value, step| match step {
        PathStep::Key(key) => value.get_mut(*key),
        PathStep::Item(index) => value.get_mut(*index),
    });
    found?.as_object_mut()
}

/// Whether a mapping or list is written in brackets. Comparing positions is not enough: a block-style list can start at the
/// position of its first item, and that item can be in brackets.
pub fn is_flow(text: &str, node: &Node) -> bool {
    let bracket = if matches!(node.value, Value::List(_)) { '[' } else { '{' };
    split_at(text, node.at).is_some_and(|(_, rest)| rest.starts_with(bracket))
}

/// Returns the text with one string value replaced. The quotes of the old value are kept.
fn replaced(text: &str, old: &Node, value: &str) -> Option<String> {
    let Value::Text(was) = &old.value else { return None };
    let (before, rest) = split_at(text, old.at)?;
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
    let quote = quote.map(String::from).unwrap_or_default();
    let after = rest.strip_prefix(quote.as_str())?.strip_prefix(was.as_str())?.strip_prefix(quote.as_str())?;
    let quote = if quote.is_empty() { "\"" } else { &quote };
    Some(format!("{before}{quote}{value}{quote}{after}"))
}

/// Returns the text with an entry added after the last entry in brackets. If the last entry starts a line, the new entry also
/// starts one.
fn add_flow(text: &str, node: &Node, last: Option<(Position, &Node)>, entry: &str) -> Option<String> {
    let Some((start, value)) = last else {
        let (before, rest) = split_at(text, node.at)?;
        let bracket = rest.chars().next().filter(|c| matches!(c, '{' | '['))?;
        return Some(format!("{before}{bracket} {entry} {}", rest.get(1..)?.trim_start_matches(' ')));
    };
    let (line, _) = split_at(text, start)?;
    let lead = line.rsplit('\n').next().unwrap_or_default();
    let separator = match lead.trim().is_empty() {
        true => format!(",{}{lead}", newline(text)),
        false => ", ".to_string(),
    };
    let (before, rest) = split_at(text, value.at)?;
    let (last, after) = rest.split_at_checked(length(rest)?)?;
    Some(format!("{before}{last}{separator}{entry}{after}"))
}

/// Returns the length in bytes of the value at the start of a text.
fn length(text: &str) -> Option<usize> {
    let quoted = |text: &str, quote: char| {
        let mut escaped = false;
        let end = text.char_indices().skip(1).find(|(_, c)| match c {
            _ if escaped => {
                escaped = false;
                false
            }
            '\\' if quote == '"' => {
                escaped = true;
                false
            }
            c => *c == quote,
        });
        end.map(|(at, _)| at + 1)
    };
    match text.chars().next()? {
        quote @ ('"' | '\'') => quoted(text, quote),
        '{' | '[' => {
            let (mut at, mut depth) = (0, 0_usize);
            loop {
                let rest = text.get(at..)?;
                match rest.chars().next()? {
                    quote @ ('"' | '\'') => at += quoted(rest, quote)?,
                    '#' if text.get(..at)?.ends_with([' ', '\n']) => at += rest.find('\n')?,
                    bracket @ ('{' | '[' | '}' | ']') => {
                        depth = if matches!(bracket, '{' | '[') { depth + 1 } else { depth.checked_sub(1)? };
                        at += 1;
                        if depth == 0 {
                            return Some(at);
                        }
                    }
                    other => at += other.len_utf8(),
                }
            }
        }
        _ => {
            let end = text.find([',', '}', ']', '\n']).unwrap_or(text.len());
            let word = text.get(..end)?;
            Some(word.split(" #").next().unwrap_or(word).trim_end().len())
        }
    }
}

fn split_at(text: &str, at: Position) -> Option<(&str, &str)> {
    let before: usize = text.split_inclusive('\n').take(at.line.checked_sub(1)? as usize).map(str::len).sum();
    let line = text.get(before..)?;
    let within = line.char_indices().nth(indent_of(at)).map_or(line.len(), |(within, _)| within);
    text.split_at_checked(before + within)
}

/// Returns the number of characters before a position on its line.
pub fn indent_of(at: Position) -> usize {
    at.column.saturating_sub(1) as usize
}

/// Returns the number of spaces at the start of a line.
pub fn indent_in(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// Returns the last content line of a block that starts at line `from`. Comments and blank lines are not content.
pub fn last_line(text: &str, from: u32, belongs: impl Fn(&str) -> bool) -> u32 {
    let says = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let following = text.lines().zip(1_u32..).skip(from as usize);
    let inside = following.take_while(|(line, _)| !says(line) || belongs(line));
    inside.filter(|(line, _)| says(line)).map(|(_, number)| number).last().unwrap_or(from)
}

/// Returns the text with new lines inserted after a line.
pub fn after_line(text: &str, line: u32, new: &[String]) -> String {
    let end = newline(text);
    let mut out = String::with_capacity(text.len() + new.iter().map(|line| line.len() + 2).sum::<usize>());
    for (at, written) in (1_u32..).zip(text.split_inclusive('\n')) {
        out.push_str(written);
        if at == line {
            if !written.ends_with('\n') {
                out.push_str(end);
            }
            new.iter().for_each(|line| out.extend([line.as_str(), end]));
        }
    }
    out
}

/// Returns the line ending that the text uses.
fn newline(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

#[cfg(test)]
mod tests;
