//! Reads another gateway's file and records which values `import` has used, so that it can report every unused key.
//!
//! A value counts as used only if its content was read, or if a warning explains why it was left out. [`ImportReader::finish`]
//! walks the whole file and reports all other values. The reader of a file format therefore cannot overlook a key. To ignore a
//! key on purpose, it must call [`ImportValue::leave_out`].

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use crate::config::node::{MapKey, Node, Value};
use crate::config::problem::{Place, Problem, near_miss};

/// A file that is being read.
pub struct ImportReader<'n> {
    root: &'n Node,
    ignored: &'n [String],
    state: RefCell<ReadingState>,
}

#[derive(Default)]
struct ReadingState {
    /// Values whose content was read or reported.
    used: HashSet<*const Node>,
    /// Mappings and lists whose members are read one by one. For a mapping, the value lists the keys that were read.
    entered: HashMap<*const Node, Vec<&'static str>>,
    findings: Findings,
}

/// The problems and warnings that the user receives.
#[derive(Default)]
pub struct Findings {
    /// Reasons why the file cannot be imported.
    pub problems: Vec<Problem>,
    /// Warnings about parts that were left out or changed.
    pub warnings: Vec<Problem>,
}

/// A value in the file, with its location.
#[derive(Clone)]
pub struct ImportValue<'n, 'r> {
    /// The location of the value in the file.
    pub place: Place,
    node: &'n Node,
    reader: &'r ImportReader<'n>,
}

impl<'n> ImportReader<'n> {
    /// Starts to read a file. Unknown keys whose name is in `ignored` are left out with a warning.
    pub fn new(root: &'n Node, ignored: &'n [String]) -> ImportReader<'n> {
        ImportReader { root, ignored, state: RefCell::default() }
    }

    /// Returns the root value of the file.
    pub fn root(&self) -> ImportValue<'n, '_> {
        let place = Place { line: self.root.at.line, column: self.root.at.column, path: String::new() };
        ImportValue { place, node: self.root, reader: self }
    }

    /// Returns all problems and warnings, including one for each unused key.
    pub fn finish(self) -> Findings {
        let root = self.root();
        self.report_unused(self.root, &root.place);
        self.state.into_inner().findings
    }

    fn report_unused(&self, node: &Node, place: &Place) {
        if self.state.borrow().used.contains(&std::ptr::from_ref(node)) {
            return;
        }
        let known = self.state.borrow().entered.get(&std::ptr::from_ref(node)).cloned();
        match (&node.value, known) {
            (Value::Map(entries), Some(known)) => {
                for (key, value) in entries {
                    self.report_unused_key(key, value, &known, place);
                }
            }
            (Value::List(items), Some(_)) => {
                for (index, item) in items.iter().enumerate() {
                    self.report_unused(item, &place.index(index, item.at));
                }
            }
            _ => self.add(true, place, "import cannot use this value; remove it from the file"),
        }
    }

    fn report_unused_key(&self, key: &MapKey, value: &Node, known: &[&str], around: &Place) {
        if known.contains(&key.text.as_str()) {
            return self.report_unused(value, &around.key(&key.text, value.at));
        }
        let place = around.key(&key.text, key.at);
        if self.ignored.contains(&key.text) {
            return self.add(false, &place, "left out because of `--ignore-key`");
        }
        let hint = match near_miss(&key.text, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("accepted: {}", known.join(", ")),
        };
        self.add(true, &place, format!("unknown key `{}` ({hint}); {UNKNOWN}", key.text));
    }

    fn add(&self, is_problem: bool, place: &Place, message: impl Into<String>) {
        let found = Problem { place: place.clone(), message: message.into() };
        let mut state = self.state.borrow_mut();
        let findings = &mut state.findings;
        if is_problem { &mut findings.problems } else { &mut findings.warnings }.push(found);
    }
}

impl<'n, 'r> ImportValue<'n, 'r> {
    /// Returns whether this value is a mapping. Any other type is a problem.
    pub fn is_mapping(&self) -> bool {
        matches!(self.node.value, Value::Map(_)) || self.wrong_kind::<()>("a mapping").is_some()
    }

