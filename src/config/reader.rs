//! Reads a parsed document field by field, and reports missing keys, unknown keys and wrong values with their locations.

use std::cell::RefCell;
use std::time::Duration;

use super::environment::{Environment, expand};
use super::node::{MapKey, Node, Position, Value};
use super::problem::{At, Place, Problems, near_miss};
use super::schema_keys::LONGEST;
use super::url::{Url, redacted};

/// A mapping of the document. It records the keys that the code asks for, so that [`Fields::finish`] can report all other keys
/// as unknown.
pub struct Fields<'n> {
    place: Place,
    entries: &'n [(MapKey, Node)],
    accepted: RefCell<Vec<&'static str>>,
    problems: &'n RefCell<Problems>,
}

/// One value of the document and its location.
#[derive(Clone)]
pub struct Field<'n> {
    /// The location of the value in the document.
    pub place: Place,
    /// The value.
    pub node: &'n Node,
    problems: &'n RefCell<Problems>,
}

impl<'n> Fields<'n> {
    /// Returns the value of `key`, if present. Records `key` as a known key of this mapping.
    pub fn get(&self, key: &'static str) -> Option<Field<'n>> {
        if !self.accepted.borrow().contains(&key) {
            self.accepted.borrow_mut().push(key);
        }
        let (_, node) = self.entries.iter().find(|(k, _)| k.text == key)?;
        Some(Field { place: self.place.key(key, node.at), node, problems: self.problems })
    }

    /// Returns the value of `key`. Adds a problem if the key is absent.
    pub fn require(&self, key: &'static str) -> Option<Field<'n>> {
        let field = self.get(key);
        if field.is_none() {
            self.problem(format!("`{key}` is missing"));
        }
        field
    }

    /// Adds a problem for every key that the code did not ask for.
    pub fn finish(self) {
        let accepted = self.accepted.borrow();
        for (key, _) in self.entries.iter().filter(|(key, _)| !accepted.contains(&key.text.as_str())) {
            let hint = match near_miss(&key.text, accepted.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("accepted: {}", accepted.join(", ")),
            };
            let place = self.place.key(&key.text, key.at);
            self.problems.borrow_mut().add(&place, format!("unknown key `{}` ({hint})", key.text));
        }
    }

    /// Adds a problem at the location of the mapping.
    pub fn problem(&self, message: impl Into<String>) {
        self.problems.borrow_mut().add(&self.place, message);
    }

    /// Returns the location of the mapping.
    pub fn place(&self) -> &Place {
        &self.place
    }
}

impl<'n> Field<'n> {
    /// Returns the whole document as a field.
    pub fn root(node: &'n Node, problems: &'n RefCell<Problems>) -> Field<'n> {
        let place = Place { line: node.at.line, column: node.at.column, path: String::new() };
        Field { place, node, problems }
    }

    /// Adds a problem at the location of this value.
    pub fn problem(&self, message: impl Into<String>) {
        self.problems.borrow_mut().add(&self.place, message);
    }

    /// Adds a problem at another location, such as the location of the key of this value.
    pub fn problem_at(&self, place: &Place, message: impl Into<String>) {
        self.problems.borrow_mut().add(place, message);
    }

    fn wrong_kind<T>(&self, wanted: &str) -> Option<T> {
        self.problem(format!("expected {wanted}, found {}", self.node.kind()));
        None
    }

    /// Reads a mapping whose keys are known. Any other type is reported as a problem.
    pub fn fields(&self) -> Option<Fields<'n>> {
        match &self.node.value {
            Value::Map(entries) => Some(Fields {
                place: self.place.clone(),
                entries,
                accepted: RefCell::default(),
                problems: self.problems,
            }),
            _ => self.wrong_kind("a mapping"),
        }
    }

