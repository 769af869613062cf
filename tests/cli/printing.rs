//! Tests that no command prints control characters or invisible characters from documents, tokens or arguments.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::{Bench, CommandOutput};

/// A line break before a forged message, terminal escapes (C0, DEL, C1), and bidirectional and invisible characters.
const EVIL: &str = "x\nportcullis: forged\r\u{1b}[31m\u{7f}\u{9b}2J\u{85}\u{202e}\u{2066}\u{200f}\u{61c}\u{200b}\u{2028}\u{feff}\u{e0041}";

fn check(ran: &CommandOutput, what: &str) {
    for text in [&ran.out, &ran.err] {
        let hidden = |c: char| {
            c.is_control() && c != '\n'
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{61c}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
        };
        assert!(!text.chars().any(hidden), "{what}: {text:?}");
        assert!(!text.lines().any(|line| line.starts_with("portcullis: forged")), "{what}: {text}");
    }
}

/// Returns a configuration with [`EVIL`] in every field that accepts free text.
fn document() -> Value {
    json!({
        "version": "1.0",
        "environment": "test",
        "issuers": [{ "name": "accounts", "issuer": format!("https://a/{EVIL}"), "audiences": ["x"], "secret": { "env": "PRINTING_SECRET" },
            "permission_claims": ["p"] }],
        "api_keys": { "from": [{ "header": "x-api-key" }] },
        "clients": [{ "id": "billing", "owner": EVIL, "purpose": EVIL, "keys": [
            { "id": "b-1", "prefix": "pck_test_8fK2mQ7xW1bT", "hash": format!("sha256:{}", "0".repeat(64)), "reason": EVIL }] }],
        "permissions": { "LIC": { "READ": { "bit": 0, "description": EVIL, "deprecated": EVIL, "owner": EVIL } } },
        "routes": [
            { "name": EVIL, "path": "/a", "description": EVIL, "permissions": ["LIC.READ"], "require_claims": { "c": [EVIL] }, "response": {} },
            { "path": "/b", "auth": "none", "response": { "status": 200, "body": EVIL } },
            { "path": "/{.+}", "auth": { "any_of": ["token", "api_key"] }, "response": {} },
        ],
    })
}

#[test]
fn documents_are_printed_without_hidden_characters() {
    let bench = Bench::new("printing");
    bench.write("gateway.json", &format!("{:#}", document()));
    let claims = json!({ "sub": EVIL, "p": { "LIC": "0xff" } }).to_string();
    let token = [json!({ "alg": "RS256", "kid": EVIL }), json!({ "iss": EVIL, EVIL: [EVIL] })]
        .map(|part| URL_SAFE_NO_PAD.encode(part.to_string()))
        .join(".")
        + ".AAAA";
    for arguments in [
        &["check", "gateway.json"][..],
        &["check", "--overlaps", "gateway.json"],
        &["check", "--format", "json", "gateway.json"],
        &["generate", "envoy", "gateway.json"],
        &["generate", "envoy", "gateway.json", "--embed", "struct"],
        &["explain", "gateway.json", "GET", "/a", "--claims", &claims],
        &["explain", "gateway.json", "GET", "/b"],
        &["explain", "gateway.json", "GET", "/b", "--json"],
        &["who-can", "gateway.json", "GET", "/a"],
        &["who-can", "gateway.json", "GET", "/a", "--format", "csv"],
        &["who-can", "gateway.json", "GET", "/a", "--format", "json"],
        &["can", "gateway.json", "--claims", &claims],
        &["can", "gateway.json", "--client", "billing", "--format", "csv"],
        &["permission", "list", "gateway.json"],
        &["permission", "list", "gateway.json", "--format", "json"],
        &["permission", "decode", "gateway.json", "LIC=3"],
        &["permission", "constants", "gateway.json", "--language", "java"],
        &["keys", "list", "gateway.json"],
        &["keys", "report", "gateway.json"],
        &["keys", "report", "gateway.json", "--json"],
        &["token", "inspect", &token],
        &["token", "inspect", &token, "--config", "gateway.json"],
    ] {
        let ran = bench.run(arguments);
        check(&ran, &format!("{arguments:?}"));
        assert!(ran.code == 0 || ran.code == 2, "{arguments:?}: {}", ran.err);
        if arguments.iter().any(|argument| argument.contains("json")) && ran.out.starts_with(['{', '[']) {
            serde_json::from_str::<Value>(&ran.out).unwrap();
        }
    }
    // JSON output decodes to the original text.
    let listed = bench.run(&["permission", "list", "gateway.json", "--format", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&listed.out).unwrap()[0]["description"], EVIL);
    let generated = bench.run(&["generate", "envoy", "gateway.json", "--embed", "struct"]);
    bench.write("envoy.yaml", &generated.out);
    let again = bench.run(&["permission", "list", "envoy.yaml", "--format", "json"]);
    assert_eq!(again.out, listed.out, "{}", again.err);
}

