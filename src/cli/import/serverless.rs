//! Reads the JSON of a serverless API gateway: `cors`, `servers`, `authorizer`, and `paths` with static responses or upstreams.

use serde_json::{Map, Value, json};

use super::precedence::RankedRoute;
use super::reader::ImportValue;
use super::{ISSUER, ImportContext, Imported, methods, pattern, precedence, refuse_needless_escape};
use crate::policy::request::route::Method;

/// Converts the whole file.
pub fn read(root: &ImportValue<'_, '_>, context: &ImportContext<'_>) -> Imported {
    let mut imported = Imported::default();
    for (key, why) in UNSUPPORTED_KEYS {
        if let Some(value) = root.get(key) {
            value.leave_out(why);
        }
    }
    if let Some(cors) = root.get("cors") {
        imported.origin("cors", &cors);
        imported.cors = Some(read_cors(&cors));
    }
    for server in root.get("servers").map(|servers| servers.items()).unwrap_or_default() {
        read_server(&server, context, &mut imported);
    }
    if let Some(authorizer) = root.get("authorizer") {
        if context.has_issuer {
            authorizer.leave_out("was replaced by --issuer");
        } else {
            imported.origin("issuers", &authorizer);
            imported.issuer = read_authorizer(&authorizer);
        }
    }
    let mut paths = Vec::new();
    for path in root.require("paths").map(|paths| paths.items()).unwrap_or_default() {
        if let Some(route) = read_path(&path, context, &imported) {
            imported.route(route, &path);
            paths.push(path);
        }
    }
    refuse_opened(&imported, &paths);
    imported
}

/// Refuses each path without a token requirement if, in this gateway, it would match a request for which the imported gateway
/// requires a token.
fn refuse_opened(imported: &Imported, paths: &[ImportValue<'_, '_>]) {
    let entries: Vec<RankedRoute> = imported.routes.iter().map(entry).collect();
    for opened in precedence::opened(&entries) {
        let (Some(open), Some(protected)) = (paths.get(opened.open), paths.get(opened.protected)) else { continue };
        open.problem(format!(
            "`{}` needs a token in the imported gateway because of {} (line {}), but in this gateway this path, which needs no token, would match it: add a path for that request",
            opened.request, protected.place.path, protected.place.line
        ));
    }
}

fn entry(route: &Value) -> RankedRoute {
    let methods = match route.get("method") {
        Some(Value::Array(methods)) => methods.iter().collect(),
        method => method.into_iter().collect::<Vec<_>>(),
    };
    RankedRoute {
        pattern: route.get("path").and_then(Value::as_str).unwrap_or_default().to_string(),
        methods: methods.into_iter().filter_map(|method| Method::parse(method.as_str()?).ok()).collect(),
        is_open: route.get("auth").is_some(),
    }
}

fn read_cors(cors: &ImportValue<'_, '_>) -> Value {
    let carried = CORS.iter().filter_map(|key| Some(((*key).to_string(), cors.get(key)?.json())));
    Value::Object(carried.collect())
}

fn read_server(server: &ImportValue<'_, '_>, context: &ImportContext<'_>, imported: &mut Imported) {
    let (alias, url) = (server.require("alias"), server.require("url"));
    let (Some(name), Some(address)) =
        (alias.as_ref().and_then(ImportValue::text), url.as_ref().and_then(ImportValue::text))
    else {
        return;
    };
    if let (true, Some(url)) = (context.is_declared(name), &url) {
        url.warn("was replaced by --upstream");
        return;
    }
    imported.origin(&format!("upstreams.{name}"), server);
    if imported.upstreams.insert(name.to_string(), json!({ "url": address })).is_some() {
        server.problem(format!("an earlier server has the alias `{name}` already"));
    }
}

/// Reads the authorizer. An authorizer of type `jwt`, whose tokens use a shared secret, has all settings that an issuer needs.
/// For other types, the user must describe the issuer with command-line options.
fn read_authorizer(authorizer: &ImportValue<'_, '_>) -> Option<Value> {
    let kind = authorizer.require("type")?.text()?;
    if kind != "jwt" {
        authorizer.leave_out(format!(
            "an authorizer of type `{kind}` was not imported: describe its issuer with --issuer, --audience and --jwks-uri"
        ));
        return None;
    }
    let secret = secret_variable(authorizer);
    let mut issuer = json!({ "name": ISSUER, "secret": { "env": secret } });
    let members = issuer.as_object_mut()?;
    if let Some(name) = authorizer.require("issuer").and_then(|name| name.text()) {
        members.insert("issuer".to_string(), json!(name));
    }
    if let Some(audiences) = authorizer.require("audience").and_then(|audience| audience.texts()) {
        members.insert("audiences".to_string(), json!(audiences));
    }
    if let Some(algorithms) = authorizer.get("algorithm").and_then(|algorithm| algorithm.texts()) {
        members.insert("algorithms".to_string(), json!(algorithms));
    }
    Some(issuer)
}

