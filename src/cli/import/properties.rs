//! Tests `import` on random files: no key is lost silently, no path loses its token requirement, the result passes `check`.

mod files;

use proptest::prelude::*;
use proptest::test_runner::{FailurePersistence, FileFailurePersistence};
use serde_json::{Value, json};

use super::*;
use files::{routes_file, serverless_file};

fn options(ignored: &[&str]) -> ImportOptions {
    ImportOptions {
        file: "f".to_string(),
        issuer: None,
        audiences: Vec::new(),
        jwks_uri: None,
        secret_env: None,
        upstreams: Vec::new(),
        ignored_keys: ignored.iter().map(ToString::to_string).collect(),
    }
}

fn imported(file: &Value, ignored: &[&str]) -> Result<Import, Findings> {
    let root =
        yaml::read(&file.to_string()).map_err(|problem| Findings { problems: vec![problem], warnings: vec![] })?;
    import(&root, None, &options(ignored))
}

/// Collects every key of a file with its path and value. It does not descend into values that `import` copies or leaves out as a
/// whole.
fn keys<'v>(value: &'v Value, path: &str, found: &mut Vec<(String, &'v Value)>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                found.push((path.clone(), value));
                if !["response", "mapping", "variables", "title", "services", "cache_ttl"].contains(&key.as_str()) {
                    keys(value, &path, found);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                keys(item, &format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}

/// Decodes the escapes of a path. The generated files percent-encode only letters, such as `%61` for `a`, so decoding does not
/// change the segments of the path.
fn decoded(path: &Value) -> Value {
    path.as_str().map_or(path.clone(), |path| json!(percent::decode(path)))
}

/// Returns whether `value`, which is at `path` of the file, is also in the converted document, in the corresponding place.
fn is_carried(file: &Value, document: &Value, path: &str, value: &Value) -> bool {
    let key = path.rsplit(['.', ']']).next().unwrap_or_default();
    let route = |prefix: &str| {
        let index = path.strip_prefix(prefix)?.split(']').next()?.parse::<usize>().ok()?;
        document["routes"].get(index)
    };
    let texts = |value: &Value| if value.is_array() { value.clone() } else { json!([value]) };
    let upstream = |route: &Value| document["upstreams"].get(route["upstream"].as_str().unwrap_or_default()).cloned();
    if let Some(route) = route("paths[").or_else(|| route("routes[")) {
        return match key {
            "path" => route[key] == decoded(value),
            "timeout" | "description" => route[key] == *value,
            "scopes" => route[key] == texts(value),
            "method" if texts(value).as_array().is_some_and(|all| all.contains(&json!("ANY"))) => {
                route.get(key).is_none()
            }
            "method" => texts(&route[key]) == texts(value),
            "auth" => (route.get("auth") == Some(&json!("none"))) == (*value == json!(false)),
            "auth_required" => (route.get("auth") == Some(&json!("none"))) == (*value == json!(false)),
            "response" => route["response"]["body"] == *value,
            "server" => route["upstream"] == *value,
            "proxy_upstream" => upstream(route).is_some_and(|upstream| upstream["url"] == *value),
            "integration" => route.get("upstream").is_some(),
            "type" => ["http", "http_proxy"].contains(&value.as_str().unwrap_or_default()),
            _ => false,
        };
    }
    let issuer = document["issuers"].get(0).cloned().unwrap_or_default();
    match path {
        "paths" | "servers" | "routes" => value.is_array(),
        "version" => [json!("1.0"), json!(1)].contains(value),
        "cors" => document["cors"].is_object() && value.is_object(),
        "authorizer" => issuer.is_object(),
        "authorizer.type" => *value == json!("jwt"),
        "authorizer.issuer" => issuer["issuer"] == *value,
        "authorizer.audience" => issuer["audiences"] == texts(value),
        "authorizer.algorithm" => issuer["algorithms"] == texts(value),
        "authorizer.secret" => issuer["secret"]["env"] == json!("KEY") && *value == json!("$secrets.KEY"),
        "public_paths" => value.as_array().is_some_and(|paths| {
            let routes = document["routes"].as_array().cloned().unwrap_or_default();
            let public = document["public_paths"].as_array().cloned().unwrap_or_default();
            paths.iter().all(|path| public.contains(path) || routes.iter().any(|route| route["path"] == *path))
        }),
        _ if path.starts_with("cors.") => document["cors"].get(key) == Some(value),
        _ if path.starts_with("servers[") => {
            let alias = &file["servers"][0]["alias"];
            key == "alias" && document["upstreams"].get(alias.as_str().unwrap_or_default()).is_some()
                || key == "url" && document["upstreams"][alias.as_str().unwrap_or_default()]["url"] == *value
        }
        _ => false,
    }
}

/// Returns whether the imported file makes this route of the result public, explicitly or by the default of its format.
fn is_reported_open(file: &Value, route: &Value) -> bool {
    let items = |key: &str| file[key].as_array().cloned().unwrap_or_default();
    let serverless = items("paths")
        .iter()
        .any(|path| path["path"] == route["path"] && matches!(path.get("auth"), None | Some(Value::Bool(false))));
    let routes =
        items("routes").iter().any(|path| path["path"] == route["path"] && path["auth_required"] == json!(false));
    serverless || routes || items("public_paths").contains(&route["path"])
}

fn check_properties(file: &Value, ignored: &[&str]) -> Result<(), TestCaseError> {
    let import = match imported(file, ignored) {
        Ok(import) => import,
        Err(findings) => {
            prop_assert!(!findings.problems.is_empty(), "refused without a reason: {}", file);
            return Ok(());
        }
    };
    let document = &import.document;
    // Every key is in the result, or a warning names the key or a parent of the key.
    let mut all = Vec::new();
    keys(file, "", &mut all);
    for (path, value) in all {
        let is_named = import.warnings.iter().any(|warning| {
            let rest = path.strip_prefix(&warning.place.path);
            !warning.place.path.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        });
        prop_assert!(is_named || is_carried(file, document, &path, value), "{} was lost: {}\n{}", path, file, document);
    }
    // A route that needs no token in the result also needs none in the file.
    for route in document["routes"].as_array().into_iter().flatten() {
        let is_open = route.get("auth").is_some();
        prop_assert!(!is_open || is_reported_open(file, route), "{} became open: {}", route, file);
    }
    for public in document["public_paths"].as_array().into_iter().flatten() {
        let is_said = file["public_paths"].as_array().is_some_and(|paths| paths.contains(public));
        prop_assert!(is_said && !public.to_string().contains(['*', '{']), "{} became open: {}", public, file);
        for route in file["routes"].as_array().into_iter().flatten().filter(|route| decoded(&route["path"]) == *public)
        {
            let names_scopes = route.get("scopes").is_some_and(|scopes| *scopes != json!([]));
            let asks_for_token = route["auth_required"] == json!(true) || names_scopes;
            prop_assert!(!asks_for_token, "{} became open: {}", public, file);
        }
    }
    // No secret is copied.
    prop_assert!(!document.to_string().contains("hunter2"), "{}", document);
    // The YAML parses to the same document. The document passes `check` once its missing issuer and upstreams are added.
    let text = yaml_emitter::yaml(document);
    prop_assert_eq!(yaml::read(&text).map(|node| node.to_json()).ok(), Some(document.clone()));
    prop_assert_eq!(verify_result::problems(document, &[]), vec![]);
    Ok(())
}

/// Saves each failing case beside this file. Later runs try these cases first.
fn regressions() -> Option<Box<dyn FailurePersistence>> {
    Some(Box::new(FileFailurePersistence::WithSource("regressions")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: regressions(), ..ProptestConfig::default() })]

    #[test]
    fn every_key_of_a_serverless_file_is_converted_or_reported_and_no_route_becomes_public(file in serverless_file()) {
        check_properties(&file, &[])?;
    }

    #[test]
    fn a_routes_yaml_loses_nothing_silently_and_opens_nothing(file in routes_file()) {
        check_properties(&file, &[])?;
    }

    #[test]
    fn ignored_keys_lose_nothing_silently_and_open_nothing(file in prop_oneof![serverless_file(), routes_file()]) {
        check_properties(&file, &["Auth", "authn", "auth_requierd", "roles", "x-note", "metod"])?;
    }
}

/// Checks that the generators are useful: `import` must accept many files, and some files must have routes without a token
/// requirement.
#[test]
fn many_random_files_are_imported() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for strategy in [serverless_file(), routes_file()] {
        let files = (0..400).map(|_| strategy.new_tree(&mut runner).unwrap().current());
        let imported: Vec<Import> = files.filter_map(|file| imported(&file, &[]).ok()).collect();
        let open = imported.iter().filter(|import| import.document.to_string().contains("\"auth\":\"none\"")).count();
        assert!(imported.len() > 40 && open > 10, "{} imported, {open} of them with open routes", imported.len());
    }
}
