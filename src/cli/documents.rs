//! Finds gateway documents in a file: the file itself, or documents embedded in an Envoy configuration or an Istio manifest.

mod caches;
mod carrier;
mod other_formats;

pub use caches::{CacheFilter, CacheSide};
pub use carrier::{Carrier, DynamicModuleSettings, ManifestKind};

use super::yaml::Ambiguous;
use super::yaml_scalar::{self, Loader};
use super::{json_text, yaml};
use crate::config::node::{Node, Position, Value};
use crate::config::problem::{Place, Problem};
use crate::config::source;

/// Parses a whole file. A file with the extension `json` is parsed as JSON, and any other file as YAML with any number of
/// documents.
pub fn read(file: &str, text: &str) -> Result<Vec<Node>, Problem> {
    read_with_ambiguous(file, text).map(|(roots, _)| roots)
}

fn read_with_ambiguous(file: &str, text: &str) -> Result<(Vec<Node>, Ambiguous), Problem> {
    match json_text::is_name_of_json(file) {
        true => Ok((vec![json_text::read(text)?], Ambiguous::default())),
        false => yaml::read_all_with_ambiguous(text),
    }
}

/// Returns every gateway document in one file. A file without a gateway document is a problem.
pub fn find(file: &str, text: &str) -> Result<Vec<Node>, Problem> {
    find_with_carriers(file, text).map(|found| found.into_iter().map(|(document, _)| document).collect())
}

/// Returns one [`Carrier`] for each document that [`find`] returns, in the same order. The list is empty for a file with a
/// problem.
pub fn carriers(file: &str, text: &str) -> Vec<Carrier> {
    let found = find_with_carriers(file, text).unwrap_or_default();
    found.into_iter().map(|(_, carrier)| carrier).collect()
}

fn find_with_carriers(file: &str, text: &str) -> Result<Vec<(Node, Carrier)>, Problem> {
    let (roots, ambiguous) = read_with_ambiguous(file, text)?;
    let is_other = |root: &Node| FOREIGN_KEYS.iter().any(|key| root.get(key).is_some());
    let mut search = DocumentSearch { text, ambiguous, found: Vec::new() };
    match roots.as_slice() {
        roots if !roots.iter().any(is_other) => {
            if let Some((root, what)) = roots.iter().find_map(|root| other_formats::kind(root).map(|what| (root, what)))
            {
                return Err(problem(root.at, what));
            }
            // This file is itself a gateway document, so Envoy and Kubernetes do not parse it. Scalars that their YAML parsers
            // would read differently are therefore accepted.
            match (json_text::is_name_of_json(file), roots) {
                (true, [root]) => search.found.push((root.clone(), Carrier::File)),
                _ => search.found.push((yaml::read(text)?, Carrier::File)),
            }
        }
        roots => roots.iter().try_for_each(|root| search.visit(root))?,
    }
    match (search.found.is_empty(), roots.first()) {
        (true, Some(root)) => Err(problem(
            root.at,
            "no configuration of this plugin found: expected a mapping with `vm_config` and `configuration`, or with `dynamic_module_config` and `filter_config`, in an Envoy configuration, or `pluginConfig` or `config` in a manifest",
        )),
        _ => Ok(search.found),
    }
}

/// Returns Envoy's cache filters in the filter chains that contain this plugin. The list is empty for a file that cannot be
/// parsed.
pub fn caches(file: &str, text: &str) -> Vec<CacheFilter> {
    let is_ours = |node: &Node| {
        let mut search = DocumentSearch { text, ambiguous: Ambiguous::default(), found: Vec::new() };
        search.visit(node).is_err() || !search.found.is_empty()
    };
    read(file, text).map(|roots| caches::find(&roots, &is_ours)).unwrap_or_default()
}

/// The state of the search for gateway documents in a file that embeds them.
struct DocumentSearch<'t> {
    text: &'t str,
    ambiguous: Ambiguous,
    found: Vec<(Node, Carrier)>,
}

