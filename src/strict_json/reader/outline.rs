//! A JSON text together with the location of each value, for code that copies parts of the text unchanged.
//!
//! An outline needs less memory than a tree and keeps the order of members. Its parser accepts exactly the texts that
//! [`read`](super::read) accepts.

use std::borrow::Cow;
use std::iter;

use super::{JsonReader, MAX_DEPTH};
use crate::strict_json::pointer::{self, Pointer};
use crate::strict_json::{Bounds, Malformed};

/// A JSON text, and the locations of its values and member names in the order of the text.
#[derive(Debug)]
pub struct Outline<'t> {
    text: &'t str,
    nodes: Vec<OutlineNode>,
}

/// The type of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonKind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number.
    Number,
    /// A string.
    Text,
    /// An array.
    List,
    /// An object.
    Object,
}

/// A value or a member name in an [`Outline`].
#[derive(Clone, Copy, Debug)]
pub struct JsonRef<'o, 't> {
    outline: &'o Outline<'t>,
    at: usize,
    node: OutlineNode,
}

#[derive(Clone, Copy, Debug)]
struct OutlineNode {
    kind: JsonKind,
    is_name: bool,
    /// The range of bytes that contains the value: from `start` up to, but not including, `end`.
    start: usize,
    end: usize,
    /// The index of the first node after this value and everything inside it.
    next: usize,
}

/// Parses a text that contains exactly one value, and whitespace around it.
pub fn outline(text: &str, bounds: Bounds) -> Result<Outline<'_>, Malformed> {
    let reader = JsonReader { text, at: 0, values_left: bounds.values };
    let mut builder = OutlineBuilder { reader, nodes: Vec::new(), names: Vec::new() };
    builder.value(bounds.depth.min(MAX_DEPTH))?;
    builder.reader.skip_space();
    if builder.reader.peek().is_none() { Ok(Outline { text, nodes: builder.nodes }) } else { Err(Malformed::Syntax) }
}

impl<'t> Outline<'t> {
    /// Returns the top-level value.
    pub fn root(&self) -> JsonRef<'_, 't> {
        let null = OutlineNode { kind: JsonKind::Null, is_name: false, start: 0, end: 0, next: 0 };
        self.node(0).unwrap_or(JsonRef { outline: self, at: 0, node: null })
    }

    fn node(&self, at: usize) -> Option<JsonRef<'_, 't>> {
        self.nodes.get(at).map(|node| JsonRef { outline: self, at, node: *node })
    }
}

impl<'o, 't> JsonRef<'o, 't> {
    /// Returns the type of the value.
    pub fn kind(self) -> JsonKind {
        self.node.kind
    }

