//! Reads a routes.yaml: `public_paths`, and routes with `proxy_upstream`, `auth_required`, `scopes`, `timeout`.

use serde_json::{Map, Value, json};

use super::Imported;
use super::losses::{Losses, child, flag, items, text};
use crate::config::node::{Node, Value as Written};

/// The whole file.
pub fn read(root: &Node, losses: &mut Losses) -> Imported {
    losses.others(root, "", &["version", "public_paths", "routes"]);
    let mut imported = Imported {
        // The headers that the backends of this dialect read.
        identity_headers: Some(json!({
            "X-Org-ID": "org_id", "X-User-ID": "user_id", "X-User-Email": "email", "X-User-Role": "role",
        })),
        ..Imported::default()
    };
    for (i, route) in items(root, "routes").iter().enumerate() {
        let place = format!("routes[{i}]");
        imported.routes.extend(read_route(route, &place, &mut imported.upstreams, losses));
    }
    for (i, public) in items(root, "public_paths").iter().enumerate() {
        let Written::Text(path) = &public.value else {
            losses.add(public.at, &format!("public_paths[{i}]"), "is not a path and was not carried over");
            continue;
        };
        let is_routed = imported.routes.iter().any(|route| route.get("path").is_some_and(|p| p == path.as_str()));
        let place = format!("public_paths[{i}]");
        if is_routed || !PROBES.contains(&path.as_str()) {
            imported.public_paths.push(json!(path));
        }
        if is_routed {
            continue;
        }
        if PROBES.contains(&path.as_str()) {
            imported.routes.push(
                json!({ "path": path, "method": "GET", "auth": "none", "response": { "body": { "status": "ok" } } }),
            );
            losses.add(public.at, &place, "was answered by the gateway itself and became a static route");
        } else {
            losses.add(public.at, &place, "has no route, so nothing says where it leads: add one with an `upstream`");
        }
    }
    imported
}

fn read_route(route: &Node, place: &str, upstreams: &mut Map<String, Value>, losses: &mut Losses) -> Option<Value> {
    losses.others(route, place, &CARRIED);
    let Some(path) = text(route, "path") else {
        losses.add(route.at, place, "has no `path` and was not carried over");
        return None;
    };
    let mut carried = Map::new();
    let mut set = |key: &str, value: Value| carried.insert(key.to_string(), value);
    set("path", json!(path));
    for key in ["method", "scopes", "timeout", "description"] {
        if let Some(value) = route.get(key) {
            set(key, value.to_json());
        }
    }
    // Only what says so is open; a word that is neither true nor false opens nothing.
    if flag(route, "auth_required") == Some(false) {
        set("auth", json!("none"));
    }
    if let Some(ttl) = route.get("cache_ttl") {
        losses.add(ttl.at, &child(place, "cache_ttl"), "responses are not cached here");
    }
    match text(route, "proxy_upstream") {
        Some(address) => {
            let name = declare(upstreams, address);
            set("upstream", json!(name));
        }
        None => losses.add(route.at, place, "has no `proxy_upstream`, so nothing says where it leads"),
    }
    Some(Value::Object(carried))
}

/// The name of the upstream at this address; two addresses never share a name.
fn declare(upstreams: &mut Map<String, Value>, address: &str) -> String {
    let plain = upstream_name(address);
    let mut name = plain.clone();
    let mut count = 1;
    while upstreams.get(&name).is_some_and(|known| known.get("url").is_some_and(|url| url != address)) {
        count += 1;
        name = format!("{plain}-{count}");
    }
    upstreams.insert(name.clone(), json!({ "url": address }));
    name
}

/// `$AGENTS_SERVICE_URL` and `http://agents:8080` are both `agents`.
fn upstream_name(address: &str) -> String {
    let variable = address.strip_prefix('$').map(|name| name.trim_start_matches('{').trim_end_matches('}'));
    let name = match variable {
        Some(name) => {
            let name = name.strip_suffix("_URL").unwrap_or(name);
            name.strip_suffix("_SERVICE").unwrap_or(name)
        }
        None => {
            let authority = address.split_once("://").map_or(address, |(_, rest)| rest);
            authority.split(['/', ':', '.']).next().unwrap_or(authority)
        }
    };
    name.to_ascii_lowercase().replace('_', "-")
}

const CARRIED: [&str; 8] =
    ["path", "method", "proxy_upstream", "auth_required", "scopes", "cache_ttl", "timeout", "description"];
/// What gateways of this dialect answer themselves.
const PROBES: [&str; 2] = ["/health", "/ready"];
