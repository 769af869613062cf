//! Reads the JSON of a serverless API gateway: `cors`, `paths` with static responses or proxies, `servers`, `authorizer`.

use serde_json::{Map, Value, json};

use super::losses::{Losses, child, flag, items, text};
use super::{ISSUER, Imported};
use crate::config::node::Node;

/// The whole file. `declared` names upstreams that are known from elsewhere.
pub fn read(root: &Node, declared: &[(String, String)], losses: &mut Losses) -> Imported {
    losses.others(root, "", &["cors", "paths", "servers", "authorizer"]);
    let mut imported = Imported { cors: root.get("cors").map(|cors| read_cors(cors, losses)), ..Imported::default() };
    for (i, server) in items(root, "servers").iter().enumerate() {
        let path = format!("servers[{i}]");
        losses.others(server, &path, &["alias", "url"]);
        match (text(server, "alias"), text(server, "url")) {
            (Some(alias), Some(url)) => {
                imported.upstreams.insert(alias.to_string(), json!({ "url": url }));
            }
            _ => losses.add(server.at, &path, "has no `alias` and `url`"),
        }
    }
    imported.issuer = root.get("authorizer").and_then(|authorizer| read_authorizer(authorizer, losses));
    let servers = imported.upstreams.clone();
    let is_known = |name: &str| servers.contains_key(name) || declared.iter().any(|(known, _)| known == name);
    for (i, path) in items(root, "paths").iter().enumerate() {
        let place = format!("paths[{i}]");
        imported.routes.extend(read_path(path, &place, &is_known, losses));
    }
    imported
}

fn read_cors(cors: &Node, losses: &mut Losses) -> Value {
    losses.others(cors, "cors", &CORS);
    let carried = CORS.iter().filter_map(|key| Some(((*key).to_string(), cors.get(key)?.to_json())));
    Value::Object(carried.collect())
}

/// Only tokens with a shared secret are described completely there; other kinds need the options of the command line.
fn read_authorizer(authorizer: &Node, losses: &mut Losses) -> Option<Value> {
    let kind = text(authorizer, "type").unwrap_or_default();
    if kind != "jwt" {
        let message = format!(
            "an authorizer of type `{kind}` was not carried over: describe its issuer with --issuer, --audience and --jwks-uri"
        );
        losses.add(authorizer.at, "authorizer", message);
        return None;
    }
    losses.others(authorizer, "authorizer", &["type", "secret", "algorithm", "issuer", "audience"]);
    let mut issuer = json!({ "name": ISSUER, "secret": { "env": secret_variable(authorizer, losses) } });
    let members = issuer.as_object_mut()?;
    let copy = |key: &str| authorizer.get(key).map(Node::to_json);
    for (key, value, list) in [
        ("issuer", copy("issuer"), false),
        ("audiences", copy("audience"), true),
        ("algorithms", copy("algorithm"), true),
    ] {
        match value {
            Some(value) if list && !value.is_array() => members.insert(key.to_string(), json!([value])),
            Some(value) => members.insert(key.to_string(), value),
            None if key == "algorithms" => None,
            None => {
                losses.add(
                    authorizer.at,
                    "authorizer",
                    format!(
                        "does not say which `{key}` tokens must have; `check` refuses the document until it is written"
                    ),
                );
                None
            }
        };
    }
    Some(issuer)
}

/// A secret that stands in the file is not copied into another one: it moves to a variable.
fn secret_variable(authorizer: &Node, losses: &mut Losses) -> String {
    let written = text(authorizer, "secret").unwrap_or_default();
    let is_name = |name: &&str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    let name = written.trim_start_matches(['$', '{']).trim_end_matches('}');
    let name = name.strip_prefix("env.").or(name.strip_prefix("secrets.")).unwrap_or(name);
    match Some(name).filter(|_| name != written).filter(is_name) {
        Some(name) => name.to_string(),
        None => {
            let at = authorizer.get("secret").map_or(authorizer.at, |secret| secret.at);
            losses.add(
                at,
                "authorizer.secret",
                format!("was not copied: put it into the variable {SECRET} of Envoy's environment"),
            );
            SECRET.to_string()
        }
    }
}

fn read_path(path: &Node, place: &str, is_known: &dyn Fn(&str) -> bool, losses: &mut Losses) -> Option<Value> {
    losses.others(path, place, &["method", "path", "response", "auth", "integration"]);
    let Some(pattern) = text(path, "path") else {
        losses.add(path.at, place, "has no `path` and was not carried over");
        return None;
    };
    let mut route = Map::new();
    let mut set = |key: &str, value: Value| route.insert(key.to_string(), value);
    set("path", json!(pattern));
    match text(path, "method") {
        None | Some("ANY") => {}
        Some(method) => drop(set("method", json!(method))),
    }
    // There a path is open unless it says otherwise; here it is the other way round.
    if !flag(path, "auth").unwrap_or(false) {
        set("auth", json!("none"));
    }
    if let Some(response) = path.get("response") {
        set("response", json!({ "body": response.to_json() }));
        return Some(Value::Object(route));
    }
    let integration = path.get("integration")?;
    let within = child(place, "integration");
    losses.others(integration, &within, &["type", "server"]);
    let kind = text(integration, "type").unwrap_or_default();
    if !matches!(kind, "http" | "http_proxy") {
        losses.add(
            integration.at,
            &within,
            format!("an integration of type `{kind}` was not carried over, and so neither was the route"),
        );
        return None;
    }
    let server = text(integration, "server").unwrap_or_default();
    if !is_known(server) {
        let message = format!(
            "no server has the alias `{server}`; `check` refuses the document until there is an upstream of this name"
        );
        losses.add(integration.at, &within, message);
    }
    set("upstream", json!(server));
    if let Some(prefix) = pattern.strip_suffix("/{.+}") {
        // There the proxy takes the prefix off, and the bare prefix is a match too.
        set("strip_prefix", json!(true));
        let message = format!("matched `{prefix}` itself as well; here it takes a route of its own");
        losses.add(path.get("path").map_or(path.at, |node| node.at), &child(place, "path"), message);
    }
    Some(Value::Object(route))
}

const CORS: [&str; 6] =
    ["allow_origins", "allow_methods", "allow_headers", "expose_headers", "allow_credentials", "max_age"];
const SECRET: &str = "JWT_SECRET";
