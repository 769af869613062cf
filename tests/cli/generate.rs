//! Tests the output of `generate`, and that `check` can read this output.

use serde_json::{Value, json};

use crate::{Bench, GATEWAY};

#[test]
fn the_generated_configuration_has_the_settings_of_an_edge_proxy() {
    let bench = Bench::new("generated");
    let ran = bench.run(&["generate", "envoy", "gateway.yaml", "--port", "8443", "--trusted-hops", "2"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    // `generate` lists the variables that Envoy needs, even if `--set` sets their values.
    let needs = "gateway.yaml: note: Envoy needs `PORTCULLIS_TEST_SECRET` in its environment";
    let secret = "PORTCULLIS_TEST_SECRET=0123456789abcdef0123456789abcdef";
    let with_secret = bench.run(&["generate", "envoy", "gateway.yaml", "--set", secret]);
    assert!(ran.err.contains(needs) && with_secret.err.contains(needs), "{}\n{}", ran.err, with_secret.err);
    assert_eq!(ran.out, bench.run(&["generate", "envoy", "gateway.yaml", "--port", "8443", "--trusted-hops", "2"]).out);
    let envoy = portcullis::cli::yaml::read(&ran.out).unwrap().to_json();
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    let plugin = format!("{manager}/http_filters/0/typed_config/config");
    let clusters = "/static_resources/clusters";
    for (pointer, expected) in [
        ("/admin/address/socket_address/address".to_string(), json!("127.0.0.1")),
        ("/static_resources/listeners/0/per_connection_buffer_limit_bytes".to_string(), json!(32_768)),
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
fn a_header_that_the_listener_removes_cannot_be_read() {
    let bench = Bench::new("removed");
    let route = "  - { path: /real, auth: none, response: {}, when: 'not has(header[\"X-Real-IP\"])' }\n";
    let limits = "limits: [{ name: hosts, by: { header: X-Forwarded-Host }, rate: 1/s }]\n";
    let document = format!("{limits}{}", GATEWAY.replace("routes:\n", &format!("routes:\n{route}")));
    bench.write("removed.yaml", &document);
    let ran = bench.run(&["generate", "envoy", "removed.yaml"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    for expected in [
        "limits[0].by: the listener removes `x-forwarded-host` when no proxy is trusted: set `--trusted-hops`",
        "routes[0].when: the listener removes `x-real-ip` when no proxy is trusted: set `--trusted-hops`",
    ] {
        assert!(ran.err.contains(expected), "{}", ran.err);
    }
    let ran = bench.run(&["generate", "envoy", "removed.yaml", "--trusted-hops", "1"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
}

#[test]
fn bounds_on_traffic_can_be_set() {
    let bench = Bench::new("traffic");
    bench.write("holding.yaml", &GATEWAY.replace("routes:", "checks: { json: {} }\nroutes:"));
    let read = |file: &str, more: &[&str], pointer: &str| {
        let ran = bench.run(&[&["generate", "envoy", file], more].concat());
        assert_eq!(ran.code, 0, "{more:?}: {}", ran.err);
        let envoy = portcullis::cli::yaml::read(&ran.out).unwrap().to_json();
        envoy.pointer(pointer).cloned().unwrap_or_default()
    };
    let manager =
        |member: &str| format!("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/{member}");
    let streams = manager("http2_protocol_options/max_concurrent_streams");
    let breaker = |member: &str| format!("/static_resources/clusters/1/circuit_breakers/thresholds/0/{member}");
    let scaled = "/overload_manager/actions/1/typed_config/timer_scale_factors/1/min_timeout";
    for (file, more, pointer, expected) in [
        ("gateway.yaml", &[][..], manager("request_timeout"), json!("300s")),
        ("holding.yaml", &[], manager("request_timeout"), json!("60s")),
        ("holding.yaml", &["--request-timeout", "5m"], manager("request_timeout"), json!("300s")),
        ("gateway.yaml", &["--request-timeout", "20s"], manager("request_timeout"), json!("20s")),
        ("gateway.yaml", &[], manager("stream_idle_timeout"), json!("300s")),
        ("gateway.yaml", &["--idle-timeout", "1h"], manager("stream_idle_timeout"), json!("3600s")),
        ("gateway.yaml", &[], scaled.to_string(), json!("15s")),
        ("gateway.yaml", &["--idle-timeout", "9s"], scaled.to_string(), json!("9s")),
        ("gateway.yaml", &[], streams.clone(), json!(100)),
        ("gateway.yaml", &["--max-streams", "7"], streams, json!(7)),
        ("gateway.yaml", &[], breaker("max_connections"), json!(8192)),
        ("gateway.yaml", &["--upstream-max-requests", "50"], breaker("max_connections"), json!(50)),
        ("gateway.yaml", &["--upstream-max-requests", "50"], breaker("max_requests"), json!(50)),
    ] {
        assert_eq!(read(file, more, &pointer), expected, "{file} {more:?} {pointer}");
    }
    for (option, value, said) in [
        ("--request-timeout", "0s", "between 1s and 30d"),
        ("--idle-timeout", "31d", "between 1s and 30d"),
        ("--idle-timeout", "soon", "90s, 15m, 1h or 7d"),
        ("--max-heap-mib", "0", "0 is not in 1.."),
        ("--max-connections", "0", "0 is not in 1.."),
        ("--max-streams", "0", "1..=2147483647"),
        ("--upstream-max-requests", "0", "0 is not in 1.."),
    ] {
        let ran = bench.run(&["generate", "envoy", "gateway.yaml", option, value]);
        assert!(ran.code == 64 && ran.err.contains(said), "{option} {value}: {}", ran.err);
    }
}

#[test]
fn a_document_with_schemas_gets_the_full_module() {
    let bench = Bench::new("modules");
    let schemas = format!("{GATEWAY}schemas: {{ order: {{ type: object }} }}\n");
    let mapped = |text: &str| text.replace("auth: optional }", "auth: optional, jsonapi: { type: files } }");
    bench.write("schemas.yaml", &schemas);
    bench.write("jsonapi.yaml", &mapped(GATEWAY));
    bench.write("both.yaml", &mapped(&schemas));
    let module = |arguments: &[&str]| {
        let ran = bench.run(arguments);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let mut files = ran.out.lines().filter_map(|line| line.trim().strip_prefix("filename: "));
        let taken = files.find(|file| file.contains(".wasm")).unwrap_or_default();
        (taken.trim_matches('\'').to_string(), ran.err)
    };
    for (file, wasm, expected, note) in [
        ("gateway.yaml", "a/portcullis.wasm", "a/portcullis.wasm", ""),
        ("gateway.yaml", "a/portcullis-full.wasm", "a/portcullis-full.wasm", ""),
        (
            "schemas.yaml",
            "a/portcullis.wasm",
            "a/portcullis-full.wasm",
            "JSON Schemas, so the module is a/portcullis-full.wasm",
        ),
        ("schemas.yaml", "a/portcullis-full.wasm", "a/portcullis-full.wasm", ""),
        ("schemas.yaml", "own.wasm", "own.wasm", "JSON Schemas, so own.wasm must be a copy of portcullis-full.wasm"),
        ("jsonapi.yaml", "portcullis.wasm", "portcullis-full.wasm", "`jsonapi`, so the module is portcullis-full.wasm"),
        ("jsonapi.yaml", "own.wasm", "own.wasm", "`jsonapi`, so own.wasm must be a copy of portcullis-full.wasm"),
        (
            "both.yaml",
            "portcullis.wasm",
            "portcullis-full.wasm",
            "JSON Schemas and `jsonapi`, so the module is portcullis-full.wasm",
        ),
    ] {
        let (taken, said) = module(&["generate", "envoy", file, "--wasm", wasm]);
        assert_eq!(taken, expected, "{file} with {wasm}");
        let noted = format!("{file}: note: the document has ");
        let notes: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix(noted.as_str())).collect();
        assert_eq!(notes.concat(), note, "{file} with {wasm}");
    }
    let ran = bench.run(&["check", "schemas.yaml"]);
    assert_eq!(ran.out, "schemas.yaml: 3 routes, 2 issuers, no problems, needs portcullis-full.wasm\n");
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
fn a_cluster_has_only_one_address() {
    let bench = Bench::new("clusters");
    bench.write("gateway.yaml", &GATEWAY.replace("cluster: auth", "cluster: files"));
    let ran = bench.run(&["generate", "envoy", "gateway.yaml"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("the cluster `files` already has another address"), "{}", ran.err);
}

#[test]
fn limitations_of_a_generated_configuration_are_reported() {
    let bench = Bench::new("limits");
    bench.write("gateway.yaml", &format!("{GATEWAY}public_paths: [/health, /docs, /assets/*]\n"));
    let ran = bench.run(&["generate", "envoy", "gateway.yaml"]);
    assert_eq!(ran.code, 0);
    let public: Vec<&str> = ran.err.lines().filter(|line| line.contains("is public")).collect();
    assert_eq!(public.len(), 2, "{}", ran.err);
    assert!(public[0].contains("`/docs`") && public[1].contains("`/assets/*`"), "{}", ran.err);

    let same = ["generate", "envoy", "gateway.yaml", "--port", "9901"];
    let ran = bench.run(&same);
    assert!(
        ran.code == 1 && ran.err.contains("the listener and the admin interface both use port 9901"),
        "{}",
        ran.err
    );
    assert_eq!(bench.run(&[&same[..], &["--no-admin"]].concat()).code, 0);

    let ran = bench.run(&["generate", "envoy", "gateway.yaml", "--envoy-version", "1.35"]);
    assert_eq!(ran.code, 64);
    assert!(ran.err.contains("need Envoy 1.36 or later"), "{}", ran.err);
    let ran = bench.run(&["generate", "envoy", "gateway.yaml", "--envoy-version", "1.38.2"]);
    assert!(ran.code == 0 && ran.err.contains("Envoy 1.38 does not resolve `..;` in paths"), "{}", ran.err);

    let held =
        GATEWAY.replace("strip_prefix: true,", "strip_prefix: true, checks: { max_body_bytes: 3000000, json: {} },");
    assert_ne!(held, GATEWAY);
    bench.write("gateway.yaml", &held);
    for (version, is_warned) in [("1.36", true), ("1.37", false)] {
        let ran = bench.run(&["generate", "envoy", "gateway.yaml", "--envoy-version", version]);
        assert_eq!((ran.code, ran.err.contains("can buffer up to 3262144 bytes")), (0, is_warned), "{}", ran.err);
        assert_eq!(ran.out.contains("per_connection_buffer_limit_bytes: 3262144"), is_warned, "{version}");
        assert_eq!(ran.out.contains("initial_stream_window_size: 3262144"), is_warned, "{version}");
    }

    let bound = GATEWAY.replace("    audiences:", "    require_bound: true\n    audiences:");
    assert_ne!(bound, GATEWAY);
    bench.write("gateway.yaml", &bound);
    let with_tls = [
        "generate",
        "envoy",
        "gateway.yaml",
        "--tls-certificate",
        "a.pem",
        "--tls-key",
        "a.key",
        "--client-ca",
        "c.pem",
    ];
    for (arguments, is_warned) in [(with_tls.as_slice(), false), (&with_tls[..7], true), (&with_tls[..3], true)] {
        let ran = bench.run(arguments);
        assert_eq!(
            (ran.code, ran.err.contains("the listener requests none")),
            (0, is_warned),
            "{arguments:?}: {}",
            ran.err
        );
    }
    // `generate` prints a similar note for polled clients.
    bench.write("polling.yaml", &(GATEWAY.to_owned() + POLLED));
    let warning = "polling.yaml: note: polled clients might have certificates, but without --client-ca the listener requests none";
    assert!(bench.run(&["generate", "envoy", "polling.yaml"]).err.contains(warning));
    // The arguments for TLS are required together.
    for lacking in [&with_tls[..5], &["generate", "envoy", "gateway.yaml", "--client-ca", "c.pem"]] {
        assert_eq!(bench.run(lacking).code, 64, "{lacking:?}");
    }

    bench.write("gateway.yaml", &GATEWAY.replace("{ status: ok }", "{ id: 9007199254740993 }"));
    assert_eq!(bench.run(&["generate", "envoy", "gateway.yaml"]).code, 0);
    let ran = bench.run(&["generate", "envoy", "gateway.yaml", "--embed", "struct"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("Envoy would read 9007199254740993 as a string in a Struct"), "{}", ran.err);

    bench.write("gateway.yaml", &GATEWAY.replace("upstream: orders, scopes", "scopes"));
    let ran = bench.run(&["generate", "envoy", "gateway.yaml"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.starts_with("gateway.yaml:19:5: routes[1]: has neither `upstream` nor `response`"), "{}", ran.err);
}

const POLLED: &str = "clients_from: { uri: https://clients.example/clients.json, cluster: directory }\n";