impl DocumentSearch<'_> {
    fn visit(&mut self, node: &Node) -> Result<(), Problem> {
        match &node.value {
            Value::List(items) => items.iter().try_for_each(|item| self.visit(item)),
            Value::Map(entries) => {
                if node.get("vm_config").is_some()
                    && let Some(configuration) = node.get("configuration")
                {
                    return self.embedded(node, configuration);
                }
                if node.get("dynamic_module_config").is_some()
                    && let Some(configuration) = node.get("filter_config")
                {
                    return self.embedded(node, configuration);
                }
                // Istio's WasmPlugin and Envoy Gateway's EnvoyExtensionPolicy contain the document as plain YAML.
                for (kind, key) in ManifestKind::KEYS {
                    if let Some(document) = node.get(key).filter(|document| is_gateway(document)) {
                        let carrier = Carrier::of_manifest(kind, key, node, document.at);
                        let document = self.as_struct(document.clone(), Loader::Kubernetes)?;
                        self.found.push((document, carrier));
                    }
                }
                entries.iter().try_for_each(|(_, value)| self.visit(value))
            }
            _ => Ok(()),
        }
    }

    /// Adds the document under `configuration`: JSON text in a StringValue, or plain YAML in a Struct (envoy-facts §2.1).
    fn embedded(&mut self, plugin: &Node, configuration: &Node) -> Result<(), Problem> {
        let kind = match configuration.get("@type").map(|kind| &kind.value) {
            Some(Value::Text(kind)) => kind.rsplit('/').next().unwrap_or_default(),
            _ => "",
        };
        let Some(value) = configuration.get("value") else {
            let message =
                "expected `@type: type.googleapis.com/google.protobuf.Struct` (or `StringValue`) and a `value` here";
            return if is_ours(plugin) { Err(problem(configuration.at, message)) } else { Ok(()) };
        };
        match (kind, &value.value) {
            ("google.protobuf.Struct", _) if is_ours(plugin) || is_gateway(value) => {
                let document = self.as_struct(value.clone(), Loader::Envoy)?;
                self.found.push((document, Carrier::of_plugin(plugin)));
            }
            ("google.protobuf.StringValue", Value::Text(json)) => {
                let document =
                    json_text::read(json).map(|node| with_file_positions(node, &PositionMap::of(value.at, self.text)));
                // If the string contains no section of a gateway document, it is the configuration of another plugin.
                let has_sections = || match &document {
                    Ok(document) => is_gateway(document),
                    Err(_) => yaml::read(json).is_ok_and(|document| is_gateway(&document)),
                };
                if is_ours(plugin) || has_sections() {
                    let document = document.map_err(|fault| problem(value.at, &fault.message))?;
                    self.found.push((document, Carrier::of_plugin(plugin)));
                }
            }
            _ if is_ours(plugin) => {
                let message =
                    "the plugin accepts a google.protobuf.Struct, or a google.protobuf.StringValue with JSON text";
                return Err(problem(configuration.at, message));
            }
            _ => {}
        }
        Ok(())
    }

    /// Converts a document to the values that the filter receives in a Struct. Fails for a number that is not exact as a double,
    /// because all numbers in a Struct are doubles (envoy-facts §2.1). Also fails for a scalar that `loader` would read as
    /// another value.
    fn as_struct(&self, node: Node, loader: Loader) -> Result<Node, Problem> {
        let is_scalar = !matches!(node.value, Value::List(_) | Value::Map(_));
        if let Some(text) = self.ambiguous.get(&(node.at.line, node.at.column)).filter(|_| is_scalar)
            && let Some(what) = yaml_scalar::reading_of_loader(text, loader)
        {
            let remedy = "put it in quotes if it is text, or embed the document as JSON text (StringValue)";
            return Err(problem(node.at, &format!("{loader:?} reads `{text}` as {what} here: {remedy}")));
        }
        let value = match node.value {
            Value::Number(number) => {
                let as_double = number.as_f64().and_then(source::number);
                if !number.is_f64() && as_double.as_ref() != Some(&number) {
                    let message = format!(
                        "a Struct cannot represent `{number}` exactly: its numbers are doubles, exact up to 2^53; embed the document as JSON text (StringValue)"
                    );
                    return Err(problem(node.at, &message));
                }
                as_double.map_or(Value::Null, Value::Number)
            }
            Value::List(items) => {
                Value::List(items.into_iter().map(|item| self.as_struct(item, loader)).collect::<Result<_, _>>()?)
            }
            Value::Map(entries) => {
                let member = |(key, value)| self.as_struct(value, loader).map(|value| (key, value));
                Value::Map(entries.into_iter().map(member).collect::<Result<_, _>>()?)
            }
            scalar => scalar,
        };
        Ok(Node { at: node.at, value })
    }
}

