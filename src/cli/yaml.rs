//! Parses YAML 1.2 or JSON text into a tree with the line and column of every key and value.
//!
//! Content that JSON cannot express is refused: tags, keys that are not strings, and several documents where one is expected.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};

use super::yaml_scalar::Loader;
use super::{json_escapes, yaml_scalar};
use crate::config::document_size;
use crate::config::node::{MapKey, Node, Position, Value};
use crate::config::problem::{Place, Problem};

/// Parses a file with one document. Parsing ends at the first syntax error, because the rest could be misinterpreted.
pub fn read(text: &str) -> Result<Node, Problem> {
    refuse_controls(text)?;
    let text = json_escapes::as_yaml(text);
    let mut reader = YamlReader::new(&text);
    let node = reader.document()?.ok_or_else(|| fault(Position { line: 1, column: 1 }, "the document is empty"))?;
    match reader.start()? {
        None => Ok(node),
        Some(at) => Err(fault(at, "a second document starts here; a file can contain only one")),
    }
}

/// Parses a file that can have several documents, such as Kubernetes manifests.
pub fn read_all(text: &str) -> Result<Vec<Node>, Problem> {
    read_all_with_ambiguous(text).map(|(nodes, _)| nodes)
}

/// Parses a file that can have several documents. Also returns the plain scalars that other YAML loaders read differently.
pub fn read_all_with_ambiguous(text: &str) -> Result<(Vec<Node>, Ambiguous), Problem> {
    refuse_controls(text)?;
    let text = json_escapes::as_yaml(text);
    let mut reader = YamlReader::new(&text);
    let mut nodes = Vec::new();
    while let Some(node) = reader.document()? {
        nodes.push(node);
    }
    Ok((nodes, reader.ambiguous))
}

/// The plain scalars that other YAML loaders read differently: their text, by line and column.
pub type Ambiguous = HashMap<(u32, u32), String>;

/// Limits on the content of a file, with aliases expanded. Files for Envoy and Kubernetes are larger than a gateway document,
/// which has lower limits (`config::document_size`).
const MAX_NODES: usize = 2 * document_size::MAX_VALUES;
const MAX_TEXT: usize = 4 * document_size::MAX_TEXT;

/// The maximum nesting depth. A gateway document can be embedded at a depth of about 25 levels.
pub const MAX_DEPTH: usize = 3 * document_size::MAX_DEPTH;

/// Refuses the control characters that YAML does not allow (YAML 1.2.2 §5.1). The parser stops at NUL, so the content after a NUL
/// would be ignored silently.
fn refuse_controls(text: &str) -> Result<(), Problem> {
    let is_control = |c: char| c.is_ascii_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{7f}');
    for (line, number) in text.split('\n').zip(1..) {
        if let Some((column, c)) = line.chars().zip(1..).find(|(c, _)| is_control(*c)).map(|(c, column)| (column, c)) {
            let at = Position { line: number, column };
            let message = format!("the control character U+{:04X} cannot be part of YAML text", u32::from(c));
            return Err(fault(at, &message));
        }
    }
    Ok(())
}

struct YamlReader<'t> {
    text: &'t str,
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    anchors: HashMap<usize, (Node, ReadSize)>,
    size: ReadSize,
    ambiguous: Ambiguous,
}

/// The number of nodes and bytes that have been read.
#[derive(Clone, Copy, Default)]
struct ReadSize {
    nodes: usize,
    text: usize,
}

