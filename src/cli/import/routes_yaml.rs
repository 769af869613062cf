//! Reads a routes.yaml with `public_paths`, and with routes that have `proxy_upstream`, `auth_required`, `scopes` and `timeout`.

use serde_json::{Map, Value, json};

use super::reader::ImportValue;
use super::{ImportContext, Imported, matches, methods, pattern, refuse_needless_escape};
use crate::config::environment::expand;

/// Converts the whole file.
pub fn read(root: &ImportValue<'_, '_>, context: &ImportContext<'_>) -> Imported {
    let mut imported = Imported {
        // The upstreams of a gateway with this format expect these identity headers.
        identity_headers: Some(json!({
            "X-Org-ID": "org_id", "X-User-ID": "user_id", "X-User-Email": "email", "X-User-Role": "role",
        })),
        ..Imported::default()
    };
    if let Some(version) = root.get("version") {
        let is_known = [json!("1.0"), json!("1"), json!(1.0), json!(1)].contains(&version.json());
        if !is_known {
            version.problem("is not a version of this format that import reads (accepted: \"1.0\")");
        }
    }
    let mut protected = Vec::new();
    for route in root.get("routes").map(|routes| routes.items()).unwrap_or_default() {
        if let Some(read) = read_route(&route, context, &mut imported) {
            if read.asks_for_token {
                protected.push((read.pattern, route.place.path.clone()));
            }
            imported.route(read.route, &route);
        }
    }
    for public in root.get("public_paths").map(|paths| paths.items()).unwrap_or_default() {
        read_public_path(&public, &protected, &mut imported);
    }
    imported
}

struct ImportedRoute {
    route: Value,
    pattern: String,
    /// Whether the file says that this route needs a token, with `auth_required: true` or with scopes.
    asks_for_token: bool,
}

fn read_route(
    route: &ImportValue<'_, '_>,
    context: &ImportContext<'_>,
    imported: &mut Imported,
) -> Option<ImportedRoute> {
    if !route.is_mapping() {
        return None;
    }
    let path = route.require("path");
    let pattern = path.as_ref().and_then(pattern);
    let method = route.get("method").map(|method| methods(&method));
    // Only `false` removes the token requirement. Any value other than true or false is a problem.
    let needs_token = route.get("auth_required").map(|auth| auth.flag());
    let scopes = route.get("scopes").map(|scopes| scopes.texts());
    let mut carried = Map::new();
    for key in ["timeout", "description"] {
        carried.extend(route.get(key).map(|value| (key.to_string(), value.json())));
    }
    if let Some(ttl) = route.get("cache_ttl") {
        ttl.leave_out("was not imported: this gateway does not cache responses");
    }
    match route.get("proxy_upstream") {
        Some(address) => {
            if let Some(url) = address.text() {
                carried.insert("upstream".to_string(), json!(declare(imported, context, &address, url)));
            }
        }
        None => route.warn("has no `proxy_upstream`, so the imported route has no `upstream`: add one"),
    }
    let (path, pattern) = (path?, pattern?);
    carried.insert("path".to_string(), json!(pattern));
    if let Some(Some(method)) = method.map_or(Some(None), |method| method) {
        carried.insert("method".to_string(), method);
    }
    let mut asks_for_token = needs_token == Some(Some(true));
    if let Some(scopes) = scopes {
        let scopes = scopes?;
        asks_for_token |= !scopes.is_empty();
        carried.insert("scopes".to_string(), json!(scopes));
    }
    if needs_token == Some(Some(false)) {
        refuse_needless_escape(&path, &pattern);
        carried.insert("auth".to_string(), json!("none"));
    }
    Some(ImportedRoute { route: Value::Object(carried), pattern, asks_for_token })
}

/// Reads a public path. In both gateways a public path needs no token, regardless of the route that matches the request.
fn read_public_path(public: &ImportValue<'_, '_>, protected: &[(String, String)], imported: &mut Imported) {
    let Some(written) = public.text() else { return };
    if written.contains(['*', '{', '}']) {
        return public.problem(format!(
            "`{written}` is not a literal path; import makes no pattern public: list the paths, or add the pattern to `public_paths` of the result"
        ));
    }
    let Some(path) = pattern(public) else { return };
    if let Some((_, place)) = protected.iter().find(|(pattern, _)| *pattern == path) {
        return public
            .problem(format!("`{written}` is in `public_paths`, but {place} requires a token: keep one of the two"));
    }
    refuse_needless_escape(public, &path);
    let is_routed = imported.routes.iter().any(|route| {
        let pattern = route.get("path").and_then(Value::as_str);
        pattern.is_some_and(|pattern| matches(pattern, &path))
    });
    let is_probe = PROBES.contains(&path.as_str());
    if is_routed || !is_probe {
        imported.origin(&format!("public_paths[{}]", imported.public_paths.len()), public);
        imported.public_paths.push(json!(path));
    }
    if is_routed {
        return;
    }
    if is_probe {
        let probe =
            json!({ "path": path, "method": "GET", "auth": "none", "response": { "body": { "status": "ok" } } });
        imported.route(probe, public);
        public.warn("was answered by the imported gateway itself, so it became a route with a static `response`");
    } else {
        public.warn("has no route: add one with an `upstream`");
    }
}

/// Adds the upstream with this address and returns its name. Two addresses never get the same name.
fn declare(imported: &mut Imported, context: &ImportContext<'_>, item: &ImportValue<'_, '_>, address: &str) -> String {
    if let Err(fault) = expand(address, &|_| Some("set".to_string())) {
        item.problem(format!("`{address}` is not an address: {fault}"));
    }
    let plain = upstream_name(address);
    let mut name = plain.clone();
    let mut count = 1;
    while imported.upstreams.get(&name).is_some_and(|known| known.get("url").is_some_and(|url| url != address)) {
        count += 1;
        name = format!("{plain}-{count}");
    }
    if context.is_declared(&name) {
        item.warn(format!("the address of `{name}` was replaced by --upstream"));
    }
    imported.origin(&format!("upstreams.{name}"), item);
    imported.upstreams.insert(name.clone(), json!({ "url": address }));
    name
}

/// Derives a name from an address: both `$AGENTS_SERVICE_URL` and `http://agents:8080` become `agents`.
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
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = name.chars().map(plain).collect();
    match name.trim_matches('-') {
        "" => "upstream".to_string(),
        name => name.to_string(),
    }
}

/// The paths that a gateway with this format answers itself.
const PROBES: [&str; 2] = ["/health", "/ready"];
