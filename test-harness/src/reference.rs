//! Generates two things from `docs/gateway.schema.json`: the key tables of the reference, and definitions in the other schemas.

mod definitions;

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use portcullis::cli::yaml;
use portcullis::config::node::{Node, Value};

use crate::envoy::root;

/// Returns the path and the expected content of each generated file.
///
/// # Errors
/// Returns an error if a file cannot be read, a marker contains an unknown section or key, a section has no table, or a key has
/// no description.
pub fn files() -> Result<Vec<(&'static str, String)>> {
    let text = read(GATEWAY)?;
    let mut files = vec![(REFERENCE, with_tables(&Schema::parse(&text)?, &read(REFERENCE)?)?)];
    for path in FETCHED {
        files.push((path, definitions::replace(&text, &read(path)?).context(path)?));
    }
    Ok(files)
}

/// The parsed schema. The keys have the same order as in the file.
struct Schema(Node);

/// A section of the gateway's document: its name in the schema, and the node of the schema that describes it.
struct Section<'s> {
    name: &'s str,
    node: &'s Node,
}

/// Returns the page with a key table between each marker `<!-- keys: NAMES -->` and the next `<!-- end -->`. The names in a
/// marker are separated by spaces. `SECTION.KEY` adds a row for one key. `SECTION` adds a row for each key of the section, except
/// for keys that any marker of the page names as `SECTION.KEY`.
fn with_tables(schema: &Schema, page: &str) -> Result<String> {
    let marked: Vec<&str> = page.lines().filter_map(marker).flat_map(|names| names.split(' ')).collect();
    for section in schema.sections() {
        let is_alias = members(section.node.get("properties")).all(|(_, key)| reference(key).is_some_and(is_key));
        ensure!(is_alias || marked.contains(&section.name), "the reference has no table for `{}`", section.name);
    }
    let mut out = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        out += line;
        out.push('\n');
        let Some(names) = marker(line) else { continue };
        lines.find(|line| *line == END).with_context(|| format!("`{line}` has no end"))?;
        let table = table(schema, names, &marked).with_context(|| line.to_owned())?;
        out += &format!("\n{table}\n{END}\n");
    }
    Ok(out)
}

fn table(schema: &Schema, names: &str, marked: &[&str]) -> Result<String> {
    let mut table = "| Key | Type | Default | Meaning |\n|---|---|---|---|\n".to_owned();
    for name in names.split(' ') {
        let (name, only) = name.split_once('.').map_or((name, None), |(name, key)| (name, Some(key)));
        let section =
            schema.sections().find(|section| section.name == name).context("the schema has no such section")?;
        let is_listed = |key: &str| match only {
            Some(only) => key == only,
            None => !marked.contains(&format!("{name}.{key}").as_str()),
        };
        let rows = members(section.node.get("properties")).filter(|(key, _)| is_listed(key));
        let rows: Vec<String> = rows.map(|(key, node)| schema.row(&section, key, node)).collect::<Result<_>>()?;
        ensure!(!rows.is_empty(), "the section has no such key");
        table += &rows.concat();
    }
    Ok(table)
}

impl Schema {
    fn parse(text: &str) -> Result<Schema> {
        yaml::read(text).map(Schema).map_err(|problem| anyhow::anyhow!("{problem}"))
    }