#[test]
fn messages_are_printed_without_hidden_characters() {
    let bench = Bench::new("printing-faults");
    let broken = json!({ "version": EVIL, EVIL: 1, "routes": [{ "path": EVIL, "auth": EVIL, "upstream": EVIL, "hosts": [EVIL],
        "timeout": EVIL, "scopes": [EVIL, 5], "permissions": [EVIL], "when": [EVIL], "cors": { "allow_origins": [EVIL] } }],
        "issuers": [{ "name": EVIL, "jwks": { "uri": EVIL } }], "upstreams": { EVIL: { "url": EVIL } },
        "schemas": { EVIL: { "type": EVIL, "pattern": EVIL } } });
    bench.write("broken.json", &broken.to_string());
    bench.write("evil.yaml", &format!("a: {}\nb: *{EVIL}\n", json!(EVIL)));
    bench.write("raw.yaml", &format!("a: '{EVIL}'\n\u{1b}: 1\n"));
    bench.write("twice.json", &format!("{{{0}:1,{0}:2}}", json!(EVIL)));
    bench.write(
        "list.json",
        &json!({ "version": "1.0", "revoked": [{ "jti": EVIL, EVIL: 1, "sub": EVIL }] }).to_string(),
    );
    bench.write(
        "clients.json",
        &json!({ "version": "1.0", "clients": [{ "id": EVIL, "owner": 1, EVIL: 2 }] }).to_string(),
    );
    bench.write("serverless.json", &json!({ "paths": { EVIL: { "get": { EVIL: 1 } } }, EVIL: EVIL }).to_string());
    bench.write(
        "routes.yaml",
        &json!({ "routes": [{ "path": EVIL, EVIL: EVIL }], "public_paths": [EVIL, 5] }).to_string(),
    );
    bench.write("evil.lock.json", "{}");
    for arguments in [
        &["check", "broken.json", "evil.yaml", "raw.yaml", "twice.json"][..],
        &["check", "--format", "json", "broken.json"],
        &["check", EVIL],
        &["generate", "envoy", "broken.json"],
        &["revocation", "check", "list.json"],
        &["revocation", "check", "twice.json"],
        &["clients", "check", "clients.json"],
        &["import", "serverless.json"],
        &["import", "routes.yaml"],
        &["explain", "gateway.yaml", EVIL, EVIL, "--host", EVIL],
        &["explain", "gateway.yaml", "GET", "/", "--header", EVIL],
        &["explain", "gateway.yaml", "GET", "/", "--claims", EVIL],
        &["who-can", "gateway.yaml", "--route", EVIL],
        &["can", "gateway.yaml", "--client", EVIL],
        &["permission", "add", "gateway.yaml", EVIL, EVIL, "--description", EVIL],
        &["permission", "decode", "gateway.yaml", EVIL],
        &[
            "keys",
            "create",
            "--client",
            EVIL,
            "--environment",
            "test",
            "--expires",
            "9d",
            "--by",
            EVIL,
            "--reason",
            EVIL,
        ],
        &["keys", "revoke", "gateway.yaml", "--key", EVIL, "--by", EVIL, "--reason", EVIL],
        &["token", "inspect", EVIL],
        &["token", "inspect", &format!("{EVIL}.{EVIL}.")],
        &["token", "get", "--issuer", EVIL, "--client-id", EVIL, "--secret-env", EVIL],
        &["schema", EVIL],
        &[EVIL],
        &["check", "gateway.yaml", "--format", EVIL],
    ] {
        check(&bench.run(arguments), &format!("{arguments:?}"));
    }
}
