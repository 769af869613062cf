//! Tests that the filter and the commands accept and refuse the same documents, and that the size of files is bounded.

use std::io::Write;
use std::process::Stdio;

use portcullis::config::source;
use portcullis::policy::Policy;
use portcullis::protobuf::{put_bytes, put_number};
use serde_json::{Value, json};

use crate::{Bench, CommandOutput};

/// Returns the filter's verdict on the bytes that Envoy passes to it.
fn filter(bytes: &[u8]) -> Result<(), String> {
    let node = source::read(bytes)?;
    Policy::from_node(&node, &|_| None).map(drop).map_err(|problems| problems[0].to_string())
}

/// Encodes an object as a `google.protobuf.Struct` (struct.proto of protobuf).
fn encoded_struct(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in value.as_object().unwrap() {
        let mut entry = Vec::new();
        put_bytes(&mut entry, 1, key.as_bytes());
        put_bytes(&mut entry, 2, &encoded_value(value));
        put_bytes(&mut out, 1, &entry);
    }
    out
}

fn encoded_value(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        Value::Null => put_number(&mut out, 1, 0),
        Value::Number(number) => {
            out.push(2 << 3 | 1);
            out.extend(number.as_f64().unwrap().to_le_bytes());
        }
        Value::String(text) => put_bytes(&mut out, 3, text.as_bytes()),
        Value::Bool(flag) => put_number(&mut out, 4, u64::from(*flag)),
        Value::Object(_) => put_bytes(&mut out, 5, &encoded_struct(value)),
        Value::Array(items) => {
            let mut list = Vec::new();
            items.iter().for_each(|item| put_bytes(&mut list, 1, &encoded_value(item)));
            put_bytes(&mut out, 6, &list);
        }
    }
    out
}

/// Returns a document with nested lists. The document itself is level 1, and the deepest list is level `levels`.
fn nested(levels: usize) -> Value {
    let body = (5..levels).fold(json!([]), |inner, _| json!([inner]));
    json!({ "version": "1.0", "routes": [{ "path": "/a", "auth": "none", "response": { "body": body } }] })
}

#[test]
fn every_reader_accepts_and_refuses_the_same_documents() {
    let bench = Bench::new("readers");
    let route = |response: Value| json!({ "version": "1.0", "routes": [{ "path": "/a", "auth": "none", "response": response }] });
    for (name, document, accepted) in [
        ("plain", route(json!({ "status": 204 })), true),
        ("32 levels", nested(32), true),
        ("33 levels", nested(33), false),
        ("64 levels", nested(64), false),
        ("70 levels", nested(70), false),
        ("300,000 values", route(json!({ "body": vec![0; 300_000] })), true),
        ("500,001 values", route(json!({ "body": vec![0; 500_000] })), false),
        ("17 MiB of text", route(json!({ "body": "x".repeat(17 << 20) })), false),
        ("a status that is no whole number", route(json!({ "status": 200.5 })), false),
        ("NUL in a text", route(json!({ "body": "a\u{0}b" })), true),
        ("a character beyond U+FFFF", route(json!({ "body": "\u{1f600}" })), true),
    ] {
        let json = document.to_string();
        let errors = [filter(json.as_bytes()).err(), filter(&encoded_struct(&document)).err()];
        for (reader, errors) in ["JSON", "Struct"].iter().zip(&errors) {
            assert_eq!(errors.is_none(), accepted, "{name} as {reader}: {errors:?}");
        }
        // JSON text is also YAML, so the file name selects the parser.
        for file in ["document.json", "document.yaml"] {
            bench.write(file, &json);
            for command in [&["check", file][..], &["generate", "envoy", file]] {
                let ran = bench.run(command);
                assert_eq!(
                    ran.code == 0,
                    accepted,
                    "{name} as {command:?}: {}",
                    ran.err.chars().take(300).collect::<String>()
                );
            }
        }
    }
}

