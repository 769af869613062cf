//! Tests what `portcullis import` converts and reports, and that no route becomes public by mistake.

use crate::Bench;

#[test]
fn other_gateways_are_imported_and_nothing_becomes_open() {
    let bench = Bench::new("import");
    bench.write("serverless.json", SERVERLESS);
    bench.write("routes.yaml", ROUTES);
    for (file, lost, routes) in [
        ("serverless.json", "serverless.json:4:32: paths[1].path: warning: also matched `/admin` itself", 2),
        (
            "routes.yaml",
            "routes.yaml:7:16: routes[0].cache_ttl: warning: was not imported: this gateway does not cache responses",
            3,
        ),
    ] {
        let bare = bench.run(&["import", file]);
        assert_eq!(bare.code, 0);
        assert!(bare.out.contains("# PROBLEM:"), "{}", bare.out);
        assert!(bare.err.lines().any(|line| line.starts_with(lost)), "{}", bare.err);
        bench.write("imported.yaml", &bare.out);
        let checked = bench.run(&["check", "imported.yaml"]);
        assert_eq!(checked.code, 1, "a protected route without an issuer must stay a problem");
        assert!(checked.err.contains("needs a token, but no issuer is declared"), "{}", checked.err);

        let options = [
            "--issuer",
            "i",
            "--audience",
            "a",
            "--secret-env",
            "JWT_SECRET",
            "--upstream",
            "admin=http://127.0.0.1:9",
        ];
        let full = bench.run(&[&["import", file][..], &options].concat());
        assert!(!full.out.contains("PROBLEM"), "{}", full.out);
        bench.write("imported.yaml", &full.out);
        let checked = bench.run(&["check", "imported.yaml", "--set", "AGENTS_SERVICE_URL=http://agents"]);
        assert_eq!(checked.out, format!("imported.yaml: {routes} routes, 1 issuer, no problems\n"), "{}", checked.err);
    }
}

#[test]
fn a_secret_in_an_imported_file_stays_there() {
    let bench = Bench::new("secret");
    let authorizer = r#""authorizer": {"type": "jwt", "secret": "hunter2hunter2", "algorithm": "HS256", "issuer": "i", "audience": "a"}, "paths""#;
    bench.write("serverless.json", &SERVERLESS.replace("\"paths\"", authorizer));
    let ran = bench.run(&["import", "serverless.json"]);
    assert!(!ran.out.contains("hunter2") && !ran.err.contains("hunter2"), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("env: JWT_SECRET"), "{}", ran.out);
}

/// Writes the text to a file with this name, and imports that file with these arguments.
fn import(bench: &Bench, file: &str, text: &str, arguments: &[&str]) -> crate::CommandOutput {
    bench.write(file, text);
    bench.run(&[&["import", file][..], arguments].concat())
}