    /// Returns the text of the value, with the quotes of a string and the whitespace inside an array or object.
    pub fn text(self) -> &'t str {
        self.outline.text.get(self.node.start..self.node.end).unwrap_or_default()
    }

    /// Returns the string with decoded escapes; `None` if the value is not a string.
    pub fn string(self) -> Option<Cow<'t, str>> {
        let text = Some(self.text()).filter(|_| self.kind() == JsonKind::Text)?;
        let inner = text.strip_prefix('"')?.strip_suffix('"')?;
        if inner.contains('\\') {
            return JsonReader { text, at: 0, values_left: 0 }.string().ok();
        }
        Some(Cow::Borrowed(inner))
    }

    /// Iterates over the items of an array. Any other value has no items.
    pub fn items(self) -> impl Iterator<Item = JsonRef<'o, 't>> {
        self.children(JsonKind::List)
    }

    /// Iterates over the names and values of an object's members, in the order of the text. Any other value has no members.
    pub fn members(self) -> impl Iterator<Item = (JsonRef<'o, 't>, JsonRef<'o, 't>)> {
        let mut children = self.children(JsonKind::Object);
        iter::from_fn(move || Some((children.next()?, children.next()?)))
    }

    /// Iterates over the names of all members inside this value, at any depth.
    pub fn names(self) -> impl Iterator<Item = JsonRef<'o, 't>> {
        let outline = self.outline;
        (self.at..self.node.next).filter_map(move |at| outline.node(at)).filter(|inner| inner.node.is_name)
    }

    /// Returns the value at `pointer`, relative to this value; `None` if there is no such value.
    pub fn find(self, pointer: &Pointer) -> Option<JsonRef<'o, 't>> {
        pointer.segments().iter().try_fold(self, |value, segment| match value.kind() {
            JsonKind::Object => value
                .members()
                .find(|(name, _)| name.string().is_some_and(|name| name == *segment))
                .map(|found| found.1),
            JsonKind::List => value.items().nth(pointer::index(segment)?),
            _ => None,
        })
    }

    /// Returns the pointer from the root to this value. For the name of a member, returns the pointer to the value of the member.
    pub fn pointer(self) -> String {
        let mut out = String::new();
        let mut outer = self.outline.root();
        let contains = |inner: &JsonRef<'_, '_>| (inner.at..inner.node.next).contains(&self.at);
        while outer.at != self.at {
            let item = outer.items().enumerate().find(|(_, item)| contains(item));
            let member = outer.members().find(|(name, value)| name.at == self.at || contains(value));
            let (segment, inner) = match (item, member) {
                (Some((index, item)), _) => (index.to_string(), item),
                (None, Some((name, value))) => {
                    let inner = if name.at == self.at { name } else { value };
                    (name.string().unwrap_or_default().into_owned(), inner)
                }
                (None, None) => break,
            };
            out = pointer::join(&out, &segment);
            outer = inner;
        }
        out
    }

    fn children(self, kind: JsonKind) -> impl Iterator<Item = JsonRef<'o, 't>> {
        let end = if self.kind() == kind { self.node.next } else { 0 };
        let mut at = self.at + 1;
        iter::from_fn(move || {
            let child = self.outline.node(at).filter(|_| at < end)?;
            at = child.node.next;
            Some(child)
        })
    }
}

struct OutlineBuilder<'t> {
    reader: JsonReader<'t>,
    nodes: Vec<OutlineNode>,
    /// The member names of all objects that the parser has entered and not yet left. At the end of an object, its names are
    /// checked for duplicates and removed.
    names: Vec<Cow<'t, str>>,
}

impl OutlineBuilder<'_> {
    fn value(&mut self, depth_left: usize) -> Result<(), Malformed> {
        let reader = &mut self.reader;
        reader.values_left = reader.values_left.checked_sub(1).ok_or(Malformed::TooMany)?;
        reader.skip_space();
        let start = reader.at;
        match reader.peek() {
            Some(b'{') => self.object(depth_left.checked_sub(1).ok_or(Malformed::TooDeep)?),
            Some(b'[') => self.list(depth_left.checked_sub(1).ok_or(Malformed::TooDeep)?),
            _ => {
                let kind = reader.scalar()?;
                self.push(kind, start, false);
                Ok(())
            }
        }
    }

    fn object(&mut self, depth_left: usize) -> Result<(), Malformed> {
        let (node, first_name) = (self.nodes.len(), self.names.len());
        self.push(JsonKind::Object, self.reader.at, false);
        self.reader.at += 1;
        self.reader.skip_space();
        if !self.reader.takes(b'}') {
            loop {
                self.reader.skip_space();
                let start = self.reader.at;
                let name = self.reader.string()?;
                self.names.push(name);
                self.push(JsonKind::Text, start, true);
                self.reader.skip_space();
                self.reader.expect(b':')?;
                self.value(depth_left)?;
                self.reader.skip_space();
                if !self.reader.takes(b',') {
                    break self.reader.expect(b'}')?;
                }
            }
        }
        let names = self.names.get_mut(first_name..).unwrap_or_default();
        names.sort_unstable();
        let twice = names.windows(2).find_map(|pair| match pair {
            [a, b] if a == b => Some(a.to_string()),
            _ => None,
        });
        self.names.truncate(first_name);
        self.close(node);
        twice.map_or(Ok(()), |name| Err(Malformed::DuplicateMember(name)))
    }

    fn list(&mut self, depth_left: usize) -> Result<(), Malformed> {
        let node = self.nodes.len();
        self.push(JsonKind::List, self.reader.at, false);
        self.reader.at += 1;
        self.reader.skip_space();
        if !self.reader.takes(b']') {
            loop {
                self.value(depth_left)?;
                self.reader.skip_space();
                if !self.reader.takes(b',') {
                    break self.reader.expect(b']')?;
                }
            }
        }
        self.close(node);
        Ok(())
    }

    fn push(&mut self, kind: JsonKind, start: usize, is_name: bool) {
        let next = self.nodes.len() + 1;
        self.nodes.push(OutlineNode { kind, is_name, start, end: self.reader.at, next });
    }

    fn close(&mut self, node: usize) {
        let next = self.nodes.len();
        if let Some(node) = self.nodes.get_mut(node) {
            (node.end, node.next) = (self.reader.at, next);
        }
    }
}