#[test]
fn a_json_file_is_read_as_the_filter_reads_json() {
    let bench = Bench::new("json");
    let good = r#"{"version":"1.0","routes":[{"path":"/a","auth":"none","response":{"status":204}}]}"#;
    let edited = |from: &str, to: &str| good.replace(from, to);
    for (name, text, message) in [
        ("YAML", "version: '1.0'\nroutes: []\n".to_string(), Some("1:1: document: not JSON: expected value")),
        ("a comment", format!("# a\n{good}"), Some("not JSON")),
        ("a byte order mark", format!("\u{feff}{good}"), Some("it begins with a byte order mark")),
        ("a trailing comma", edited("204}", "204,}"), Some("not JSON: trailing comma")),
        ("single quotes", edited("\"/a\"", "'/a'"), Some("not JSON: expected value")),
        ("a member twice", edited("\"status\":204", "\"status\":204,\"status\":204"), Some("`status` is repeated")),
        (
            "a member twice, once escaped",
            edited("\"status\":204", "\"status\":204,\"st\\u0061tus\":204"),
            Some("is repeated"),
        ),
        ("hexadecimal", edited("204", "0xcc"), Some("not JSON")),
        ("a leading plus", edited("204", "+204"), Some("not JSON")),
        ("two values", format!("{good}{good}"), Some("not JSON: trailing characters")),
        ("a lone surrogate", edited("204", "204,\"body\":\"\\ud800\""), Some("not JSON")),
        ("a number out of range", edited("204", "1e999"), Some("not JSON: number out of range")),
        ("NUL behind it", format!("{good}\u{0}"), Some("not JSON")),
        ("nothing but JSON", good.to_string(), None),
    ] {
        bench.write("gateway.json", &text);
        let ran = bench.run(&["check", "gateway.json"]);
        assert_eq!(filter(text.as_bytes()).is_ok(), message.is_none(), "{name}");
        assert_eq!(ran.code == 0, message.is_none(), "{name}: {}", ran.err);
        assert!(message.is_none_or(|message| ran.err.contains(message)), "{name}: {}", ran.err);
    }
    // Messages contain the position in the file.
    bench.write("gateway.json", &good.replace("\"none\"", "\n \"nobody\""));
    let ran = bench.run(&["check", "gateway.json"]);
    assert!(ran.err.contains("gateway.json:2:2: routes[0].auth: "), "{}", ran.err);
}

#[test]
fn an_embedded_document_is_read_as_its_loader_reads_it() {
    let bench = Bench::new("loaders");
    let envoy = |status: &str| {
        format!(
            "static_resources:\n  listeners:\n  - filters:\n    - name: portcullis\n      vm_config: {{}}\n      configuration:\n        '@type': type.googleapis.com/google.protobuf.Struct\n        value:\n          version: '1.0'\n          routes:\n          - {{ path: /a, auth: none, response: {{ body: {status} }} }}\n"
        )
    };
    let istio = |status: &str| {
        format!(
            "apiVersion: v1\nkind: WasmPlugin\nspec:\n  pluginConfig:\n    version: '1.0'\n    routes:\n    - {{ path: /a, auth: none, response: {{ body: {status} }} }}\n"
        )
    };
    for (value, by_envoy, by_kubernetes) in [
        ("12", None, None),
        ("'yes'", None, None),
        ("yes", Some("Envoy reads `yes` as `true` here"), Some("Kubernetes reads `yes` as `true` here")),
        ("1.5", Some("Envoy reads `1.5` as text here"), None),
        ("2147483648", Some("Envoy reads `2147483648` as text here"), None),
        ("017", Some("as an octal number here"), Some("as an octal number here")),
        ("9007199254740993", Some("as text here"), Some("a Struct cannot represent `9007199254740993` exactly")),
    ] {
        for (text, expected) in [(envoy(value), by_envoy), (istio(value), by_kubernetes)] {
            bench.write("embedded.yaml", &text);
            let ran = bench.run(&["check", "embedded.yaml"]);
            assert_eq!(ran.code == 0, expected.is_none(), "{value}: {}", ran.err);
            assert!(expected.is_none_or(|expected| ran.err.contains(expected)), "{value}: {}", ran.err);
        }
    }
}