    /// Returns the parts of the schema that list keys under `properties`. The first one, `document`, has the top-level keys.
    fn sections(&self) -> impl Iterator<Item = Section<'_>> {
        let defined = members(self.0.get("$defs")).map(|(name, node)| Section { name, node });
        let all = std::iter::once(Section { name: "document", node: &self.0 }).chain(defined);
        all.filter(|section| section.node.get("properties").is_some())
    }

    fn row(&self, section: &Section<'_>, key: &str, node: &Node) -> Result<String> {
        let description =
            self.find(node, "description").and_then(text).context(format!("`{key}` has no description"))?;
        let (meaning, default) = match description.split_once("Default: ") {
            Some((meaning, default)) => (meaning.trim_end(), Some(default.trim_end_matches('.').to_owned())),
            None => (description, None),
        };
        let default = match (required(section, key), default, self.find(node, "default")) {
            (Some(required), None, None) => required,
            (None, Some(words), None) => words,
            (None, None, Some(value)) => shown_default(key, value),
            (None, None, None) => "none".to_owned(),
            _ => bail!("`{key}` has two defaults"),
        };
        let row = format!("| `{key}` | {} | {default} | {meaning} |\n", self.kind(key, node));
        ensure!(row.matches('|').count() == 5, "`{key}` has a `|` in its description");
        Ok(row.replace("](configuration.md#", "](#"))
    }

    /// Returns the text for the column `Type`, such as `list of mapping`.
    fn kind(&self, key: &str, node: &Node) -> String {
        if let Some(title) = node.get("title").and_then(text) {
            return title.to_owned();
        }
        if let Some(target) = reference(node) {
            let kind = target_node(&self.0, target).map(|target| self.kind(key, target)).unwrap_or_default();
            return if target == DURATION { kind + &duration_bounds(node) } else { kind };
        }
        if let Some(value) = node.get("const") {
            return coded(value);
        }
        if node.get("properties").is_some() {
            return "mapping".to_owned();
        }
        let items = |name| list(node.get(name)).iter().collect::<Vec<&Node>>();
        match (items("enum").as_slice(), items("oneOf").as_slice()) {
            ([], []) => {}
            ([], [one, many])
                if many.get("items").is_some_and(|items| self.kind(key, items) == self.kind(key, one)) =>
            {
                return self.kind(key, many);
            }
            ([], choices) => {
                return choices.iter().map(|choice| self.kind(key, choice)).collect::<Vec<_>>().join(" or ");
            }
            (words, _) => return words.iter().map(|word| coded(word)).collect::<Vec<_>>().join(", "),
        }
        let kinds = match node.get("type").map(|kind| &kind.value) {
            Some(Value::Text(kind)) => vec![kind.as_str()],
            Some(Value::List(kinds)) => kinds.iter().filter_map(text).collect(),
            _ => Vec::new(),
        };
        let kinds: Vec<String> = kinds.into_iter().map(|kind| self.simple_kind(key, kind, node)).collect();
        kinds.join(" or ")
    }

    fn simple_kind(&self, key: &str, kind: &str, node: &Node) -> String {
        let number = |name| node.get(name).map(|bound| bound.to_json().as_u64().unwrap_or_default());
        match (kind, number("minimum"), number("maximum")) {
            ("boolean", ..) => "`true` or `false`".to_owned(),
            ("integer", Some(least), Some(most)) => format!("{least} to {}", amount(key, most)),
            ("integer", ..) => "whole number".to_owned(),
            ("object", ..) => "mapping".to_owned(),
            ("string", ..) => "text".to_owned(),
            ("array", ..) => {
                let list = if number("minItems") > Some(0) { "non-empty list" } else { "list" };
                let items = node.get("items").map(|items| self.kind(key, items)).unwrap_or_default();
                match items.as_str() {
                    "mapping" => list.to_owned(),
                    words if words.starts_with('`') => format!("{list} of {words}"),
                    word => format!("{list} of {word}s"),
                }
            }
            (other, ..) => other.to_owned(),
        }
    }

    /// Returns a member of a schema object. If the object lacks the member, searches the object that its `$ref` refers to.
    fn find<'s>(&'s self, node: &'s Node, name: &str) -> Option<&'s Node> {
        node.get(name).or_else(|| self.find(target_node(&self.0, reference(node)?)?, name))
    }
}

/// Returns `required` for a required key, and `one of …` if one of several keys is required. Returns `None` for an optional key.
fn required(section: &Section<'_>, key: &str) -> Option<String> {
    let names = |node: &'_ Node| -> Vec<String> {
        list(node.get("required")).iter().filter_map(text).map(str::to_owned).collect()
    };
    if names(section.node).iter().any(|name| name == key) {
        return Some("required".to_owned());
    }
    let mut alternatives: Vec<String> = Vec::new();
    for branch in list(section.node.get("oneOf")) {
        alternatives.extend(names(branch).into_iter().take(1));
        alternatives.extend(list(branch.get("anyOf")).iter().flat_map(names));
    }
    if section.node.get("maxProperties").is_some() {
        alternatives.extend(members(section.node.get("properties")).map(|(name, _)| name.to_owned()));
    }
    let words: Vec<String> = alternatives.iter().map(|name| format!("`{name}`")).collect();
    alternatives.iter().any(|name| name == key).then(|| format!("one of {}", words.join(", ")))
}

