//! Edits the text of a YAML or JSON document in place; all other characters stay unchanged, including comments.
//!
//! An edit is accepted only if it changes no other character and the new text parses to exactly the intended value.

use std::str::FromStr;

use serde_json::{Map, Value as Json};
use yaml_edit::{Mapping, YamlFile, YamlNode};

use super::{yaml, yaml_emitter};
use crate::config::node::Node;

/// The text of a document during an edit, and the value that the text must have at the end. A method that cannot edit the
/// document's layout returns `None`.
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

/// The text of a new value in flow style and in block style.
pub struct StyledText {
    /// The text in flow style, with brackets or braces. For a JSON document, it must be valid JSON.
    pub flow: String,
    /// The text in block style, with one member on each line.
    pub block: String,
}

impl Draft {
    /// Starts an edit of a document; `root` is its parsed tree.
    pub fn new(text: &str, root: &Node) -> Draft {
        Draft { text: text.to_string(), meant: root.to_json() }
    }

    /// Sets a member of the mapping at `path` to a string. If the old value is in single quotes, the new value is in single
    /// quotes too; in place of any other old scalar, the new value is in double quotes.
    pub fn set(&mut self, path: &[PathStep<'_>], key: &str, value: &str) -> Option<()> {
        let file = YamlFile::from_str(&self.text).ok()?;
        let map = mapping(&file, path)?;
        object(&mut self.meant, path)?.insert(key.to_string(), value.into());
        let Some(old) = map.get(key) else {
            map.set(key, parsed(&self.quoted(value))?);
            return self.accept(file.to_string(), &Addition::of_last_member(&map)?);
        };
        let at = span(&old)?;
        let quoted = match self.text.get(at.start..at.end)?.starts_with('\'') {
            true => format!("'{}'", value.replace('\'', "''")),
            false => Json::from(value).to_string(),
        };
        old.as_scalar()?;
        map.set(key, parsed(&quoted)?);
        let text = file.to_string();
        let replaces_only =
            text.get(..at.start) == self.text.get(..at.start) && text.ends_with(self.text.get(at.end..)?);
        self.text = Some(text).filter(|_| replaces_only)?;
        Some(())
    }

    /// Adds a member to the mapping at `path`. In flow style (`{ … }`), the new member becomes the first member; in block
    /// style, the last.
    pub fn insert(&mut self, path: &[PathStep<'_>], key: &str, value: &StyledText) -> Option<()> {
        let file = YamlFile::from_str(&self.text).ok()?;
        let map = mapping(&file, path)?;
        object(&mut self.meant, path)?.insert(key.to_string(), yaml::read(&value.flow).ok()?.to_json());
        if map.is_flow_style() {
            map.insert_at_index(0, key, parsed(&value.flow)?);
            let start = span(&map.entries().next()?.key_node()?)?.start;
            return self.accept(file.to_string(), &Addition { start, before: None, is_flow: true });
        }
        map.set(key, parsed(&value.block)?);
        self.accept(file.to_string(), &Addition::of_last_member(&map)?)
    }

    /// Appends an item to the list under `key` of the mapping at `path`. If the list does not exist, creates it.
    pub fn push(&mut self, path: &[PathStep<'_>], key: &str, item: &YamlMembers<'_>) -> Option<()> {
        let file = YamlFile::from_str(&self.text).ok()?;
        let map = mapping(&file, path)?;
        let members = item.iter().map(|(name, value)| ((*name).to_string(), Json::from(value.as_str())));
        let meant = object(&mut self.meant, path)?.entry(key).or_insert(Json::Null);
        let is_new = meant.is_null();
        if is_new {
            *meant = Json::Array(Vec::new());
        }
        meant.as_array_mut()?.push(Json::Object(members.collect()));
        if is_new {
            let list = match map.is_flow_style() {
                true => format!("[{}]", self.flow(item)),
                false => self.block(item).replace('\n', "\n  ").trim_end().replacen("", "- ", 1),
            };
            map.set(key, parsed(&list)?);
            return self.accept(file.to_string(), &Addition::of_last_member(&map)?);
        }
        let list = map.get(key)?.as_sequence()?.clone();
        let is_flow_item = |item: YamlNode| item.as_mapping().is_some_and(Mapping::is_flow_style);
        let is_flow = list.is_flow_style() || list.first().is_some_and(is_flow_item);
        list.push(parsed(&if is_flow { self.flow(item) } else { self.block(item) })?);
        let starts: Vec<usize> = list.values().filter_map(|item| Some(span(&item)?.start)).collect();
        self.accept(file.to_string(), &Addition::of_last(&starts, list.is_flow_style())?)
    }

    /// Returns the new text and its parsed form; `None` if the text does not have the intended value.
    pub fn finish(self) -> Option<(String, Node)> {
        let root = yaml::read(&self.text).ok()?;
        (root.to_json() == self.meant).then_some((self.text, root))
    }

    /// Replaces the text of the draft with `text`, which must be the old text with one addition; otherwise returns `None`. If
    /// [`Addition::laid_out`] returns a better layout of `text`, uses that layout.
    fn accept(&mut self, text: String, addition: &Addition) -> Option<()> {
        let added = text.len().checked_sub(self.text.len())?;
        let laid_out = addition.laid_out(&text, added, &self.meant).filter(|text| only_adds(&self.text, text));
        self.text = laid_out.or_else(|| Some(text).filter(|text| only_adds(&self.text, text)))?;
        Some(())
    }

    fn is_json(&self) -> bool {
        self.text.trim_start().starts_with('{')
    }

    fn quoted(&self, value: &str) -> String {
        let needs_quotes = self.is_json() || value.contains([',', '[', ']', '{', '}']);
        if needs_quotes { Json::from(value).to_string() } else { yaml_emitter::text(value) }
    }

    /// Formats an item in flow style, such as `{ id: b-1, prefix: … }`.
    fn flow(&self, item: &YamlMembers<'_>) -> String {
        let name = |key: &str| if self.is_json() { format!("\"{key}\"") } else { key.to_string() };
        let members: Vec<_> =
            item.iter().map(|(key, value)| format!("{}: {}", name(key), self.quoted(value))).collect();
        format!("{{ {} }}", members.join(", "))
    }

    /// Formats an item in block style, with one line for each member.
    fn block(&self, item: &YamlMembers<'_>) -> String {
        item.iter().map(|(key, value)| format!("{key}: {}\n", self.quoted(value))).collect()
    }
}

/// The location of a new entry in the new text, in bytes.
struct Addition {
    start: usize,
    /// The start of the entry before the new entry, if there is one.
    before: Option<usize>,
    is_flow: bool,
}

impl Addition {
    fn of_last_member(map: &Mapping) -> Option<Addition> {
        let starts: Vec<usize> = map.entries().filter_map(|entry| Some(span(&entry.key_node()?)?.start)).collect();
        Addition::of_last(&starts, map.is_flow_style())
    }

    fn of_last(starts: &[usize], is_flow: bool) -> Option<Addition> {
        let (start, before) = starts.split_last()?;
        Some(Addition { start: *start, before: before.last().copied(), is_flow })
    }

    /// Returns the text in the layout of the entries around the addition; `None` if the layout needs no change. In flow style,
    /// the addition starts a new line if the entry before it starts a line. In block style, blank lines before the addition move
    /// after it.
    fn laid_out(&self, text: &str, added: usize, meant: &Json) -> Option<String> {
        let line_of = |at: usize| text.get(..at).map(|head| head.rfind('\n').map_or(0, |end| end + 1));
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let (head, tail) = text.split_at_checked(self.start)?;
        if self.is_flow {
            let Some(before) = self.before else {
                let (new, rest) = tail.split_at_checked(added)?;
                let is_alone = head.ends_with(['{', '[']) && rest.starts_with(['}', ']']);
                return is_alone.then(|| format!("{head} {new} {rest}"));
            };
            let lead = text.get(line_of(before)?..before).filter(|lead| lead.trim().is_empty())?;
            return Some(format!("{},{newline}{lead}{tail}", head.strip_suffix(", ")?));
        }
        let (head, tail) = text.split_at_checked(line_of(self.start)?)?;
        let (new, tail) = tail.split_at_checked(added)?;
        let kept = head.trim_end();
        let blank = head.strip_prefix(kept)?.strip_prefix(newline).filter(|blank| !blank.is_empty())?;
        let moved = format!("{kept}{newline}{new}{blank}{tail}");
        // After `|+`, blank lines belong to the value, so they cannot move.
        yaml::read(&moved).is_ok_and(|root| root.to_json() == *meant).then_some(moved)
    }
}

/// Returns whether the new text is the old text with an addition in one place.
fn only_adds(old: &str, new: &str) -> bool {
    let same = old.bytes().zip(new.bytes()).take_while(|(old, new)| old == new).count();
    let rest = old.as_bytes().get(same..).unwrap_or_default();
    new.len() >= old.len() && new.as_bytes().ends_with(rest)
}

/// Returns the mapping at a path. Aliases are not followed.
fn mapping(file: &YamlFile, path: &[PathStep<'_>]) -> Option<Mapping> {
    let root = YamlNode::Mapping(file.document()?.as_mapping()?);
    let found = path.iter().try_fold(root, |node, step| match step {
        PathStep::Key(key) => node.as_mapping()?.get(*key),
        PathStep::Item(index) => node.as_sequence()?.get(*index),
    });
    found?.as_mapping().cloned()
}

fn object<'j>(root: &'j mut Json, path: &[PathStep<'_>]) -> Option<&'j mut Map<String, Json>> {
    let found = path.iter().try_fold(root, |value, step| match step {
        PathStep::Key(key) => value.get_mut(*key),
        PathStep::Item(index) => value.get_mut(*index),
    });
    found?.as_object_mut()
}

/// Parses the text of a new value. Its quotes and brackets stay as they are.
fn parsed(text: &str) -> Option<YamlNode> {
    let document = YamlFile::from_str(text).ok()?.document()?;
    let list = document.as_sequence().map(YamlNode::Sequence);
    let map = document.as_mapping().map(YamlNode::Mapping);
    list.or(map).or_else(|| document.as_scalar().map(YamlNode::Scalar))
}

/// Returns the byte range of a value in the text.
fn span(node: &YamlNode) -> Option<std::ops::Range<usize>> {
    let range = node.byte_range();
    Some(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}

#[cfg(test)]
mod tests;
