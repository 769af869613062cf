//! Tests that Envoy accepts the output of `portcullis generate envoy`, and that its listener protects the gateway.

#![expect(clippy::unwrap_used, reason = "a helper that fails must fail the test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use test_harness::certificate::Certificates;
use test_harness::client::{self, Request};
use test_harness::clock::Deadline;
use test_harness::envoy::{self, Envoy, Host, Launch};
use test_harness::upstream::{Received, Upstream};
use test_harness::{generated, outcome, ports};

const GATEWAY: &str = r#"version: "1.0"
issuers:
  - name: accounts
    issuer: eloquent-gateway
    audiences: [eloquent-api]
    secret: { env: GENERATED_SECRET }
  - name: partners
    issuer: https://partners.example/
    audiences: [eloquent-api]
    jwks: { uri: "https://127.0.0.1:1/jwks.json", cluster: partners }
identity_headers: { X-Org-ID: org_id }
upstreams:
  echo: { url: $ECHO_URL }
  gone: { url: "http://127.0.0.1:1" }
audit: { to: log }
routes:
  - { path: /health, auth: none, response: { body: { status: ok } } }
  - { path: "/open/{.+}", auth: none, upstream: echo }
  - { path: "/quick/{.+}", auth: none, upstream: echo, timeout: 200ms }
  - { path: "/gone/{.+}", auth: none, upstream: gone }
  - { path: "/closed/{.+}", upstream: echo, scopes: [read] }
"#;

#[test]
fn envoy_accepts_the_generated_configuration() {
    let environment = [("GENERATED_SECRET".to_owned(), SECRET.to_owned())];
    for audit in ["log", "access_log"] {
        for form in ["json", "struct"] {
            let document = GATEWAY.replace("to: log", &format!("to: {audit}"));
            let bootstrap = generate(&document, "http://localhost:9", 8080, 9901, &["--embed", form]);
            assert_eq!(envoy::validate(&bootstrap, &environment), Ok(()), "{form}, {audit}");
            let misled = bootstrap.replace("/closed/", "closed/");
            assert!(envoy::validate(&misled, &environment).is_err(), "a document with a problem: {form}, {audit}");
        }
    }
}

#[test]
fn envoy_accepts_a_listener_with_tls() {
    let environment = [("GENERATED_SECRET".to_owned(), SECRET.to_owned())];
    let mut certificates = Certificates::make(&BTreeMap::new()).unwrap();
    for insists in [false, true] {
        certificates.insists = insists;
        let arguments = certificates.arguments();
        let more: Vec<&str> = arguments.iter().map(String::as_str).collect();
        // Envoy reports the result of the verification to wasm modules from 1.39 on, and to dynamic modules in no version.
        let versions = match Host::chosen() {
            Host::Wasm => [("1.36", true), ("1.40", false)],
            Host::DynamicModule => [("1.38", true), ("1.40", true)],
        };
        for (version, has_rule) in versions {
            let more = [more.as_slice(), &["--envoy-version", version]].concat();
            let bootstrap = generate(GATEWAY, "http://localhost:9", 8080, 9901, &more);
            assert_eq!(envoy::validate(&bootstrap, &environment), Ok(()), "{version}");
            assert!(bootstrap.contains(&format!("require_client_certificate: {insists}")), "{version}: {bootstrap}");
            assert_eq!(bootstrap.contains("mtls_authenticated"), has_rule, "{version}: {bootstrap}");
        }
        // Control: if the authority's file is missing, Envoy refuses the configuration, so Envoy does read this file.
        let misled = generate(GATEWAY, "http://localhost:9", 8080, 9901, &more).replace("clients.pem", "others.pem");
        assert!(envoy::validate(&misled, &environment).is_err(), "Envoy accepted a missing authority file");
    }
}

