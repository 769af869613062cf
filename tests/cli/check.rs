//! Tests the output of `check` and `schema`, and the reports of errors in documents and arguments.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::{Bench, CommandOutput, GATEWAY};

#[test]
fn a_valid_document_gets_one_line() {
    let ran = Bench::new("good").run(&["check", "gateway.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "gateway.yaml: 3 routes, 2 issuers, no problems\n"));
    assert_eq!(
        ran.err,
        "gateway.yaml: note: `PORTCULLIS_TEST_SECRET` is not set for this command, so its secret was not checked\n"
    );
}

#[test]
fn five_mistakes_are_reported_in_five_lines_with_their_places() {
    let bench = Bench::new("mistakes");
    let text = GATEWAY
        .replace("name: legacy", "nmae: legacy")
        .replace("auth: none", "auth: nobody")
        .replace("method: GET, upstream: orders", "method: GET, upstream: ordres")
        .replace("timeout: 3s", "timeout: 3 s")
        .replace("[RS256]", "[HS256]");
    bench.write("gateway.yaml", &text);
    let ran = bench.run(&["check", "gateway.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    for expected in [
        "gateway.yaml:6:18: issuers[0].algorithms[0]: ",
        "gateway.yaml:8:5: issuers[1].nmae: unknown key `nmae` (did you mean `name`?)",
        "gateway.yaml:18:28: routes[0].auth: `nobody` is not accepted here",
        "gateway.yaml:19:52: routes[1].upstream: no upstream `ordres` (did you mean `orders`?)",
        "gateway.yaml:19:92: routes[1].timeout: `3 s` is not a duration",
    ] {
        assert!(ran.err.lines().any(|line| line.starts_with(expected)), "{expected}\nin\n{}", ran.err);
    }
}

#[test]
fn a_cache_beside_the_filter_is_reported() {
    let bench = Bench::new("caches");
    let generated = bench.run(&["generate", "envoy", "gateway.yaml"]).out;
    bench.write(
        "open.yaml",
        "version: '1.0'\nupstreams: {u: {url: 'http://u'}}\nroutes: [{path: /a, auth: none, upstream: u}]\n",
    );
    let open = bench.run(&["generate", "envoy", "open.yaml"]).out;
    let cache = |kind: &str| {
        format!(
            "          - name: cache\n            typed_config:\n              '@type': type.googleapis.com/envoy.extensions.filters.http.{kind}\n"
        )
    };
    let (ours, router) = ("          - name: portcullis\n", "          - name: envoy.filters.http.router\n");
    let with = |text: &str, before: &str, kind: &str| text.replacen(before, &format!("{}{before}", cache(kind)), 1);
    let (v1, v2) = ("cache.v3.CacheConfig", "cache_v2.v3.CacheV2Config");
    for (text, said) in [
        (generated.clone(), None),
        (with(&generated, router, v1), Some("http_filters[1]: a cache filter behind the gateway's filter")),
        (with(&generated, router, v2), Some("http_filters[1]: a cache filter behind the gateway's filter")),
        (with(&generated, ours, v1), Some("http_filters[0]: a cache filter in front of the gateway's filter")),
        // Responses of routes with `auth: none` are the same for every caller, so a cache behind the filter is accepted. A
        // cache in front of the filter is refused, because its responses bypass the filter.
        (with(&open, router, v1), None),
        (with(&open, ours, v2), Some("http_filters[0]: a cache filter in front of the gateway's filter")),
    ] {
        bench.write("envoy.yaml", &text);
        let ran = bench.run(&["check", "envoy.yaml"]);
        assert_eq!(ran.code, i32::from(said.is_some()), "{}", ran.err);
        assert!(ran.err.contains(said.unwrap_or_default()), "{said:?}: {}", ran.err);
        assert_eq!(ran.out.contains("no problems"), said.is_none(), "{}", ran.out);
    }
}

#[test]
fn faults_of_schemas_are_reported_with_their_location() {
    let bench = Bench::new("schemas");
    let schemas = "\
schemas:
  order:
    type: object
    properties:
      id: { type: strng }
      customer: { $ref: custmer }
      lines:
        items: { pattern: '(?=a)' }
  customer: { type: object }
  loop: { allOf: [{ $ref: loop }] }
  a b: true
  text: 7
checks: { json: { schema: { minimum: x } } }
";
    let routes = "  - { path: /a, upstream: orders, checks: { json: { schema: ordr } } }\n";
    bench.write("gateway.yaml", &format!("{GATEWAY}{routes}{schemas}"));
    let ran = bench.run(&["check", "gateway.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    for expected in [
        "gateway.yaml:21:61: routes[3].checks.json.schema: no schema `ordr` (did you mean `order`?)",
        "gateway.yaml:26:19: schemas.order.properties.id.type: `type`: expected one or several of object,",
        "gateway.yaml:27:25: schemas.order.properties.customer.$ref: `custmer` leads nowhere (did you mean `customer`?)",
        "gateway.yaml:29:27: schemas.order.properties.lines.items.pattern: `(?=a)`: looking ahead",
        "gateway.yaml:31:19: schemas.loop.allOf[0]: this schema applies itself",
        "gateway.yaml:32:3: schemas.a b: `a b` is not a name",
        "gateway.yaml:33:9: schemas.text: expected a JSON Schema",
        "gateway.yaml:34:38: checks.json.schema.minimum: `minimum`: expected a number",
    ] {
        assert!(ran.err.lines().any(|line| line.starts_with(expected)), "{expected}\nin\n{}", ran.err);
    }
    assert_eq!(ran.err.lines().filter(|line| !line.contains(": note: ")).count(), 8, "{}", ran.err);
}

#[test]
fn findings_can_be_read_by_programs() {
    let bench = Bench::new("json");
    bench.write("bad.yaml", "version: '1.0'\nroutes: 7\n");
    let ran = bench.run(&["check", "--format", "json", "gateway.yaml", "bad.yaml"]);
    assert_eq!(ran.code, 1);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["checked"], json!(["gateway.yaml: 3 routes, 2 issuers, no problems"]));
    let problem = &report["problems"][0];
    assert_eq!((&problem["file"], &problem["line"], &problem["column"]), (&json!("bad.yaml"), &json!(2), &json!(9)));
}

#[test]
fn a_variable_that_is_not_set_is_a_problem_with_its_place() {
    let bench = Bench::new("unset");
    for command in [&["check", "gateway.yaml"][..], &["generate", "envoy", "gateway.yaml"]] {
        let ran = CommandOutput::from(bench.command(command).env_remove("PORTCULLIS_TEST_ORDERS").output().unwrap());
        assert_eq!((ran.code, ran.out.as_str()), (1, ""));
        assert!(ran.err.starts_with("gateway.yaml:14:18: upstreams.orders.url: "), "{}", ran.err);
        assert!(ran.err.contains("`PORTCULLIS_TEST_ORDERS` is not set"), "{}", ran.err);
    }
    let set = CommandOutput::from(
        bench
            .command(&["check", "gateway.yaml", "--set", "PORTCULLIS_TEST_ORDERS=http://a"])
            .env_remove("PORTCULLIS_TEST_ORDERS")
            .output()
            .unwrap(),
    );
    assert_eq!(set.code, 0, "{}", set.err);
}

#[test]
fn a_weak_secret_is_found_if_it_is_set() {
    let output = Bench::new("weak").command(&["check", "gateway.yaml"]).env("PORTCULLIS_TEST_SECRET", "short").output();
    let ran = CommandOutput::from(output.unwrap());
    assert_eq!(ran.code, 1);
    assert!(ran.err.starts_with("gateway.yaml:11:13: issuers[1].secret: "), "{}", ran.err);
    assert!(!ran.err.contains("short "), "{}", ran.err);
}

#[test]
fn the_schema_is_the_published_one() {
    let ran = Bench::new("schema").run(&["schema"]);
    assert_eq!(ran.code, 0);
    assert_eq!(ran.out, include_str!("../../docs/gateway.schema.json"));
}

#[test]
fn documents_come_from_standard_input_too() {
    let bench = Bench::new("stdin");
    let mut child = bench.command(&["check", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"version: '1.0'\nroutes: []\n").unwrap();
    let ran = CommandOutput::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.out.as_str()), (0, "-: 0 routes, 0 issuers, no problems\n"));
}

#[test]
fn unreadable_input_is_reported_in_one_line() {
    let bench = Bench::new("unreadable");
    bench.write("tab.yaml", "a:\n\t- b\n");
    bench.write("twice.yaml", "version: '1.0'\nversion: '1.0'\n");
    bench.write("number.yaml", "version: 1.0\nroutes: []\n");
    std::fs::write(bench.0.join("latin1.yaml"), b"version: '1.0'\nroutes: # caf\xe9\n").unwrap();
    for (arguments, code, start) in [
        (&["check", "missing.yaml"][..], 1, "portcullis: missing.yaml: "),
        (&["check", "tab.yaml"], 1, "tab.yaml:2:"),
        (&["check", "twice.yaml"], 1, "twice.yaml:2:1: document: `version` is repeated; the first one is on line 1"),
        (&["check", "number.yaml"], 1, "number.yaml:1:10: version: expected `\"1.0\"`, in quotes\n"),
        (&["check", "latin1.yaml"], 1, "portcullis: latin1.yaml:2: not UTF-8 text"),
        (&["chekc", "gateway.yaml"], 64, "error: unrecognized subcommand 'chekc'"),
        (&["check"], 64, "error: the following required arguments were not provided"),
    ] {
        let ran = bench.run(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{arguments:?}");
        assert!(ran.err.starts_with(start), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn a_file_without_routes_is_reported_with_its_format() {
    let bench = Bench::new("without_routes");
    for (text, code, out, err) in [
        (
            "version: \"1.0\"\nroutes: []\n",
            0,
            "a.yaml: 0 routes, 0 issuers, no problems\n",
            "a.yaml: note: the document has no routes and no public paths, so every request is refused\n",
        ),
        ("", 1, "", "a.yaml:1:1: document: the document is empty\n"),
        (
            "{\"version\": \"1.0\", \"revoked\": []}",
            1,
            "",
            "a.yaml:1:1: document: this is a revocation list: check it with `portcullis revocation check`; a gateway document has `routes`\n",
        ),
        (
            "static_resources: {}\n",
            1,
            "",
            "a.yaml:1:1: document: no configuration of this plugin found: expected a mapping with `vm_config` and `configuration`, or with `dynamic_module_config` and `filter_config`, in an Envoy configuration, or `pluginConfig` or `config` in a manifest\n",
        ),
    ] {
        bench.write("a.yaml", text);
        let ran = bench.run(&["check", "a.yaml"]);
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (code, out, err), "{text}");
    }
}

#[test]
fn risky_issuers_and_clients_are_noted() {
    let bench = Bench::new("clients_noted");
    let issuer = |name: &str, more: &str| {
        format!("  - {{ name: {name}, issuer: https://{name}.example/, audiences: [x], secret: {{ env: S }}{more} }}\n")
    };
    let check = |issuers: &[(&str, &str)], rest: &str| {
        let issuers: String = issuers.iter().map(|(name, more)| issuer(name, more)).collect();
        let routes = "routes: [{ path: /x, response: {} }]\n";
        bench.write("a.yaml", &format!("version: \"1.0\"\nissuers:\n{issuers}{rest}{routes}"));
        let secret = ("S", "0123456789abcdef0123456789abcdef");
        let ran = CommandOutput::from(bench.command(&["check", "a.yaml"]).env(secret.0, secret.1).output().unwrap());
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.err
    };
    let listed = |more: &str| format!("clients:\n  - {{ id: c, owner: o, purpose: p{more} }}\n");
    let polled = "clients_from: { uri: https://clients.example/, cluster: clients }\n";
    let refused = "a.yaml:3:13: issuers[0].name: note: tokens of issuer `a` that contain the id of an unlisted client are refused (set `require_client: false` to confirm this and remove this note, or `allow_unlisted_clients: true` to accept them)\n";
    for (more, rest, expected) in [
        ("", String::new(), String::new()),
        ("", listed(""), refused.to_string()),
        ("", polled.to_string(), refused.to_string()),
        ("", "clients: []\n".to_string(), refused.to_string()),
        (", require_client: false", listed(""), String::new()),
        (", require_client: true", listed(""), String::new()),
        (", allow_unlisted_clients: true", String::new(), String::new()),
        (", allow_unlisted_clients: true", listed(""), String::new()),
        (
            ", allow_unlisted_clients: true",
            listed(", scopes: [read]") + polled,
            "a.yaml:3:13: issuers[0].name: note: `allow_unlisted_clients` accepts tokens of issuer `a` for unlisted clients, without the restrictions of any client entry: if you remove `c` or a client of `clients_from`, its tokens can do more than before\n".to_string(),
        ),
        // An empty `token_issuers` refuses all tokens of the client. Without the client's entry, they would be accepted.
        (
            ", allow_unlisted_clients: true",
            listed(", token_issuers: []"),
            "a.yaml:3:13: issuers[0].name: note: `allow_unlisted_clients` accepts tokens of issuer `a` for unlisted clients, without the restrictions of any client entry: if you remove `c`, its tokens can do more than before\n".to_string(),
        ),
    ] {
        assert_eq!(check(&[("a", more)], &rest), expected, "{more} {rest}");
    }
    let two = [("a", ", require_client: true"), ("b", ", require_client: true")];
    let several = "a.yaml:6:11: clients[0].id: note: every issuer can write the client id `c` into its tokens, and these tokens then get the plan and tags of this client (list the issuers of its tokens in its entry, such as `token_issuers: [a]`; declared issuers: a, b)\n";
    assert_eq!(check(&two, &listed("")), several);
    assert_eq!(check(&two, &listed(", token_issuers: [a, b]")), "");
    let by_name = "plans: { free: { rate: 1/s }, pro: { rate: 9/s } }
limits: [{ name: l, by: client, plan_from: { clients: { c: pro }, default: free } }]\n";
    let named = check(&two, by_name);
    assert!(
        named.starts_with("a.yaml:6:57: limits[0].plan_from.clients.c: note: every issuer can write the client id `c`"),
        "{named}"
    );
    assert_eq!(check(&two, &format!("{}{by_name}", listed(", token_issuers: [a]"))), "");
    assert_eq!(check(&two[..1], by_name), "");
    bench.write(
        "polling.yaml",
        &format!("version: \"1.0\"\nissuers:\n{}{}{polled}routes: []\n", issuer("a", ""), issuer("b", "")),
    );
    bench.write(
        "clients.json",
        "{\"version\": \"1.0\", \"clients\": [{\"id\": \"c\", \"owner\": \"o\", \"purpose\": \"p\"}]}",
    );
    let ran = bench.run(&["clients", "check", "clients.json", "--gateway", "polling.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "clients.json: 1 client, 0 keys, no problems\n"), "{}", ran.err);
    assert!(
        ran.err.starts_with("clients.json:1:39: clients[0].id: note: every issuer can write the client id `c`"),
        "{}",
        ran.err
    );
}

#[test]
fn all_problems_of_a_json_api_section_are_reported() {
    let bench = Bench::new("jsonapi");
    let route = "  - path: /a
    upstream: orders
    jsonapi:
      type: []
      id: no-pointer
      omit: [a, b, a]
      relationships:
        id: { type: 7, id: order }
        \"a/b\": {}
      meta: { \"c/d\": 7 }
";
    bench.write("gateway.yaml", &format!("{GATEWAY}{route}"));
    let ran = bench.run(&["check", "gateway.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    let found: Vec<_> = ran.err.lines().filter(|line| !line.contains(": note: ")).collect();
    let expected = [
        "gateway.yaml:24:13: routes[3].jsonapi.type: expected ",
        "gateway.yaml:25:11: routes[3].jsonapi.id: ",
        "gateway.yaml:26:20: routes[3].jsonapi.omit[2]: `a` is listed twice",
        "gateway.yaml:28:9: routes[3].jsonapi.relationships.id: ",
        "gateway.yaml:28:21: routes[3].jsonapi.relationships.id.type: expected ",
        "gateway.yaml:28:28: routes[3].jsonapi.relationships.id.id: ",
        "gateway.yaml:29:9: routes[3].jsonapi.relationships.a/b: `a/b` is not",
        "gateway.yaml:29:16: routes[3].jsonapi.relationships.a/b: `type` is missing",
        "gateway.yaml:29:16: routes[3].jsonapi.relationships.a/b: `id` is missing",
        "gateway.yaml:30:15: routes[3].jsonapi.meta.c/d: ",
        "gateway.yaml:30:22: routes[3].jsonapi.meta.c/d: expected ",
    ];
    for expected in expected {
        assert!(found.iter().any(|line| line.starts_with(expected)), "{expected}\nin\n{}", ran.err);
    }
    assert_eq!(found.len(), expected.len(), "{}", ran.err);
}

#[test]
fn a_plugin_that_cannot_run_its_document_is_reported() {
    let bench = Bench::new("plugins");
    for (file, key, value, needs_full) in [
        ("open.json", "description", json!("open"), false),
        ("held.json", "checks", json!({ "max_body_bytes": 1024 }), false),
        ("mapped.json", "jsonapi", json!({ "type": "t" }), true),
        ("schema.json", "checks", json!({ "json": { "schema": true } }), true),
    ] {
        let mut document = json!({
            "version": "1.0",
            "upstreams": { "u": { "url": "http://u" } },
            "routes": [{ "path": "/a", "auth": "none", "upstream": "u" }],
        });
        document["routes"][0][key] = value;
        bench.write(file, &document.to_string());
        let generated = bench.run(&["generate", "envoy", file]).out;
        let is_held = file != "open.json";
        let set = format!("allow_on_headers_stop_iteration: {is_held}\n");
        assert!(generated.contains(&set), "{generated}");
        let other = generated.replace(&set, "allow_on_headers_stop_iteration: false\n");
        let unset = generated.replace(&set, "fail_open: false\n");
        let small = generated.replace("portcullis-full.wasm", "portcullis.wasm");
        let bodies = "allow_on_headers_stop_iteration: must be `true`: the document ";
        let module = "vm_config.code.local.filename: `dist/portcullis.wasm` cannot run this document: ";
        for (text, expected) in [
            (&generated, None),
            (&other, Some(bodies).filter(|_| is_held)),
            (&unset, Some(bodies).filter(|_| is_held)),
            (&small, Some(module).filter(|_| needs_full)),
        ] {
            bench.write("envoy.yaml", text);
            let ran = bench.run(&["check", "envoy.yaml"]);
            assert_eq!(ran.code, i32::from(expected.is_some()), "{file}: {}", ran.err);
            assert!(ran.err.contains(expected.unwrap_or_default()), "{file}: {expected:?}: {}", ran.err);
            assert_eq!(ran.out.contains("no problems"), expected.is_none(), "{file}: {}", ran.out);
        }
        for (kind, spec, carrier) in [
            ("WasmPlugin", json!({ "pluginConfig": document }), "an `EnvoyFilter`"),
            ("EnvoyExtensionPolicy", json!({ "wasm": [{ "config": document }] }), "an `EnvoyPatchPolicy`"),
        ] {
            let manifest = json!({ "apiVersion": "v1", "kind": kind, "spec": spec });
            bench.write("manifest.json", &manifest.to_string());
            let ran = bench.run(&["check", "manifest.json"]);
            assert_eq!(ran.code, 0, "{file}: {}", ran.err);
            let noted = format!("note: a `{kind}` cannot set `allow_on_headers_stop_iteration: true`");
            assert_eq!(ran.err.contains(&noted), is_held, "{file}: {}", ran.err);
            assert_eq!(ran.err.contains(carrier), is_held, "{file}: {}", ran.err);
        }
    }
}

#[test]
fn a_dynamic_module_must_be_local_and_stay_loaded() {
    let bench = Bench::new("dynamic_module");
    bench.write("gateway.yaml", "version: \"1.0\"\nroutes: [{ path: /x, auth: none, response: {} }]\n");
    let generated = bench.run(&["generate", "envoy", "gateway.yaml", "--host", "dynamic-module"]).out;
    assert!(generated.contains("DynamicModuleFilter"), "{generated}");
    let closed = generated.replace("do_not_close: true", "do_not_close: false");
    let remote = generated.replace("local:\n", "remote:\n");
    for (text, expected) in [
        (&generated, None),
        (&closed, Some("dynamic_module_config.do_not_close: must be `true`")),
        (&remote, Some("dynamic_module_config.module.remote: must be `local`")),
    ] {
        bench.write("envoy.yaml", text);
        let ran = bench.run(&["check", "envoy.yaml"]);
        assert_eq!(ran.code, i32::from(expected.is_some()), "{}", ran.err);
        assert!(ran.err.contains(expected.unwrap_or_default()), "{expected:?}: {}", ran.err);
    }
    let spec = json!({ "dynamicModule": [{ "name": "portcullis", "filterName": "gateway", "config": {
        "version": "1.0",
        "upstreams": { "a": { "url": "http://127.0.0.1:1" } },
        "routes": [{ "path": "/x", "auth": "none", "checks": { "json": {} }, "upstream": "a" }],
    } }] });
    let manifest = json!({ "apiVersion": "v1", "kind": "EnvoyExtensionPolicy", "spec": spec });
    bench.write("manifest.json", &manifest.to_string());
    let ran = bench.run(&["check", "manifest.json"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "Envoy passes bodies to a dynamic module");
    let old = bench.run(&["generate", "envoy", "gateway.yaml", "--host", "dynamic-module", "--envoy-version", "1.37"]);
    assert_eq!((old.code, old.err.contains("needs Envoy 1.38")), (1, true), "{}", old.err);
}