impl<'t> YamlReader<'t> {
    fn new(text: &'t str) -> YamlReader<'t> {
        YamlReader {
            text,
            parser: Parser::new_from_str(text),
            anchors: HashMap::new(),
            size: ReadSize::default(),
            ambiguous: HashMap::new(),
        }
    }

    fn document(&mut self) -> Result<Option<Node>, Problem> {
        if self.start()?.is_none() {
            return Ok(None);
        }
        let first = self.next()?;
        self.node(first, 0).map(Some)
    }

    /// Moves to the next document. Returns `None` at the end of the file.
    fn start(&mut self) -> Result<Option<Position>, Problem> {
        loop {
            match self.next()? {
                (Event::DocumentStart(_), span) => return Ok(Some(position(span.start))),
                (Event::StreamEnd, _) => return Ok(None),
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Problem> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(fault(position(*error.marker()), &format!("not YAML: {}", error.info()))),
            None => Err(fault(Position { line: 1, column: 1 }, "the document ends too early")),
        }
    }

    fn node(&mut self, (event, span): (Event<'t>, Span), depth: usize) -> Result<Node, Problem> {
        let at = position(span.start);
        self.count(ReadSize { nodes: 1, text: 0 }, at)?;
        if depth > MAX_DEPTH {
            return Err(fault(at, &format!("nested more than {MAX_DEPTH} levels deep")));
        }
        let before = self.size;
        let (anchor, value) = match event {
            Event::Alias(anchor) => return self.alias(anchor, at, depth),
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(tag.as_deref(), at)?;
                self.count(ReadSize { nodes: 0, text: text.len() }, at)?;
                if style == ScalarStyle::Plain
                    && [Loader::Envoy, Loader::Kubernetes]
                        .iter()
                        .any(|l| yaml_scalar::reading_of_loader(&text, *l).is_some())
                {
                    self.ambiguous.insert((at.line, at.column), text.to_string());
                }
                let value = match style {
                    ScalarStyle::Plain => yaml_scalar::resolve(&text).map_err(|message| fault(at, &message))?,
                    _ => Value::Text(text.into_owned()),
                };
                (anchor, value)
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(tag.as_deref(), at)?;
                (anchor, self.list(depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(tag.as_deref(), at)?;
                (anchor, self.mapping(depth)?)
            }
            _ => return Err(fault(at, "expected a value here")),
        };
        let node = Node { at, value };
        if anchor > 0 {
            let size = ReadSize { nodes: self.size.nodes - before.nodes, text: self.size.text - before.text };
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                event => items.push(self.node(event, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut entries: Vec<(MapKey, Node)> = Vec::new();
        let mut seen: HashMap<String, Position> = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            let at = position(span.start);
            let text = match event {
                Event::MappingEnd => return Ok(Value::Map(entries)),
                Event::Scalar(text, style, _, tag) => {
                    refuse_tag(tag.as_deref(), at)?;
                    if style == ScalarStyle::Plain {
                        yaml_scalar::check_key(&text).map_err(|message| fault(at, &message))?;
                    }
                    self.count(ReadSize { nodes: 0, text: text.len() }, at)?;
                    text.into_owned()
                }
                _ => return Err(fault(at, "a key must be a string")),
            };
            if let Some(first) = seen.insert(text.clone(), at) {
                return Err(fault(at, &format!("`{text}` is repeated; the first one is on line {}", first.line)));
            }
            let value = self.next()?;
            let mut node = self.node(value, depth + 1)?;
            if node.value == Value::Null && self.is_absent(node.at) {
                // An absent value has no position of its own, so it gets the position of its key.
                node.at = at;
            }
            entries.push((MapKey { at, text }, node));
        }
    }

    /// Copies the value of an anchor. The copy counts against the size limits like any other content, so that a small file with
    /// many aliases cannot fill the memory.
    fn alias(&mut self, anchor: usize, at: Position, depth: usize) -> Result<Node, Problem> {
        // The size is counted before the copy, so that a value that is too large is never copied.
        let Some(size) = self.anchors.get(&anchor).map(|(_, size)| *size) else {
            return Err(fault(at, "an alias cannot be inside its own anchor"));
        };
        self.count(size, at)?;
        let Some((node, _)) = self.anchors.get(&anchor).cloned() else {
            return Err(fault(at, "an alias cannot be inside its own anchor"));
        };
        if depth + height(&node) > MAX_DEPTH {
            return Err(fault(at, &format!("nested more than {MAX_DEPTH} levels deep")));
        }
        Ok(node)
    }

    fn count(&mut self, more: ReadSize, at: Position) -> Result<(), Problem> {
        self.size = ReadSize { nodes: self.size.nodes + more.nodes, text: self.size.text + more.text };
        if self.size.nodes > MAX_NODES {
            return Err(fault(at, &format!("the file has more than {MAX_NODES} values, with aliases expanded")));
        }
        if self.size.text > MAX_TEXT {
            return Err(fault(
                at,
                &format!("the file has more than {} MiB of text, with aliases expanded", MAX_TEXT >> 20),
            ));
        }
        Ok(())
    }

    /// Returns whether a null value has no characters in the file, as after `key:` at the end of a line.
    fn is_absent(&self, at: Position) -> bool {
        let line = self.text.lines().nth(at.line.saturating_sub(1) as usize).unwrap_or_default();
        let written = line.chars().nth(at.column.saturating_sub(1) as usize);
        !matches!(written, Some('n' | 'N' | '~'))
    }
}

/// Refuses tags. Envoy supports no tags either, and a tag can silently turn a number into a string.
fn refuse_tag(tag: Option<&Tag>, at: Position) -> Result<(), Problem> {
    match tag {
        Some(tag) => Err(fault(at, &format!("the tag `{tag}` is not supported; write the value without it"))),
        None => Ok(()),
    }
}

fn height(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => 1 + items.iter().map(height).max().unwrap_or(0),
        Value::Map(entries) => 1 + entries.iter().map(|(_, node)| height(node)).max().unwrap_or(0),
        _ => 0,
    }
}

fn position(marker: Marker) -> Position {
    let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position { line: narrow(marker.line()), column: narrow(marker.col()).saturating_add(1) }
}

fn fault(at: Position, message: &str) -> Problem {
    let place = Place { line: at.line, column: at.column, path: String::new() };
    Problem { place, message: message.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> serde_json::Value {
        read(text).unwrap().to_json()
    }

    #[test]
    fn yaml_and_json_parse_to_the_same_value() {
        let yaml = "a: 1\nb: [x, 'y', null, true]\nc:\n  d: 1.50\n  e: \"5\"\n";
        let text = "{\"a\":1,\"b\":[\"x\",\"y\",null,true],\"c\":{\"d\":1.5,\"e\":\"5\"}}";
        assert_eq!(json(yaml), json(text));
        assert_eq!(json(yaml), serde_json::from_str::<serde_json::Value>(text).unwrap());
    }

    #[test]
    fn keys_and_values_have_positions() {
        let node = read("first: 1\nroutes:\n  - path: /a\n    auth: none\n  - { path: \"/ü\", auth: none }\n").unwrap();
        let Value::Map(entries) = &node.value else { panic!("not a mapping") };
        assert_eq!(entries[1].0.at, Position { line: 2, column: 1 });
        let Value::List(routes) = &entries[1].1.value else { panic!("not a list") };
        assert_eq!(routes[0].at, Position { line: 3, column: 5 });
        assert_eq!(routes[0].get("auth").unwrap().at, Position { line: 4, column: 11 });
        assert_eq!(routes[1].get("auth").unwrap().at, Position { line: 5, column: 25 });
    }

    #[test]
    fn a_missing_value_has_the_position_of_its_key() {
        for text in ["a: 1\nissuers:\nb: 2\n", "a: 1\nissuers:", "a: 1\nissuers: # later\nb: 2\n"] {
            let node = read(text).unwrap();
            assert_eq!(node.get("issuers").unwrap().at, Position { line: 2, column: 1 }, "{text:?}");
        }
        assert_eq!(read("a: null\n").unwrap().get("a").unwrap().at, Position { line: 1, column: 4 });
    }

    #[test]
    fn input_that_json_cannot_express_is_refused_with_its_place() {
        for (text, expected) in [
            ("a: 1\na: 2\n", "2:1: document: `a` is repeated; the first one is on line 1"),
            ("{\"a\": 1,\n \"a\": 2}", "2:2: document: `a` is repeated; the first one is on line 1"),
            ("a: 1\n---\nb: 2\n", "2:1: document: a second document starts here; a file can contain only one"),
            (
                "a: !!str 1\n",
                "1:4: document: the tag `tag:yaml.org,2002:!str` is not supported; write the value without it",
            ),
            ("1: a\n", "1:1: document: the key `1` is not text; put it in quotes"),
            ("x: {true: a}\n", "1:5: document: the key `true` is not text; put it in quotes"),
            ("? [a]\n: b\n", "1:3: document: a key must be a string"),
            (
                "x: &a {b: 1}\ny:\n  <<: *a\n",
                "3:3: document: merge keys (`<<`) are not part of YAML 1.2; write the members out",
            ),
            ("x: .inf\n", "1:4: document: `.inf` cannot be written as a JSON number; put it in quotes if it is text"),
            ("", "1:1: document: the document is empty"),
            ("# only a comment\n", "1:1: document: the document is empty"),
        ] {
            assert_eq!(read(text).unwrap_err().to_string(), expected, "{text:?}");
        }
        assert!(read("a: [1, 2\nb: 3\n").unwrap_err().message.starts_with("not YAML: "));
    }

    #[test]
    fn manifests_may_hold_several_documents() {
        let nodes = read_all("a: 1\n---\nb: 2\n---\nc: 3\n").unwrap();
        assert_eq!(
            nodes.iter().map(|n| n.to_json().to_string()).collect::<Vec<_>>(),
            ["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"]
        );
        assert_eq!(nodes[2].at, Position { line: 5, column: 1 });
        assert_eq!(read_all("# nothing\n"), Ok(vec![]));
    }

    #[test]
    fn depth_is_bounded_with_and_without_aliases() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(&nested(MAX_DEPTH)).is_ok());
        assert!(read(&nested(MAX_DEPTH + 2)).unwrap_err().message.contains("levels deep"));
        let half = nested(60);
        let text = format!("a: &a {half}\nb: {}*a{}\n", "[".repeat(60), "]".repeat(60));
        assert!(read(&text).unwrap_err().message.contains("levels deep"));
    }

    #[test]
    fn a_document_that_doubles_itself_is_refused() {
        let mut text = "l0: &l0 [x, x]\n".to_string();
        for level in 1..40 {
            text.push_str(&format!("l{level}: &l{level} [*l{0}, *l{0}]\n", level - 1));
        }
        assert!(read(&text).unwrap_err().message.contains("aliases expanded"));
    }
}