/// Returns whether a plugin configuration belongs to this filter and not to another plugin in the same file. This is the case if
/// its name, root id, VM id, filter name, module name or module file name contains `portcullis`.
fn is_ours(plugin: &Node) -> bool {
    let paths = [
        "name",
        "root_id",
        "vm_config.vm_id",
        "vm_config.code.local.filename",
        "filter_name",
        "dynamic_module_config.name",
        "dynamic_module_config.module.local.filename",
    ];
    let names = paths.map(|path| path.split('.').try_fold(plugin, |node, key| node.get(key)));
    names.into_iter().flatten().any(|name| matches!(&name.value, Value::Text(text) if text.contains("portcullis")))
}

fn is_gateway(document: &Node) -> bool {
    SECTIONS.iter().any(|section| document.get(section).is_some())
}

/// Maps locations in an embedded document to locations in the file.
enum PositionMap {
    /// A quoted or folded string: every location maps to the start of the string.
    Start(Position),
    /// A literal block (`|`): each line maps to one line of the file. The block starts after `line` lines of the file, and the
    /// block is indented by `column` columns.
    Literal { line: u32, column: u32 },
}

impl PositionMap {
    fn of(at: Position, text: &str) -> PositionMap {
        let above = at.line.checked_sub(2).and_then(|index| text.lines().nth(index as usize)).unwrap_or_default();
        let header = above.split(" #").next().unwrap_or_default().trim_end().trim_end_matches(['-', '+']);
        let header = header.trim_end_matches(|c: char| c.is_ascii_digit());
        match header.ends_with(": |") {
            true => PositionMap::Literal { line: at.line.saturating_sub(1), column: at.column.saturating_sub(1) },
            false => PositionMap::Start(at),
        }
    }
}

fn with_file_positions(node: Node, map: &PositionMap) -> Node {
    let place = |at: Position| match map {
        PositionMap::Start(start) => *start,
        PositionMap::Literal { line, column } => Position { line: at.line + line, column: at.column + column },
    };
    let value = match node.value {
        Value::List(items) => Value::List(items.into_iter().map(|item| with_file_positions(item, map)).collect()),
        Value::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(mut key, value)| {
                    key.at = place(key.at);
                    (key, with_file_positions(value, map))
                })
                .collect(),
        ),
        scalar => scalar,
    };
    Node { at: place(node.at), value }
}

fn problem(at: Position, message: &str) -> Problem {
    let place = Place { line: at.line, column: at.column, path: String::new() };
    Problem { place, message: message.to_string() }
}

/// Top-level keys of Envoy bootstraps, control plane resources and Kubernetes manifests, which can embed a gateway document.
const FOREIGN_KEYS: [&str; 10] = [
    "static_resources",
    "resources",
    "apiVersion",
    "kind",
    "vm_config",
    "dynamic_module_config",
    "dynamic_resources",
    "typed_config",
    "filter_chains",
    "http_filters",
];
const SECTIONS: [&str; 4] = ["routes", "issuers", "public_paths", "upstreams"];

#[cfg(test)]
mod tests {
    use super::*;

    const PLUGIN: &str = "static_resources:\n  listeners:\n  - filters:\n    - name: portcullis\n      vm_config: {}\n      configuration:\n";

    fn first(text: &str) -> Node {
        find("gateway.yaml", text).unwrap().remove(0)
    }

    #[test]
    fn embedded_documents_are_found_and_keep_their_places() {
        let structure = format!(
            "{PLUGIN}        '@type': type.googleapis.com/google.protobuf.Struct\n        value:\n          routes: []\n"
        );
        let literal = format!(
            "{PLUGIN}        '@type': type.googleapis.com/google.protobuf.StringValue\n        value: |\n          {{\n            \"routes\": []\n          }}\n"
        );
        let quoted = format!(
            "{PLUGIN}        '@type': type.googleapis.com/google.protobuf.StringValue\n        value: '{{\"routes\": []}}'\n"
        );
        let istio = "apiVersion: v1\n---\nkind: WasmPlugin\nspec:\n  pluginConfig:\n    routes: []\n".to_string();
        let gateway_api = istio.replace("WasmPlugin", "EnvoyExtensionPolicy").replace("pluginConfig", "config");
        for (text, line, column) in [
            ("routes: []\n".to_string(), 1, 9),
            (structure, 9, 19),
            (literal, 10, 23),
            (quoted, 8, 16),
            (istio, 6, 13),
            (gateway_api, 6, 13),
        ] {
            assert_eq!(first(&text).get("routes").unwrap().at, Position { line, column }, "{text}");
        }
    }

