//! The command line as a process: what it prints where, and with which code it ends.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

const GATEWAY: &str = r#"version: "1.0"
issuers:
  - name: accounts
    issuer: https://auth.example.com/
    audiences: [orders-api]
    algorithms: [RS256]
    jwks: { uri: https://auth.example.com/jwks.json, cluster: auth }
  - name: legacy
    issuer: eloquent-gateway
    audiences: [eloquent-api]
    secret: { env: PORTCULLIS_TEST_SECRET }
identity_headers: { X-Org-ID: org_id }
upstreams:
  orders: { url: $PORTCULLIS_TEST_ORDERS }
  files: { url: "https://10.0.0.7:8443/base" }
audit: { to: access_log }
routes:
  - { path: /health, auth: none, response: { body: { status: ok } } }
  - { path: "/orders/{id}", method: GET, upstream: orders, scopes: [read:orders], timeout: 3s }
  - { path: "/files/{.+}", upstream: files, strip_prefix: true, auth: optional }
"#;

/// A directory of its own for each test, with the files it needs.
struct Bench(PathBuf);

impl Bench {
    fn new(name: &str) -> Bench {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let bench = Bench(directory);
        bench.write("gateway.yaml", GATEWAY);
        bench
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.current_dir(&self.0).args(arguments).stdin(Stdio::null());
        command.env("PORTCULLIS_TEST_ORDERS", "http://orders.internal:8080").env_remove("PORTCULLIS_TEST_SECRET");
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

#[test]
fn a_good_document_gets_one_line() {
    let ran = Bench::new("good").run(&["check", "gateway.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "gateway.yaml: 3 routes, 2 issuers, no problems\n"));
    assert_eq!(
        ran.err,
        "gateway.yaml: note: `PORTCULLIS_TEST_SECRET` is not set here, so its secret was not checked\n"
    );
}

#[test]
fn five_mistakes_are_five_lines_with_their_places() {
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
        "gateway.yaml:19:92: routes[1].timeout: `3 s` is not a span of time",
    ] {
        assert!(ran.err.lines().any(|line| line.starts_with(expected)), "{expected}\nin\n{}", ran.err);
    }
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
        let ran = Ran::from(bench.command(command).env_remove("PORTCULLIS_TEST_ORDERS").output().unwrap());
        assert_eq!((ran.code, ran.out.as_str()), (1, ""));
        assert!(ran.err.starts_with("gateway.yaml:14:18: upstreams.orders.url: "), "{}", ran.err);
        assert!(ran.err.contains("`PORTCULLIS_TEST_ORDERS` is not set"), "{}", ran.err);
    }
    let set = Ran::from(
        bench
            .command(&["check", "gateway.yaml", "--set", "PORTCULLIS_TEST_ORDERS=http://a"])
            .env_remove("PORTCULLIS_TEST_ORDERS")
            .output()
            .unwrap(),
    );
    assert_eq!(set.code, 0, "{}", set.err);
}

#[test]
fn a_weak_secret_is_found_where_it_is_set() {
    let output = Bench::new("weak").command(&["check", "gateway.yaml"]).env("PORTCULLIS_TEST_SECRET", "short").output();
    let ran = Ran::from(output.unwrap());
    assert_eq!(ran.code, 1);
    assert!(ran.err.starts_with("gateway.yaml:11:13: issuers[1].secret: "), "{}", ran.err);
    assert!(!ran.err.contains("short "), "{}", ran.err);
}

#[test]
fn the_generated_configuration_says_what_an_edge_needs() {
    let bench = Bench::new("generated");
    let ran = bench.run(&["generate", "envoy", "gateway.yaml", "--port", "8443", "--trusted-hops", "2"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.out, bench.run(&["generate", "envoy", "gateway.yaml", "--port", "8443", "--trusted-hops", "2"]).out);
    let envoy = portcullis::cli::yaml::read(&ran.out).unwrap().to_json();
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    let plugin = format!("{manager}/http_filters/0/typed_config/config");
    let clusters = "/static_resources/clusters";
    for (pointer, expected) in [
        ("/admin/address/socket_address/address".to_string(), json!("127.0.0.1")),
        ("/static_resources/listeners/0/per_connection_buffer_limit_bytes".to_string(), json!(1_048_576)),
        (format!("{manager}/use_remote_address"), json!(true)),
        (format!("{manager}/xff_num_trusted_hops"), json!(2)),
        (format!("{manager}/normalize_path"), json!(true)),
        (format!("{manager}/merge_slashes"), json!(true)),
        (format!("{manager}/path_with_escaped_slashes_action"), json!("REJECT_REQUEST")),
        (format!("{manager}/common_http_protocol_options/headers_with_underscores_action"), json!("REJECT_REQUEST")),
        (format!("{manager}/route_config/virtual_hosts/0/routes/1/direct_response/status"), json!(403)),
        (
            format!("{manager}/early_header_mutation_extensions/0/typed_config/mutations/0/remove"),
            json!("x-portcullis-upstream"),
        ),
        (format!("{plugin}/failure_policy"), json!("FAIL_RELOAD")),
        (format!("{plugin}/reload_config/backoff/base_interval"), json!("1s")),
        (format!("{plugin}/vm_config/environment_variables"), json!({ "host_env_keys": ["PORTCULLIS_TEST_SECRET"] })),
        (format!("{clusters}/0/name"), json!("auth")),
        (format!("{clusters}/0/transport_socket/typed_config/sni"), json!("auth.example.com")),
        (format!("{clusters}/1/name"), json!("files")),
        (format!("{clusters}/1/type"), json!("STATIC")),
        (format!("{clusters}/1/transport_socket/typed_config/sni"), Value::Null),
        (format!("{clusters}/2/name"), json!("orders")),
        (format!("{clusters}/2/type"), json!("STRICT_DNS")),
        (format!("{clusters}/2/transport_socket"), Value::Null),
        (format!("{clusters}/3"), Value::Null),
    ] {
        assert_eq!(envoy.pointer(&pointer).unwrap_or(&Value::Null), &expected, "{pointer}");
    }
    let embedded = envoy.pointer(&format!("{plugin}/configuration/value")).and_then(Value::as_str).unwrap();
    let document: Value = serde_json::from_str(embedded).unwrap();
    assert_eq!(document["upstreams"]["orders"]["url"], "http://orders.internal:8080");
}

#[test]
fn an_embedded_document_is_checked_in_either_form() {
    let bench = Bench::new("embedded");
    for form in ["json", "struct"] {
        let envoy = bench.run(&["generate", "envoy", "gateway.yaml", "--embed", form]).out;
        bench.write("envoy.yaml", &envoy);
        let ran = bench.run(&["check", "envoy.yaml"]);
        assert_eq!((ran.code, ran.out.as_str()), (0, "envoy.yaml: 3 routes, 2 issuers, no problems\n"), "{}", ran.err);
        bench.write("envoy.yaml", &envoy.replace("read:orders", "read orders"));
        let ran = bench.run(&["check", "envoy.yaml"]);
        assert_eq!(ran.code, 1);
        assert!(
            ran.err.starts_with("envoy.yaml:") && ran.err.contains(": routes[1]: `read orders` is not a scope"),
            "{}",
            ran.err
        );
    }
}

#[test]
fn a_cluster_stands_for_one_address_only() {
    let bench = Bench::new("clusters");
    bench.write("gateway.yaml", &GATEWAY.replace("cluster: auth", "cluster: files"));
    let ran = bench.run(&["generate", "envoy", "gateway.yaml"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("the cluster `files` already stands for another address"), "{}", ran.err);
}

#[test]
fn explain_tells_the_verdict_by_its_code() {
    let bench = Bench::new("explain");
    let claims = r#"{"sub":"u1","org_id":"o1","scope":"read:orders"}"#;
    for (arguments, code, expected) in [
        (&["GET", "/health"][..], 0, "answer 200, by rule "),
        (&["GET", "/orders/1"], 2, "deny 401 UNAUTHORIZED"),
        (&["GET", "/nowhere"], 2, "deny 404 NOT_FOUND"),
        (&["DELETE", "/orders/1"], 2, "deny 405 METHOD_NOT_ALLOWED"),
        (&["GET", "/orders/%2e%2e/files"], 2, "deny 400 BAD_REQUEST"),
        (&["GET", "/files/a/b"], 0, ":path: /base/a/b\n"),
        (&["GET", "/orders/1", "--issuer", "accounts", "--claims", claims], 0, "  x-org-id: o1\n"),
        (&["GET", "/orders/1", "--issuer", "legacy", "--claims", claims], 0, "x-portcullis-upstream: orders\n"),
        (&["GET", "/orders/1", "--issuer", "accounts", "--claims", "{}"], 2, "deny 403 INSUFFICIENT_SCOPE"),
        (&["GET", "/orders/1", "--issuer", "accounts", "--claims", r#"{"exp":1}"#], 2, "deny 401 EXPIRED_TOKEN"),
        (&["GET", "/orders/1", "--issuer", "nobody", "--claims", "{}"], 1, ""),
        (&["GET", "/orders/1", "--at", "soon"], 64, ""),
    ] {
        let mut all = vec!["explain", "gateway.yaml"];
        all.extend(arguments);
        let ran = bench.run(&all);
        assert_eq!(ran.code, code, "{arguments:?}\n{}\n{}", ran.out, ran.err);
        assert!(ran.out.contains(expected), "{arguments:?}: {}", ran.out);
    }
    let forged = ["explain", "gateway.yaml", "GET", "/files/a", "--header", "X-Org-ID: forged", "--json"];
    let report: Value = serde_json::from_str(&bench.run(&forged).out).unwrap();
    assert!(!report["forward"].to_string().contains("forged"), "{report:#}");
    assert_eq!(report["audit"]["spoofed_headers"], 1);
}

#[test]
fn a_supposed_token_vouches_for_nothing_but_itself() {
    let bench = Bench::new("supposed");
    let real = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2F1dGguZXhhbXBsZS5jb20vIn0.AAAA";
    let ran = bench.run(&[
        "explain",
        "gateway.yaml",
        "GET",
        "/orders/1",
        "--claims",
        r#"{"scope":"read:orders"}"#,
        "--issuer",
        "accounts",
        "--header",
        &format!("Authorization: Bearer {real}"),
    ]);
    assert_eq!(ran.code, 2, "{}", ran.out);
    assert!(!ran.out.contains("AAAA"), "{}", ran.out);
}

#[test]
fn other_gateways_are_imported_and_nothing_becomes_open() {
    let bench = Bench::new("import");
    bench.write("serverless.json", SERVERLESS);
    bench.write("routes.yaml", ROUTES);
    for (file, lost, routes) in [
        ("serverless.json", "serverless.json:4:32: paths[1].path: warning: matched `/admin` itself as well", 2),
        ("routes.yaml", "routes.yaml:7:16: routes[0].cache_ttl: warning: responses are not cached here", 3),
    ] {
        let bare = bench.run(&["import", file]);
        assert_eq!(bare.code, 0);
        assert!(bare.out.contains("# PROBLEM:"), "{}", bare.out);
        assert!(bare.err.lines().any(|line| line.starts_with(lost)), "{}", bare.err);
        bench.write("imported.yaml", &bare.out);
        let checked = bench.run(&["check", "imported.yaml"]);
        assert_eq!(checked.code, 1, "a protected route without an issuer must stay a problem");
        assert!(checked.err.contains("needs a token and no issuer is declared"), "{}", checked.err);

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

/// The keys of the test harness: private ones by their ids, and the key set of their public halves.
fn test_keys() -> (Vec<Value>, Value) {
    let text = include_str!("../test-harness/keys/test-only.jwks.json");
    let keys = serde_json::from_str::<Value>(text).unwrap()["keys"].as_array().unwrap().clone();
    let public = |key: &Value| {
        let members = key.as_object().unwrap().iter().filter(|(name, _)| !PRIVATE.contains(&name.as_str()));
        members.map(|(name, value)| (name.clone(), value.clone())).collect::<Value>()
    };
    let published = keys.iter().filter(|k| k["kty"] != "oct" && k["kid"] != "rsa-weak").map(public).collect::<Vec<_>>();
    (keys, json!({ "keys": published }))
}

#[test]
fn minted_tokens_are_those_the_filter_takes() {
    let bench = Bench::new("mint");
    bench.write("gateway.yaml", &GATEWAY.replace("algorithms: [RS256]\n    ", ""));
    let (keys, published) = test_keys();
    bench.write("published.json", &published.to_string());
    for (kid, pem, algorithms) in [
        ("rsa-1", Some("rsa"), &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"][..]),
        ("p256-1", Some("p-256"), &["ES256"]),
        ("p384-1", Some("p-384"), &["ES384"]),
        ("p521-1", Some("p-521"), &["ES512"]),
        ("ed-1", Some("ed25519"), &["EdDSA"]),
        ("hs-1", None, &["HS256"]),
    ] {
        let jwk = keys.iter().find(|key| key["kid"] == kid).unwrap();
        bench.write("key.json", &jwk.to_string());
        let pem = pem.map(|kind| format!("{}/tests/keys/test-only-{kind}.pem", env!("CARGO_MANIFEST_DIR")));
        for (alg, file) in algorithms.iter().flat_map(|alg| [Some("key.json"), pem.as_deref()].map(|file| (alg, file)))
        {
            let Some(file) = file else { continue };
            let common =
                ["token", "mint", "--alg", alg, "--issuer", "https://auth.example.com/", "--audience", "orders-api"];
            let minted =
                bench.run(&[&common[..], &["--key", file, "--scope", "read:orders", "--claim", "org_id=o7"]].concat());
            assert_eq!(minted.code, 0, "{alg} {file}: {}", minted.err);
            let token = minted.out.trim();
            let explain = ["explain", "gateway.yaml", "GET", "/orders/1", "--keys", "published.json", "--token", token];
            let ran = bench.run(&explain);
            if kid == "hs-1" {
                assert_eq!(ran.code, 2, "a published key set holds no secrets");
                continue;
            }
            assert_eq!(ran.code, 0, "{alg} {file}: {}{}", ran.out, ran.err);
            assert!(ran.out.contains("x-org-id: o7\n"), "{}", ran.out);
            let later = bench.run(&[&explain[..], &["--at", "2100-01-01T00:00:00Z"]].concat());
            assert!(later.out.contains("EXPIRED_TOKEN"), "{}", later.out);
        }
    }
}

#[test]
fn a_shared_secret_signs_what_its_issuer_takes() {
    let bench = Bench::new("mint-secret");
    let secret = "a secret of the test that is long enough for HS256";
    let with_secret = |arguments: &[&str]| {
        Ran::from(bench.command(arguments).env("PORTCULLIS_TEST_SECRET", secret).output().unwrap())
    };
    let mint = [
        "token",
        "mint",
        "--secret-env",
        "PORTCULLIS_TEST_SECRET",
        "--issuer",
        "eloquent-gateway",
        "--audience",
        "eloquent-api",
        "--scope",
        "read:orders",
        "--alg",
    ];
    let minted = with_secret(&[&mint[..], &["HS256"]].concat());
    assert_eq!(minted.code, 0, "{}", minted.err);
    let explain =
        ["explain", "gateway.yaml", "GET", "/orders/1", "--keys", "published.json", "--token", minted.out.trim()];
    bench.write("published.json", &test_keys().1.to_string());
    assert_eq!(with_secret(&explain).code, 0);
    assert_eq!(bench.run(&explain).code, 2, "the stand-in for a secret that is not set signs nothing");
    assert_eq!(with_secret(&[&mint[..], &["HS512"]].concat()).code, 1, "too short for HS512");
    assert_eq!(with_secret(&[&mint[..], &["RS256"]].concat()).code, 1);
    assert_eq!(with_secret(&[&mint[..], &["HS256", "--ttl", "2h"]].concat()).code, 64);
}

#[test]
fn inspecting_a_token_shows_no_signature_and_vouches_for_nothing() {
    let bench = Bench::new("inspect");
    let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.eyJpc3MiOiJodHRwczovL2EvIiwiZXhwIjoxfQ.c2lnbmF0dXJl";
    let ran = bench.run(&["token", "inspect", token]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.starts_with("not verified"), "{}", ran.out);
    assert!(ran.out.contains("\"kid\": \"a\"") && ran.out.contains("\"iss\": \"https://a/\""), "{}", ran.out);
    assert!(ran.out.contains(" days ago"), "{}", ran.out);
    assert!(!ran.out.contains("c2lnbmF0dXJl"), "{}", ran.out);
    for bad in ["a.b", "a.b.c", "e30.e30", "e30.W10.x"] {
        let ran = bench.run(&["token", "inspect", bad]);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{bad}");
        assert!(ran.err.starts_with("portcullis: not a JWT: "), "{}", ran.err);
    }
}

#[test]
fn the_schema_is_the_published_one() {
    let ran = Bench::new("schema").run(&["schema"]);
    assert_eq!(ran.code, 0);
    assert_eq!(ran.out, include_str!("../docs/gateway.schema.json"));
}

#[test]
fn documents_come_from_standard_input_too() {
    let bench = Bench::new("stdin");
    let mut child = bench.command(&["check", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"version: '1.0'\nroutes: []\n").unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.out.as_str()), (0, "-: 0 routes, 0 issuers, no problems\n"));
}

#[test]
fn what_cannot_be_read_is_told_in_one_line() {
    let bench = Bench::new("unreadable");
    bench.write("tab.yaml", "a:\n\t- b\n");
    bench.write("twice.yaml", "version: '1.0'\nversion: '1.0'\n");
    std::fs::write(bench.0.join("latin1.yaml"), b"version: '1.0'\nroutes: # caf\xe9\n").unwrap();
    for (arguments, code, start) in [
        (&["check", "missing.yaml"][..], 1, "portcullis: missing.yaml: "),
        (&["check", "tab.yaml"], 1, "tab.yaml:2:"),
        (&["check", "twice.yaml"], 1, "twice.yaml:2:1: document: `version` stands twice, first on line 1"),
        (&["check", "latin1.yaml"], 1, "portcullis: latin1.yaml:2: not UTF-8 text"),
        (&["chekc", "gateway.yaml"], 64, "error: unrecognized subcommand 'chekc'"),
        (&["check"], 64, "error: the following required arguments were not provided"),
    ] {
        let ran = bench.run(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{arguments:?}");
        assert!(ran.err.starts_with(start), "{arguments:?}: {}", ran.err);
    }
}

/// Members of a JWK that are not published (RFC 7518 §6).
const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "k"];

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