#[test]
fn every_refusal_has_the_same_error_format_and_one_record() {
    let [port, admin] = ports::free().unwrap();
    let received = Received::default();
    let echo = Upstream::start("echo", 0, received.clone()).unwrap();
    let document = GATEWAY.replace("to: log", "to: access_log");
    let bootstrap = generate(&document, &echo.url(), port, admin, &[]);
    let env = vec![("GENERATED_SECRET".to_owned(), SECRET.to_owned())];
    let envoy = Envoy::start(&Launch { bootstrap: &bootstrap, admin, workers: 1, env }).unwrap();
    let get = |path: &str| Request::new("GET", path, "gateway.test");
    let large = "a".repeat(70_000);
    let requests = [
        (get("/health"), 200, None),
        (get("/open/a?body_bytes=3"), 200, None),
        (
            get("/open/a").header("x-portcullis-upstream", "gone").header("x-envoy-upstream-rq-timeout-ms", "1"),
            200,
            None,
        ),
        (get("/open/a?h.server=secret&h.x-powered-by=secret"), 200, None),
        (get("/closed/a"), 401, Some("UNAUTHORIZED")),
        (get("/nowhere").header("x-portcullis-upstream", "echo"), 404, Some("NOT_FOUND")),
        (get("/gone/a"), 503, Some("SERVICE_UNAVAILABLE")),
        (get("/quick/a?delay_ms=2000"), 504, Some("GATEWAY_TIMEOUT")),
        (get("/open/a%2fb"), 400, Some("BAD_REQUEST")),
        (get("/open/a").header("x_org_id", "forged"), 400, Some("BAD_REQUEST")),
        (get("/open/a").header("bad name", "x"), 400, Some("BAD_REQUEST")),
        (get("/open/a").header("x-large", &large), 431, Some("HEADERS_TOO_LARGE")),
        (get("/open/a").header("connection", "upgrade").header("upgrade", "other"), 403, Some("FORBIDDEN")),
        (get("https://gateway.test/open/a"), 403, Some("FORBIDDEN")),
        (get("ftp://gateway.test/open/a"), 400, Some("BAD_REQUEST")),
        // The `HTTP/1.1` that the test client appends becomes part of a header.
        (get("/open/a HTTP/1.0\r\nx-rest: "), 426, Some("UPGRADE_REQUIRED")),
        (get("/open/a HTTP/2.0\r\nx-rest: "), 426, Some("UPGRADE_REQUIRED")),
        (get("/open/a").header("transfer-encoding", "gzip"), 501, Some("NOT_IMPLEMENTED")),
    ];
    for (request, status, code) in &requests {
        let response = client::send(ports::loopback(port), request, Duration::from_secs(10)).unwrap();
        let body = String::from_utf8_lossy(&response.body).into_owned();
        let target = String::from_utf8_lossy(&request.target);
        assert_eq!(response.status, *status, "{target}: {body}");
        let answered = serde_json::from_str::<Value>(&body).ok();
        let answered = answered.as_ref().and_then(|body| body.pointer("/error/code")).and_then(Value::as_str);
        assert_eq!(answered, *code, "{target}: {body}");
        for hidden in ["server", "x-powered-by", "x-envoy-upstream-service-time"] {
            assert_eq!(outcome::values(&response.headers, hidden), [""; 0], "{target}: {hidden}");
        }
    }
    for forwarded in received.take() {
        assert_eq!(outcome::values(&forwarded.headers, "x-portcullis-upstream"), [""; 0], "{}", forwarded.path);
        assert_eq!(
            outcome::values(&forwarded.headers, "x-envoy-upstream-rq-timeout-ms"),
            [""; 0],
            "{}",
            forwarded.path
        );
    }
    let records = || -> Option<Vec<Value>> {
        let lines = envoy.lines();
        let read: Vec<Value> = lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
        (read.len() >= requests.len()).then_some(read)
    };
    let records = Deadline::after(Duration::from_secs(20)).poll(records).expect("a record for each request");
    let statuses: Vec<u64> = records.iter().filter_map(|record| record.get("status")?.as_u64()).collect();
    assert_eq!(statuses, requests.iter().map(|(_, status, _)| u64::from(*status)).collect::<Vec<u64>>());
    for record in &records {
        assert!(record.pointer("/audit/reason").is_some() && record.get("duration_ms").is_some(), "{record}");
    }
}

/// Returns the output of `portcullis generate envoy`. The program must be in the folder of the test build.
fn generate(document: &str, echo: &str, port: u16, admin: u16, more: &[&str]) -> String {
    // The name is unique, because runs with other versions of Envoy may be in progress.
    let name = format!("generated-{}-{port}-{}", std::process::id(), more.join("-").replace('/', "_"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("gateway.yaml");
    std::fs::write(&file, document).unwrap();
    let this = std::env::current_exe().unwrap();
    let program = this.ancestors().nth(2).unwrap().join("portcullis");
    assert!(program.is_file(), "the program `portcullis` is missing: run `cargo build`");
    let mut command = Command::new(program);
    let (host, option) = generated::options(Host::chosen());
    command.args(["generate", "envoy"]).arg(&file).args(["--host", host, option]).arg(envoy::module().unwrap());
    command.args(["--port", &port.to_string(), "--admin-port", &admin.to_string()]).args(more);
    let output = command.env("ECHO_URL", echo).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

const SECRET: &str = "a secret of this test that is long enough for an HMAC with SHA-256";