    #[test]
    fn configurations_that_the_plugin_cannot_read_are_refused() {
        for (value, expected) in [
            (
                "        '@type': type.googleapis.com/google.protobuf.StringValue\n        value: 'routes: []'\n",
                "not JSON",
            ),
            (
                "        '@type': type.googleapis.com/google.protobuf.Int32Value\n        value: 1\n",
                "the plugin accepts",
            ),
            ("        routes: []\n", "expected `@type"),
        ] {
            let problem = find("envoy.yaml", &format!("{PLUGIN}{value}")).unwrap_err();
            assert!(problem.message.starts_with(expected), "{problem}");
        }
        assert!(
            find("envoy.yaml", "static_resources: {}\n")
                .unwrap_err()
                .message
                .starts_with("no configuration of this plugin")
        );
        assert!(find("a.yaml", "routes: []\n---\nroutes: []\n").unwrap_err().message.starts_with("a second document"));
    }

    #[test]
    fn documents_of_another_kind_are_named() {
        for (text, expected) in [
            ("clients: []\n", Some("a document of clients")),
            ("version: '1.0'\nrevoked: []\n", Some("a revocation list")),
            ("keys: []\n", Some("a key set")),
            ("$schema: x\ntype: object\n", Some("a JSON Schema")),
            ("type: object\nproperties: {}\n", Some("a JSON Schema")),
            ("openapi: 3.1.0\npaths: {}\n", Some("an OpenAPI document")),
            ("cors: {}\npaths: []\n", Some("`paths`")),
            // These are gateway documents, although they have other problems.
            ("version: '1.0'\nclients: []\nroutes: []\n", None),
            ("version: '1.0'\nclients: []\nplans: {}\n", None),
            ("version: '1.0'\nissuers: []\nkeys: []\n", None),
        ] {
            let message = find("a.yaml", text).err().map(|problem| problem.message);
            assert!(
                message.as_deref().map(|message| message.contains(expected.unwrap_or("?"))) == expected.map(|_| true),
                "{text}: {message:?}"
            );
        }
    }

    #[test]
    fn caches_are_found_only_in_chains_with_the_filter() {
        let cache = |kind: &str| {
            format!("{{name: c, typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.{kind}}}}}")
        };
        let (v1, v2) = (cache("cache.v3.CacheConfig"), cache("cache_v2.v3.CacheV2Config"));
        let discovered =
            "{name: c, config_discovery: {type_urls: [envoy.extensions.filters.http.cache.v3.CacheConfig]}}";
        let ours = "{name: ours, config: {vm_config: {}, name: portcullis, configuration: {'@type': a/google.protobuf.Struct, value: {routes: []}}}}";
        let other = "{name: other, config: {vm_config: {}, name: other}}";
        let chains =
            |filters: &[&str]| format!("static_resources: {{listeners: [{{http_filters: [{}]}}]}}", filters.join(", "));
        let plugin = "apiVersion: v1\nkind: WasmPlugin\nspec: {pluginConfig: {routes: []}}\n---\n";
        let patch = format!("apiVersion: v1\nkind: EnvoyFilter\nspec: {{patch: {{value: {v1}}}}}\n");
        for (text, expected) in [
            (chains(&[ours, "{name: router}"]), vec![]),
            (chains(&[ours, &v1]), vec![("static_resources.listeners[0].http_filters[1]", CacheSide::Behind)]),
            (chains(&[&v2, ours]), vec![("static_resources.listeners[0].http_filters[0]", CacheSide::InFront)]),
            (chains(&[ours, discovered]), vec![("static_resources.listeners[0].http_filters[1]", CacheSide::Behind)]),
            (chains(&[other, &v1]), vec![]),
            (format!("{}, clusters: [{{http_filters: [{v1}]}}]}}", chains(&[ours]).trim_end_matches('}')), vec![]),
            (format!("{plugin}{patch}"), vec![("spec.patch.value.typed_config.@type", CacheSide::Unknown)]),
            (patch.clone(), vec![]),
            ("routes: []".to_string(), vec![]),
            ("[".to_string(), vec![]),
        ] {
            let found = caches("envoy.yaml", &text);
            let found: Vec<_> = found.iter().map(|cache| (cache.place.path.as_str(), cache.side)).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn other_plugins_are_left_alone() {
        let text = "static_resources:\n- name: other\n  vm_config: {}\n  configuration:\n    '@type': type.googleapis.com/google.protobuf.StringValue\n    value: 'not json'\n";
        assert!(find("a.yaml", text).unwrap_err().message.starts_with("no configuration of this plugin"));
    }
}