    /// Returns the value of a key of this mapping. If this value is not a mapping, one problem is reported.
    pub fn get(&self, key: &'static str) -> Option<ImportValue<'n, 'r>> {
        let Value::Map(entries) = &self.node.value else { return self.wrong_kind("a mapping") };
        {
            let mut state = self.reader.state.borrow_mut();
            let known = state.entered.entry(std::ptr::from_ref(self.node)).or_default();
            if !known.contains(&key) {
                known.push(key);
            }
        }
        let (_, node) = entries.iter().find(|(k, _)| k.text == key)?;
        Some(ImportValue { place: self.place.key(key, node.at), node, reader: self.reader })
    }

    /// Returns the value of a key of this mapping. A missing key is a problem.
    pub fn require(&self, key: &'static str) -> Option<ImportValue<'n, 'r>> {
        let found = self.get(key);
        if found.is_none() && matches!(self.node.value, Value::Map(_)) {
            self.reader.add(true, &self.place, format!("`{key}` is missing"));
        }
        found
    }

    /// Returns the items of this list. Any other type is a problem.
    pub fn items(&self) -> Vec<ImportValue<'n, 'r>> {
        let Value::List(items) = &self.node.value else {
            return self.wrong_kind::<Vec<_>>("a list").unwrap_or_default();
        };
        self.reader.state.borrow_mut().entered.entry(std::ptr::from_ref(self.node)).or_default();
        let item = |(index, node): (usize, &'n Node)| ImportValue {
            place: self.place.index(index, node.at),
            node,
            reader: self.reader,
        };
        items.iter().enumerate().map(item).collect()
    }

    /// Reads a non-empty string. Any other value is a problem.
    pub fn text(&self) -> Option<&'n str> {
        match &self.node.value {
            Value::Text(text) if !text.is_empty() => {
                self.mark_used();
                Some(text)
            }
            _ => self.wrong_kind("text"),
        }
    }

    /// Reads one non-empty string or a list of non-empty strings. Any other value is a problem.
    pub fn texts(&self) -> Option<Vec<&'n str>> {
        match &self.node.value {
            Value::List(_) => {
                let texts: Vec<_> = self.items().iter().map(ImportValue::text).collect();
                texts.into_iter().collect()
            }
            Value::Text(_) => self.text().map(|text| vec![text]),
            _ => self.wrong_kind("text or a list of texts"),
        }
    }

    /// Reads `true` or `false`. Any other value is a problem.
    pub fn flag(&self) -> Option<bool> {
        match self.node.value {
            Value::Bool(flag) => {
                self.mark_used();
                Some(flag)
            }
            _ => self.wrong_kind("true or false"),
        }
    }

    /// Reads the whole value, which can have any type.
    pub fn json(&self) -> serde_json::Value {
        self.mark_used();
        self.node.to_json()
    }

    /// Leaves the whole value out and adds a warning.
    pub fn leave_out(&self, message: impl Into<String>) {
        self.mark_used();
        self.warn(message);
    }

    /// Adds a warning about the value. The warning does not mark the value as used.
    pub fn warn(&self, message: impl Into<String>) {
        self.reader.add(false, &self.place, message);
    }

    /// Adds a problem with the value.
    pub fn problem(&self, message: impl Into<String>) {
        self.mark_used();
        self.reader.add(true, &self.place, message);
    }

    fn mark_used(&self) {
        self.reader.state.borrow_mut().used.insert(std::ptr::from_ref(self.node));
    }

    /// Adds a problem unless the value already has one. The message does not contain the value, because the value might be a
    /// secret.
    fn wrong_kind<T>(&self, wanted: &str) -> Option<T> {
        let is_new = self.reader.state.borrow_mut().used.insert(std::ptr::from_ref(self.node));
        if is_new {
            let found = match &self.node.value {
                Value::Text(text) if text.is_empty() => "an empty text",
                _ => self.node.kind(),
            };
            self.reader.add(true, &self.place, format!("expected {wanted}, found {found}"));
        }
        None
    }
}

const UNKNOWN: &str =
    "the key might restrict callers, so nothing is imported until you remove it or pass it to `--ignore-key`";