fn shown_default(key: &str, value: &Node) -> String {
    let bytes = value.to_json().as_u64().filter(|bytes| key.ends_with("_bytes") && bytes.is_multiple_of(MEBIBYTE));
    bytes.map_or_else(|| coded(value), |bytes| format!("{} ({})", coded(value), amount(key, bytes)))
}

/// Formats a value in a code span, as a user writes it in a YAML document.
fn coded(value: &Node) -> String {
    let plain = |text: &str| text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.parse::<f64>().is_err();
    let written = |node: &Node| match text(node) {
        Some(text) if plain(text) => text.to_owned(),
        _ => node.to_json().to_string(),
    };
    match &value.value {
        Value::List(items) => format!("`[{}]`", items.iter().map(written).collect::<Vec<_>>().join(", ")),
        _ => format!("`{}`", written(value)),
    }
}

/// Returns a number with thousands separators, or in MiB or GiB if it counts bytes.
fn amount(key: &str, number: u64) -> String {
    let units = [(MEBIBYTE << 10, " GiB"), (MEBIBYTE, " MiB")];
    let unit =
        units.into_iter().find(|(unit, _)| key.ends_with("_bytes") && number > 0 && number.is_multiple_of(*unit));
    let (number, unit) = unit.map_or((number, ""), |(size, unit)| (number / size, unit));
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + unit
}

/// Returns the bounds of a duration as text, or an empty string if it has no bounds. The schema gives the bounds in seconds.
fn duration_bounds(node: &Node) -> String {
    let bound = |name| node.get(name).and_then(|bound| bound.to_json().as_f64()).map(shown_duration);
    match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => format!(", {least} to {most}"),
        (Some(least), None) => format!(", at least {least}"),
        (None, Some(most)) => format!(", at most {most}"),
        (None, None) => String::new(),
    }
}

fn shown_duration(seconds: f64) -> String {
    let units = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "m"), (1.0, "s")];
    let unit = units.into_iter().find(|(unit, _)| seconds >= *unit && seconds % unit == 0.0);
    unit.map_or_else(|| format!("`{}ms`", seconds * 1_000.0), |(unit, name)| format!("`{}{name}`", seconds / unit))
}

fn marker(line: &str) -> Option<&str> {
    line.strip_prefix("<!-- keys: ")?.strip_suffix(" -->")
}

fn reference(node: &Node) -> Option<&str> {
    node.get("$ref").and_then(text)
}

/// Returns whether a `$ref` refers to a single key of a section, not to a whole definition.
fn is_key(reference: &str) -> bool {
    reference.contains("/properties/")
}

fn target_node<'s>(root: &'s Node, reference: &str) -> Option<&'s Node> {
    reference.trim_start_matches("#/").split('/').try_fold(root, |node, name| node.get(name))
}

fn members(node: Option<&Node>) -> impl Iterator<Item = (&str, &Node)> {
    let entries = match node.map(|node| &node.value) {
        Some(Value::Map(entries)) => entries.as_slice(),
        _ => &[],
    };
    entries.iter().map(|(key, node)| (key.text.as_str(), node))
}

fn list(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

fn text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(root().join(path)).with_context(|| path.to_owned())
}

const GATEWAY: &str = "docs/gateway.schema.json";
const REFERENCE: &str = "docs/configuration.md";
/// The schemas of the documents that the filter fetches. They use definitions of the gateway's schema.
const FETCHED: [&str; 2] = ["docs/clients.schema.json", "docs/revocation.schema.json"];
const DURATION: &str = "#/$defs/duration";
const END: &str = "<!-- end -->";
const MEBIBYTE: u64 = 1 << 20;