/// Returns the name of the variable with the secret. A secret in the file is never copied into the result.
fn secret_variable(authorizer: &ImportValue<'_, '_>) -> String {
    let secret = authorizer.get("secret");
    let written = secret.as_ref().and_then(ImportValue::text).unwrap_or_default();
    let is_name = |name: &&str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    let name = written.trim_start_matches(['$', '{']).trim_end_matches('}');
    let name = name.strip_prefix("env.").or(name.strip_prefix("secrets.")).unwrap_or(name);
    match Some(name).filter(|_| name != written).filter(is_name) {
        Some(name) => name.to_string(),
        None => {
            let place = secret.as_ref().unwrap_or(authorizer);
            let what = if secret.is_some() { "the secret was not copied" } else { "the file has no secret" };
            place.warn(format!("{what}: put it into the variable {SECRET} of Envoy's environment"));
            SECRET.to_string()
        }
    }
}

/// Reads one path. A path is never dropped, because a more general route, perhaps one without a token, could then match its
/// requests.
fn read_path(path: &ImportValue<'_, '_>, context: &ImportContext<'_>, imported: &Imported) -> Option<Value> {
    if !path.is_mapping() {
        return None;
    }
    let written = path.require("path");
    let pattern = written.as_ref().and_then(pattern);
    let method = path.require("method").and_then(|method| methods(&method));
    // In this format, a path needs no token by default; in a gateway document, a route needs one. Only `false` or an absent
    // `auth` means that no token is needed.
    let needs_token = match path.get("auth") {
        Some(auth) => auth.flag(),
        None => Some(false),
    };
    for (key, why) in UNSUPPORTED_PATH_KEYS {
        if let Some(value) = path.get(key) {
            value.leave_out(why);
        }
    }
    let action = read_action(path, context, imported);
    let (written, pattern) = (written?, pattern?);
    let mut route = Map::from_iter([("path".to_string(), json!(pattern))]);
    route.extend(action);
    if let Some(method) = method? {
        route.insert("method".to_string(), method);
    }
    if !needs_token? {
        refuse_needless_escape(&written, &pattern);
        route.insert("auth".to_string(), json!("none"));
    }
    if let (Some(prefix), true) = (pattern.strip_suffix("/{.+}"), route.contains_key("upstream")) {
        // The imported gateway removes the prefix before it forwards the request, and also matches the prefix without a tail.
        route.insert("strip_prefix".to_string(), json!(true));
        let bare = if prefix.is_empty() { "/" } else { prefix };
        written.warn(format!(
            "also matched `{bare}` itself in the imported gateway; this gateway needs a separate route for that path"
        ));
    }
    Some(Value::Object(route))
}

/// Returns the key that determines what the route does with a request: `upstream`, or `response` with a static response.
fn read_action(path: &ImportValue<'_, '_>, context: &ImportContext<'_>, imported: &Imported) -> Map<String, Value> {
    let unanswered = || Map::from_iter([("response".to_string(), json!({ "status": 501 }))]);
    let response = path.get("response");
    let Some(integration) = path.get("integration") else {
        if let Some(response) = response {
            return Map::from_iter([("response".to_string(), json!({ "body": response.json() }))]);
        }
        path.warn("has neither `integration` nor `response`, so the imported route answers 501");
        return unanswered();
    };
    if let Some(response) = response {
        response.leave_out("was not imported, because the path also has an `integration`");
    }
    match integration.require("type").and_then(|kind| kind.text()) {
        Some("http" | "http_proxy") => {}
        Some(kind) => {
            integration.leave_out(format!(
                "an integration of type `{kind}` was not imported, so the imported route answers 501"
            ));
            return unanswered();
        }
        None => return unanswered(),
    }
    let Some(server) = integration.require("server") else { return unanswered() };
    let Some(name) = server.text() else { return unanswered() };
    if !context.is_declared(name) && !imported.upstreams.contains_key(name) {
        server.warn(format!(
            "no server has the alias `{name}`; `check` refuses the document until there is an upstream of this name (--upstream {name}=URL)"
        ));
    }
    Map::from_iter([("upstream".to_string(), json!(name))])
}

const CORS: [&str; 6] =
    ["allow_origins", "allow_methods", "allow_headers", "expose_headers", "allow_credentials", "max_age"];
const SECRET: &str = "JWT_SECRET";
/// Keys of the file that do not affect access and have no equivalent in a gateway document.
const UNSUPPORTED_KEYS: [(&str, &str); 7] = [
    ("$schema", "was not imported: `portcullis schema` prints the schema of these documents"),
    ("title", "was not imported: a gateway document has no `title` key"),
    ("description", "was not imported: a gateway document has no `description` key"),
    ("variables", "was not imported: this gateway has no such variables"),
    ("services", "was not imported: routes refer to an upstream instead"),
    ("serviceBindings", "was not imported: routes refer to an upstream instead"),
    ("servicesBindings", "was not imported: routes refer to an upstream instead"),
];
/// Keys of a path that have no equivalent on a route.
const UNSUPPORTED_PATH_KEYS: [(&str, &str); 2] = [
    (
        "mapping",
        "was not imported. Declare headers that are set from claims under `identity_headers`; otherwise clients can forge them",
    ),
    ("variables", "was not imported: this gateway has no such variables"),
];