#[test]
fn a_file_with_unknown_keys_is_refused_with_each_location() {
    let bench = Bench::new("import-refused");
    let path =
        |members: &str| format!(r#"{{"paths": [{{"path": "/a", "method": "GET", "response": {{}}, {members}}}]}}"#);
    let route = |members: &str| format!("routes:\n- path: /a\n  proxy_upstream: http://a\n  {members}\n");
    let expected_flag = "expected true or false, found";
    for (text, place, problem) in [
        // `auth` and `auth_required` must be `true` or `false`. Another value might make a route public by mistake.
        (path(r#""auth": "true""#), "1:68: paths[0].auth", expected_flag),
        (path(r#""auth": "false""#), "1:68: paths[0].auth", expected_flag),
        (path(r#""auth": "none""#), "1:68: paths[0].auth", expected_flag),
        (path(r#""auth": 1"#), "1:68: paths[0].auth", expected_flag),
        (path(r#""auth": 0"#), "1:68: paths[0].auth", expected_flag),
        (path(r#""auth": null"#), "1:68: paths[0].auth", expected_flag),
        (path(r#""auth": []"#), "1:68: paths[0].auth", expected_flag),
        (path(r#""auth": [true]"#), "1:68: paths[0].auth", expected_flag),
        (path(r#""auth": {"type": "jwt"}"#), "1:68: paths[0].auth", expected_flag),
        ("paths:\n- { path: /a, method: GET, auth: yes, response: {} }\n".into(), "2:34: paths[0].auth", expected_flag),
        ("paths:\n- { path: /a, method: GET, response: {}, auth: }\n".into(), "2:42: paths[0].auth", expected_flag),
        (route("auth_required: no"), "4:18: routes[0].auth_required", expected_flag),
        (route("auth_required: 'false'"), "4:18: routes[0].auth_required", expected_flag),
        (route("auth_required: 0"), "4:18: routes[0].auth_required", expected_flag),
        (route("auth_required:"), "4:3: routes[0].auth_required", expected_flag),
        // An unknown key might restrict the callers of the route, so `import` must not ignore the key.
        (path(r#""Auth": true"#), "1:60: paths[0].Auth", "unknown key `Auth` (did you mean `auth`?)"),
        (path(r#""authn": true"#), "1:60: paths[0].authn", "unknown key `authn` (did you mean `auth`?)"),
        (path(r#""authorization": "jwt""#), "1:60: paths[0].authorization", "unknown key `authorization` (accepted: path, "),
        (path(r#""roles": ["admin"]"#), "1:60: paths[0].roles", "unknown key `roles`"),
        (route("auth_requierd: true"), "4:3: routes[0].auth_requierd", "unknown key `auth_requierd` (did you mean `auth_required`?)"),
        (route("auth: true"), "4:3: routes[0].auth", "unknown key `auth`"),
        (r#"{"auth": true, "paths": [{"path": "/a", "method": "GET", "response": {}}]}"#.into(), "1:2: auth", "unknown key `auth`"),
        ("default_auth: true\nroutes: []\n".into(), "1:1: default_auth", "unknown key"),
        // These files have a value of the wrong type, or a key or a version that the format does not have.
        (path(r#""cors": 5"#), "1:60: paths[0].cors", "unknown key `cors`"),
        (r#"{"cors": 5, "paths": []}"#.into(), "1:10: cors", "expected a mapping, found a number"),
        (r#"{"servers": {"alias": "a"}, "paths": []}"#.into(), "1:13: servers", "expected a list, found a mapping"),
        (r#"{"servers": [5], "paths": []}"#.into(), "1:14: servers[0]", "expected a mapping, found a number"),
        (r#"{"paths": 5}"#.into(), "1:11: paths", "expected a list, found a number"),
        (r#"{"paths": ["/a"]}"#.into(), "1:12: paths[0]", "expected a mapping, found text"),
        (r#"{"authorizer": "jwt", "paths": []}"#.into(), "1:16: authorizer", "expected a mapping, found text"),
        ("public_paths: /a\n".into(), "1:15: public_paths", "expected a list, found text"),
        ("public_paths: { /a: true }\n".into(), "1:15: public_paths", "expected a list, found a mapping"),
        ("public_paths: [5]\n".into(), "1:16: public_paths[0]", "expected text, found a number"),
        ("routes: { a: b }\n".into(), "1:9: routes", "expected a list, found a mapping"),
        (route("scopes: { a: b }"), "4:11: routes[0].scopes", "expected text or a list of texts, found a mapping"),
        (route("scopes: [5]"), "4:12: routes[0].scopes[0]", "expected text, found a number"),
        (route("timeout: [5]"), "2:3: routes[0]", "`check` would refuse routes[0].timeout of the imported document: expected a duration"),
        ("version: '2.0'\nroutes: []\n".into(), "1:10: version", "is not a version of this format that import reads"),
        // A route must not accept more methods or paths than in the imported gateway.
        (path(r#""method": []"#).replace(r#""method": "GET", "#, ""), "1:53: paths[0].method", "expected a method, found an empty list"),
        (r#"{"paths": [{"path": "/a", "method": ["GET", 5], "response": {}}]}"#.into(), "1:45: paths[0].method[1]", "expected text"),
        (r#"{"paths": [{"path": "/a", "method": "get", "response": {}}]}"#.into(), "1:37: paths[0].method", "`get` is not a method (methods are case-sensitive: `GET`)"),
        (r#"{"paths": [{"path": "/a", "response": {}}]}"#.into(), "1:12: paths[0]", "`method` is missing"),
        (r#"{"paths": [{"path": "/x/*", "method": "GET", "response": {}}]}"#.into(), "1:21: paths[0].path", "`/x/*`: segment 2 `*`: write the rest of a path as `{.+}`"),
        ("routes:\n- { path: '/x/*', proxy_upstream: http://a }\n".into(), "2:11: routes[0].path", "`/x/*`: segment 2 `*`"),
        ("routes:\n- { path: '/u/:id', proxy_upstream: http://a }\n".into(), "2:11: routes[0].path", "`/u/:id`: segment 2 `:id`: a parameter is written `{id}`"),
        ("public_paths: [/assets/*]\n".into(), "1:16: public_paths[0]", "`/assets/*` is not a literal path"),
        ("public_paths: ['/users/{id}']\n".into(), "1:16: public_paths[0]", "`/users/{id}` is not a literal path"),
        (route("auth_required: true\npublic_paths: [/a]"), "5:16: public_paths[0]", "`/a` is in `public_paths`, but routes[0] requires a token: keep one of the two"),
        (route("scopes: [a]\npublic_paths: [/a]"), "5:16: public_paths[0]", "`/a` is in `public_paths`, but routes[0] requires a token: keep one of the two"),
        (
            r#"{"paths": [{"path": "/a/{.+}", "method": "GET", "auth": true, "response": {}}, {"path": "/a/{id}", "method": "GET", "response": {}}]}"#.into(),
            "1:80: paths[1]",
            "`GET /a/any` needs a token in the imported gateway because of paths[0] (line 1), but in this gateway this path, which needs no token, would match it",
        ),
        // An escaped letter does not change the path: `%62` is `b`.
        (
            "public_paths: ['/a/%62']\nroutes:\n- { path: /a/b, auth_required: true, scopes: [z], proxy_upstream: http://a }\n".into(),
            "1:16: public_paths[0]",
            "`/a/%62` is in `public_paths`, but routes[0] requires a token: keep one of the two",
        ),
        (
            "public_paths: [/a/b]\nroutes:\n- { path: '/a/%62', auth_required: true, proxy_upstream: http://a }\n".into(),
            "1:16: public_paths[0]",
            "`/a/b` is in `public_paths`, but routes[0] requires a token: keep one of the two",
        ),
        (
            r#"{"paths": [{"path": "/{x}/%62", "method": "GET", "auth": true, "response": {}}, {"path": "/a/{y}", "method": "GET", "response": {}}]}"#.into(),
            "1:81: paths[1]",
            "`GET /a/b` needs a token in the imported gateway because of paths[0] (line 1), but in this gateway this path, which needs no token, would match it",
        ),
        // If the imported gateway does not decode `/a/%62`, `GET /a/b` matches `/{x}/b` there and needs a token.
        (
            r#"{"paths": [{"path": "/{x}/b", "method": "GET", "auth": true, "response": {}}, {"path": "/a/%62", "method": "GET", "response": {}}]}"#.into(),
            "1:88: paths[1].path",
            "`/a/%62` needs no token and has an unneeded escape: this gateway reads it as `/a/b`, but the imported gateway might read another path; write `/a/b`",
        ),
        ("public_paths: ['/a%3Ab']\n".into(), "1:16: public_paths[0]", "`/a%3Ab` needs no token and has an unneeded escape"),
        (
            "routes:\n- { path: '/a/%62', auth_required: false, proxy_upstream: http://a }\n".into(),
            "2:11: routes[0].path",
            "`/a/%62` needs no token and has an unneeded escape",
        ),
        // These files contain nothing to import, or `check` would refuse the imported document.
        (r#"{"servers": [{"alias": "a", "url": "a:80"}], "paths": [{"path": "/a", "method": "GET", "response": {}}]}"#.into(), "1:14: servers[0]", "`check` would refuse upstreams.a.url of the imported document"),
        (route("auth_required: false\n  scopes: [a]"), "2:3: routes[0]", "`check` would refuse routes[0]"),
        (r#"{"paths": []}"#.into(), "1:1: document", "there is nothing to import"),
        ("routes: []\n".into(), "1:1: document", "there is nothing to import"),
    ] {
        let ran = import(&bench, "file.yaml", &text, &[]);
        let expected = format!("file.yaml:{place}: {problem}");
        assert!(ran.code == 1 && ran.out.is_empty(), "{text}\n{}{}", ran.out, ran.err);
        assert!(ran.err.lines().any(|line| line.starts_with(&expected)), "{text}\nexpected {expected}\ngot {}", ran.err);
    }
}

#[test]
fn every_problem_of_a_file_is_reported_at_once_beside_the_warnings() {
    let bench = Bench::new("import-all");
    let text = "paths:\n- { path: /x/*, method: GET, auth: yes, integration: { type: http_proxy, server: a } }\n- { path: /b, method: GET, auth: true }\ncors: 5\nservers: {}\n";
    let ran = import(&bench, "file.yaml", text, &[]);
    let places = [
        "2:11: paths[0].path",
        "2:36: paths[0].auth",
        "2:82: paths[0].integration.server: warning",
        "3:3: paths[1]: warning",
        "4:7: cors",
        "5:10: servers",
    ];
    let reported: Vec<&str> = ran.err.lines().collect();
    assert_eq!(reported.len(), places.len(), "{}", ran.err);
    for (line, place) in reported.iter().zip(places) {
        assert!(line.starts_with(&format!("file.yaml:{place}: ")), "{line}");
    }
}

#[test]
fn keys_without_a_counterpart_are_named_and_no_route_is_dropped() {
    let bench = Bench::new("import-warnings");
    let text = r#"{
  "title": "t", "variables": {"a": "b"}, "services": [{"alias": "s"}],
  "authorizer": {"type": "auth0", "domain": "d", "client_secret": "hunter2"},
  "paths": [
    {"path": "/a", "method": ["GET", "POST"], "auth": true, "integration": {"type": "service", "binding": "s"}, "mapping": {"headers": {}}},
    {"path": "/b", "method": "ANY", "auth": false},
    {"path": "/{.+}", "method": "GET", "integration": {"type": "http_proxy", "server": "one"}, "response": {}, "x-owner": "me"}
  ]
}
"#;
    let ran = import(&bench, "file.json", text, &["--ignore-key", "x-owner", "--upstream", "one=http://one"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for warning in [
        "2:12: title: warning: was not imported",
        "2:30: variables: warning: was not imported",
        "2:54: services: warning: was not imported",
        "3:17: authorizer: warning: an authorizer of type `auth0` was not imported",
        "5:76: paths[0].integration: warning: an integration of type `service` was not imported, so the imported route answers 501",
        "5:124: paths[0].mapping: warning: was not imported",
        "6:5: paths[1]: warning: has neither `integration` nor `response`, so the imported route answers 501",
        "7:108: paths[2].response: warning: was not imported",
        "7:112: paths[2].x-owner: warning: left out because of `--ignore-key`",
    ] {
        assert!(ran.err.contains(&format!("file.json:{warning}")), "expected {warning}\ngot {}", ran.err);
    }
    let routes = ran.out.split("routes:\n").nth(1).unwrap();
    let expected = "- path: /a\n  method: [GET, POST]\n  response:\n    status: 501\n- path: /b\n  auth: none\n  response:\n    status: 501\n- path: '/{.+}'\n";
    assert!(routes.starts_with(expected), "{routes}");
    assert!(!ran.out.contains("hunter2") && !ran.err.contains("hunter2"));
}

#[test]
fn values_that_the_command_line_replaces_are_reported() {
    let bench = Bench::new("import-replaced");
    let text = r#"{"servers": [{"alias": "a", "url": "http://old"}], "authorizer": {"type": "jwt", "secret": "s", "issuer": "i"},
  "paths": [{"path": "/a", "method": "GET", "auth": true, "integration": {"type": "http", "server": "a"}}]}"#;
    let options = ["--issuer", "i", "--audience", "a", "--jwks-uri", "https://i/keys", "--upstream", "a=http://new"];
    let ran = import(&bench, "file.json", text, &options);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("servers[0].url: warning: was replaced by --upstream"), "{}", ran.err);
    assert!(ran.err.contains("authorizer: warning: was replaced by --issuer"), "{}", ran.err);
    assert!(ran.out.contains("http://new") && !ran.out.contains("http://old"), "{}", ran.out);
}

/// Without `--issuer`, these options would have no effect, and the imported document would not restrict tokens as intended.
#[test]
fn options_about_an_issuer_need_one() {
    let bench = Bench::new("import-issuer");
    for options in [["--audience", "a"], ["--jwks-uri", "https://i/keys"], ["--secret-env", "S"]] {
        let ran = import(&bench, "file.json", r#"{"paths": []}"#, &options);
        assert!(ran.code == 64 && ran.err.contains("--issuer <ISS>"), "{options:?}: {} {}", ran.code, ran.err);
    }
}

#[test]
fn an_open_api_file_is_refused_as_not_supported_yet() {
    let bench = Bench::new("import-openapi");
    for (file, text, what) in [
        ("openapi.yaml", "openapi: 3.1.0\npaths: { /a: { get: {} } }\n", "an OpenAPI 3.1.0 document"),
        ("openapi.yaml", "openapi: 3.0\npaths: {}\n", "an OpenAPI 3.0 document"),
        (
            "openapi.json",
            "{\"openapi\": \"3.0.3\", \"info\": {}, \"paths\": {\"/a\": {}}}",
            "an OpenAPI 3.0.3 document",
        ),
        ("swagger.yaml", "swagger: \"2.0\"\npaths: {}\n", "an OpenAPI (Swagger) 2.0 document"),
        ("swagger.json", "{\"swagger\": \"2.0\", \"paths\": {}}", "an OpenAPI (Swagger) 2.0 document"),
        ("webhooks.yaml", "openapi: 3.1.0\nwebhooks: {}\n", "an OpenAPI 3.1.0 document"),
        ("part.yaml", "paths: { /a: { get: {} } }\n", "an OpenAPI document (its `paths` is a mapping)"),
    ] {
        let ran = import(&bench, file, text, &[]);
        assert!(ran.code == 1 && ran.out.is_empty(), "{text}\n{}{}", ran.out, ran.err);
        let expected =
            format!("{file}:1:1: document: this is {what}, which import does not support yet; import reads ");
        assert!(ran.err.starts_with(&expected) && ran.err.lines().count() == 1, "{}", ran.err);
    }
}

#[test]
fn files_of_other_formats_are_refused_by_name() {
    let bench = Bench::new("import-foreign");
    for (text, what) in [
        ("_format_version: '3.0'\nservices: []\nroutes: []\n", "a declarative configuration of Kong"),
        ("version: 3\nendpoints: []\n", "a configuration of KrakenD"),
        ("static_resources: {}\n", "a configuration of Envoy"),
        ("resources: []\n", "a list of resources of Envoy"),
        (
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nspec: {}\n",
            "a Kubernetes manifest of kind `HTTPRoute`",
        ),
        (
            "apiVersion: v1\nkind: Service\n---\napiVersion: v1\nkind: Ingress\n",
            "a Kubernetes manifest of kind `Service`",
        ),
        ("http: { routers: {} }\n", "a dynamic configuration of Traefik"),
        ("AWSTemplateFormatVersion: '2010-09-09'\nResources: {}\n", "an AWS CloudFormation template"),
        ("Routes: []\nGlobalConfiguration: {}\n", "a configuration of Ocelot"),
        ("version: '1.0'\nissuers: []\nroutes: []\n", "a document of this gateway, which import does not support"),
        ("hello: world\n", "not a file that import can read"),
        ("[]\n", "not a file that import can read"),
        ("5\n", "not a file that import can read"),
    ] {
        let ran = import(&bench, "file.yaml", text, &[]);
        assert!(ran.code == 1 && ran.out.is_empty(), "{text}\n{}{}", ran.out, ran.err);
        assert!(ran.err.contains(&format!("document: this is {what}")), "{text}\n{}", ran.err);
    }
    for text in ["", "server { listen 80; }\n", "\u{0}\u{1}"] {
        let ran = import(&bench, "file.yaml", text, &[]);
        assert!(ran.code == 1 && ran.out.is_empty() && !ran.err.is_empty(), "{text:?}\n{}{}", ran.out, ran.err);
    }
}

const SERVERLESS: &str = r#"{
  "cors": { "allow_origins": ["https://admin.example.com"], "allow_methods": ["GET", "POST", "OPTIONS"], "allow_credentials": true, "max_age": 300 },
  "paths": [ { "method": "GET", "path": "/admin/health", "response": { "status": "ok" } },
    { "method": "GET", "path": "/admin/{.+}", "auth": true, "integration": { "type": "http_proxy", "server": "admin" } } ]
}
"#;

const ROUTES: &str = "version: '1.0'
public_paths: [/health, /api/v1/docs]
routes:
  - path: /api/v1/agents
    method: GET
    auth_required: true
    cache_ttl: 60s
    proxy_upstream: $AGENTS_SERVICE_URL
  - path: /api/v1/agents/{id}
    method: PUT
    proxy_upstream: $AGENTS_SERVICE_URL
    scopes: [write:agents]
";