    /// Reads a mapping with arbitrary keys. Any other type is reported as a problem.
    pub fn entries(&self) -> Vec<(At<String>, Field<'n>)> {
        let Value::Map(entries) = &self.node.value else {
            return self.wrong_kind::<Vec<_>>("a mapping").unwrap_or_default();
        };
        entries
            .iter()
            .map(|(key, node)| {
                let name = At { value: key.text.clone(), place: self.place.key(&key.text, key.at) };
                let place = self.place.key(&key.text, node.at);
                (name, Field { place, node, problems: self.problems })
            })
            .collect()
    }

    /// Reads a list. Any other type is reported as a problem.
    pub fn items(&self) -> Vec<Field<'n>> {
        match &self.node.value {
            Value::List(items) => items
                .iter()
                .enumerate()
                .map(|(i, node)| Field { place: self.place.index(i, node.at), node, problems: self.problems })
                .collect(),
            _ => self.wrong_kind::<Vec<_>>("a list").unwrap_or_default(),
        }
    }

    /// Reads a list. A single value counts as a list with one item.
    pub fn one_or_more(&self) -> Vec<Field<'n>> {
        match self.node.value {
            Value::List(_) => self.items(),
            _ => vec![self.clone()],
        }
    }

    /// Reads a non-empty string. An empty string or any other type is reported as a problem.
    pub fn text(&self) -> Option<String> {
        match &self.node.value {
            Value::Text(text) if text.is_empty() => {
                self.problem("expected text, found empty text");
                None
            }
            Value::Text(text) => Some(text.clone()),
            _ => self.wrong_kind("text"),
        }
    }

    /// Reads a non-empty string and returns it with its location.
    pub fn text_at(&self) -> Option<At<String>> {
        self.text().map(|value| At { value, place: self.place.clone() })
    }

    /// Reads one string or a list of strings. An empty list is accepted.
    pub fn texts(&self) -> Vec<At<String>> {
        self.one_or_more().iter().filter_map(Field::text_at).collect()
    }

    /// Reports an empty list as a problem. This check is for lists of accepted values that accept everything if the key is
    /// absent. Without the check, an operator who removes the last item of such a list would by mistake accept everything.
    pub fn refuse_empty_list(&self) {
        if matches!(&self.node.value, Value::List(items) if items.is_empty()) {
            self.problem("the list is empty: list the accepted values, or omit the key to accept everything");
        }
    }

    /// Reads one string or a list of strings. An empty list is reported as a problem.
    pub fn non_empty_texts(&self) -> Vec<At<String>> {
        self.refuse_empty_list();
        self.texts()
    }

    /// Reads `true` or `false`. Any other value is reported as a problem.
    pub fn flag(&self) -> Option<bool> {
        match self.node.value {
            Value::Bool(flag) => Some(flag),
            _ => self.wrong_kind("true or false"),
        }
    }

    /// Reads a whole number from `least` to `most`. Any other value is reported as a problem.
    pub fn number(&self, least: u64, most: u64) -> Option<u64> {
        let Value::Number(number) = &self.node.value else {
            return self.wrong_kind("a number");
        };
        let found = number.as_u64().filter(|n| (least..=most).contains(n));
        if found.is_none() {
            self.problem(format!("`{number}` is not a whole number from {least} to {most}"));
        }
        found
    }

    /// Reads a duration such as `500ms`, `30s`, `5m`, `1h` or `2d`, or a whole number of seconds. A duration over ten years is
    /// reported as a problem.
    pub fn duration(&self) -> Option<Duration> {
        match &self.node.value {
            Value::Number(n) if n.as_u64().is_some_and(|s| s <= LONGEST.as_secs()) => {
                n.as_u64().map(Duration::from_secs)
            }
            Value::Text(text) => {
                let found = parse_duration(text);
                if found.is_none() {
                    self.problem(format!("`{text}` is not a duration (accepted: 500ms, 30s, 5m, 1h, 2d)"));
                }
                found
            }
            _ => self.wrong_kind("a duration (500ms, 30s, 5m, 1h, 2d, or whole seconds, at most ten years)"),
        }
    }

    /// Reads an `http` or `https` address. A fragment or a user name is reported as a problem.
    pub fn url(&self) -> Option<At<Url>> {
        let text = self.text()?;
        self.address(&text, &text)
    }

    /// Reads an address, and replaces `$NAME` and `${NAME}` with the values of environment variables.
    pub fn url_from(&self, environment: Environment<'_>) -> Option<At<Url>> {
        let text = self.text()?;
        match expand(&text, environment) {
            Ok(expanded) => self.address(&text, &expanded),
            Err(fault) => {
                self.problem(format!("`{}` cannot be resolved: {fault}", redacted(&text)));
                None
            }
        }
    }

    /// Parses the address `text`. `written` is the same address with its variables not yet replaced. Error messages show
    /// `written`, because the value of a variable may be secret.
    fn address(&self, written: &str, text: &str) -> Option<At<Url>> {
        match Url::parse(text) {
            Ok(value) => Some(At { value, place: self.place.clone() }),
            Err(fault) => {
                let variables = if written == text { "" } else { ", with the values of its variables," };
                self.problem(format!("`{}`{variables} is not an address: {fault}", redacted(written)));
                None
            }
        }
    }

    /// Reads a string that must be one of `words`, and returns the value for it. Any other string is reported as a problem.
    pub fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let accepted: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.problem(match near_miss(&text, accepted.iter().copied()) {
                Some(near) => format!("`{text}` is not accepted here (did you mean `{near}`?)"),
                None => format!("`{text}` is not accepted here (accepted: {})", accepted.join(", ")),
            });
        }
        found
    }
}