#[test]
fn yaml_text_has_no_control_characters() {
    let bench = Bench::new("controls");
    // The YAML parser reads NUL as the end of the text, so the lines after NUL would be ignored.
    bench.write("gateway.yaml", "version: '1.0'\nroutes: []\n\u{0}\nissuers: nonsense\n");
    let ran = bench.run(&["check", "gateway.yaml"]);
    assert_eq!(ran.err, "gateway.yaml:3:1: document: the control character U+0000 cannot be part of YAML text\n");
}

#[test]
fn aliases_are_counted_as_if_they_were_written_out() {
    let bench = Bench::new("aliases");
    let long = "x".repeat(1 << 20);
    let aliases = vec!["*a"; 80].join(", ");
    let text = format!("version: '1.0'\nroutes: []\nschemas: {{ a: {{ enum: [&a {long}, {aliases}] }} }}\n");
    bench.write("gateway.yaml", &text);
    let ran = bench.run(&["check", "gateway.yaml"]);
    assert!(ran.code == 1 && ran.err.contains("more than 64 MiB of text, with aliases expanded"), "{}", ran.err);
}

#[test]
#[cfg(target_os = "linux")]
fn reading_stops_at_a_bound_for_every_input() {
    let bench = Bench::new("bound");
    bench.write("clients.json", r#"{"version":"1.0","clients":[]}"#);
    std::fs::create_dir_all(bench.0.join("folder")).unwrap();
    let sparse = std::fs::File::create(bench.0.join("huge.yaml")).unwrap();
    sparse.set_len(1 << 33).unwrap();
    let bound = "longer than the maximum of 64 MiB";
    for (arguments, expected) in [
        (&["check", "/dev/zero"][..], bound),
        (&["check", "huge.yaml"], bound),
        (&["check", "folder"], "directory"),
        (&["check", "missing.yaml"], "No such file"),
        (&["generate", "envoy", "/dev/zero"], bound),
        (&["import", "/dev/zero"], bound),
        (&["clients", "check", "/dev/zero"], bound),
        (&["revocation", "check", "/dev/zero"], bound),
        (&["explain", "gateway.yaml", "GET", "/health", "--body", "@/dev/zero"], bound),
        (&["explain", "gateway.yaml", "GET", "/health", "--keys", "/dev/zero"], bound),
        (&["permission", "list", "/dev/zero"], bound),
        (&["keys", "list", "/dev/zero"], bound),
        (&["keys", "report", "gateway.yaml", "--owners", "/dev/zero"], bound),
        (&["keys", "report", "gateway.yaml", "--trail=/dev/zero"], bound),
        (&["token", "mint", "--issuer", "x", "--audience", "y", "--alg", "RS256", "--key", "/dev/zero"], bound),
    ] {
        let ran = bench.run(arguments);
        assert_ne!(ran.code, 0, "{arguments:?}");
        assert!(ran.err.contains(expected), "{arguments:?}: {}", ran.err);
    }
    let zeros = std::fs::File::open("/dev/zero").unwrap();
    let ran = CommandOutput::from(bench.command(&["check", "-"]).stdin(Stdio::from(zeros)).output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (1, "portcullis: -: longer than the maximum of 64 MiB\n"));
    // A pipe is read to its end.
    let mut child = bench
        .command(&["check", "/dev/stdin"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(crate::GATEWAY.as_bytes()).unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
}

#[test]
fn a_document_of_clients_has_the_bounds_of_the_gateway() {
    let bench = Bench::new("clients-bound");
    let padding = " ".repeat(64 * 1024 + 512 * 10_000);
    bench.write("clients.json", &format!("{{\"version\":\"1.0\",\"clients\":[]}}{padding}"));
    let ran = bench.run(&["clients", "check", "clients.json"]);
    assert!(ran.code == 1 && ran.err.contains("longer than the 5185536 bytes that gateways read"), "{}", ran.err);
    bench.write("clients.json", "\u{feff}{\"version\":\"1.0\",\"clients\":[]}");
    let ran = bench.run(&["clients", "check", "clients.json"]);
    assert!(ran.code == 1 && ran.err.contains("byte order mark"), "{}", ran.err);
}