impl JsonReader<'_> {
    /// Parses a value that is neither an array nor an object, and returns its type.
    fn scalar(&mut self) -> Result<JsonKind, Malformed> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| JsonKind::Text),
            Some(b'-' | b'0'..=b'9') => self.number().map(|_| JsonKind::Number),
            Some(b't') => self.word("true", JsonKind::Bool),
            Some(b'f') => self.word("false", JsonKind::Bool),
            Some(b'n') => self.word("null", JsonKind::Null),
            _ => Err(Malformed::Syntax),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strict_json;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn bounds(text: &str) -> Bounds {
        Bounds { depth: 32, values: text.len() }
    }

    #[test]
    fn values_are_found_as_written() {
        let text = r#" {"b": 1.10, "a\u002fb" :[ "x\n", {"c":null} , 1e2 ],"":{ }} "#;
        let outline = outline(text, bounds(text)).unwrap();
        let root = outline.root();
        assert_eq!(root.text(), text.trim());
        let names: Vec<_> = root.members().map(|(name, _)| name.string().unwrap().into_owned()).collect();
        assert_eq!(names, ["b", "a/b", ""]);
        for (pointer, expected) in [
            ("", Some(text.trim())),
            ("/b", Some("1.10")),
            ("/a~1b/0", Some(r#""x\n""#)),
            ("/a~1b/1/c", Some("null")),
            ("/a~1b/2", Some("1e2")),
            ("/a~1b/3", None),
            ("/a~1b/-", None),
            ("/b/0", None),
            ("/", Some("{ }")),
            ("/c", None),
        ] {
            let found = root.find(&Pointer::parse(pointer).unwrap());
            assert_eq!(found.map(JsonRef::text), expected, "{pointer}");
            assert!(found.is_none_or(|found| found.pointer() == pointer), "{pointer}");
        }
        let inner: Vec<_> = root.names().map(JsonRef::pointer).collect();
        assert_eq!(inner, ["/b", "/a~1b", "/a~1b/1/c", "/"]);
        let item = root.find(&Pointer::parse("/a~1b/0").unwrap()).unwrap();
        assert_eq!(item.string().as_deref(), Some("x\n"));
        assert_eq!(root.string(), None);
        assert_eq!((item.items().count(), item.members().count(), root.items().count()), (0, 0, 0));
    }

    #[test]
    fn outlines_and_trees_reject_the_same_texts() {
        let deep = "[".repeat(33) + &"]".repeat(33);
        for text in [
            "",
            "{",
            "{}x",
            "[1,]",
            "[,1]",
            "{1:2}",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "01",
            "1.",
            "nul",
            "truex",
            "1e999",
            "[1e999e]",
            r#""\ud800""#,
            r#"{"a":1,"\u0061":2}"#,
            r#"[{"x":{"":0,"":1}}]"#,
            r#"{"a":{"a":1},"b":{"a":2}}"#,
            "\u{feff}{}",
            "[0,1,2]",
            "{\"a\":[{}]}",
            "\"\n\"",
            "0x",
            "-",
            "[-0, 0e9 ]",
            &deep,
        ] {
            for values in 0..6 {
                let bounds = Bounds { depth: 32, values };
                let tree = strict_json::read(text.as_bytes(), bounds).err();
                assert_eq!(outline(text, bounds).err(), tree, "{text} {values}");
            }
        }
    }
}