impl Place {
    /// Returns the location of the value of `key` in the mapping at this location.
    pub fn key(&self, key: &str, at: Position) -> Place {
        let path = if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) };
        Place { line: at.line, column: at.column, path }
    }

    /// Returns the location of the item at `index` in the list at this location.
    pub fn index(&self, index: usize, at: Position) -> Place {
        Place { line: at.line, column: at.column, path: format!("{}[{index}]", self.path) }
    }
}

/// Parses a number and its unit, such as `30s`. Returns `None` for a duration over ten years. Such a duration is probably a
/// mistake. Because of this maximum, the sum of two durations cannot overflow.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    parse_any_duration(text).filter(|span| *span <= LONGEST)
}

/// Parses a number and its unit, such as `30s`, without the maximum of ten years.
pub fn parse_any_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        "d" => number.checked_mul(86_400_000),
        _ => None,
    };
    millis.map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, expected) in [
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            ("5m", Some(300_000)),
            ("1h", Some(3_600_000)),
            ("2d", Some(172_800_000)),
            ("5", None),
            ("m", None),
            ("-5s", None),
            ("1.5h", None),
            ("5 m", None),
            ("99999999999999999999s", None),
            ("9999999d", None),
            ("3660d", Some(316_224_000_000)),
            ("316224000001ms", None),
        ] {
            assert_eq!(parse_duration(text).map(|d| d.as_millis()), expected, "{text}");
        }
    }

    #[test]
    fn whole_numbers_within_range_are_seconds() {
        for (value, expected) in [
            ("5", Some(5)),
            ("0", Some(0)),
            ("316224000", Some(316_224_000)),
            ("316224001", None),
            ("-5", None),
            ("1.5", None),
            ("true", None),
            ("\"5\"", None),
        ] {
            let node = crate::config::source::read(format!("{{\"span\": {value}}}").as_bytes()).unwrap();
            let problems = RefCell::new(Problems::default());
            let read = Field::root(&node, &problems).fields().and_then(|fields| fields.get("span")?.duration());
            assert_eq!(read.map(|span| span.as_secs()), expected, "{value}");
            assert_eq!(problems.into_inner().sorted().len(), usize::from(expected.is_none()), "{value}");
        }
    }
}
