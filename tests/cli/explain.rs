//! Tests the output and the exit code of `explain`.

use serde_json::Value;

use crate::Bench;

#[test]
fn explain_returns_the_verdict_as_exit_code() {
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
fn nothing_is_forwarded_before_the_body_is_checked() {
    let bench = Bench::new("explain_body");
    let route = "{ path: /a, auth: none, upstream: a, checks: { json: { max_depth: 1 } } }";
    bench.write("g.yaml", &format!("version: \"1.0\"\nupstreams: {{ a: }}\nroutes: [{route}]\n"));
    for (body, code, expected) in [
        ("[1]", 0, "check      the body meets the route's requirements\nforward    to upstream a\n\nallow"),
        ("[[1]]", 2, "check      refused: body_too_deep\n\ndeny 422"),
    ] {
        let json = "content-type: application/json";
        let ran = bench.run(&["explain", "g.yaml", "POST", "/a", "--header", json, "--body", body]);
        assert_eq!(ran.code, code, "{body}\n{}\n{}", ran.out, ran.err);
        let expected = format!("route      route ANY /a\nauthorize  no caller is required\n{expected}");
        assert!(ran.out.starts_with(&expected), "{body}: {}", ran.out);
    }
}

#[test]
fn explain_shows_that_a_foreign_page_uses_a_cookie() {
    let bench = Bench::new("explain_cookie");
    let issuer = "{ name: a, issuer: a, audiences: [b], jwks: { uri: \"https://a.example/\", cluster: a }, token_from: [{ cookie: sid }] }";
    let route =
        "{ path: /a, response: {}, cors: { allow_origins: [\"https://app.example\"], allow_credentials: true } }";
    bench.write("g.yaml", &format!("version: \"1.0\"\nissuers: [{issuer}]\nroutes: [{route}]\n"));
    for (method, origin, code, expected) in [
        (
            "POST",
            "https://evil.example",
            2,
            "deny 403 FORBIDDEN, by rule ANY /a, reason origin_foreign (origin https://evil.example)",
        ),
        (
            "POST",
            "https://app.example",
            0,
            "authenticate  the token is in a cookie: the CORS policy allows this origin's credentials",
        ),
        ("GET", "https://evil.example", 0, "authenticate  the token is in a cookie: the method is safe"),
    ] {
        let origin_line = format!("Origin: {origin}");
        let ran = bench.run(&["explain", "g.yaml", method, "/a", "--claims", "{}", "--header", &origin_line]);
        assert_eq!(ran.code, code, "{method} {origin}\n{}\n{}", ran.out, ran.err);
        assert!(ran.out.contains(expected), "{method} {origin}: {}", ran.out);
    }
}

#[test]
fn explain_accepts_a_hypothetical_certificate() {
    let bench = Bench::new("explain_certificate");
    let client =
        |id: &str, name: &str| format!("  - {{ id: {id}, owner: o, purpose: p, certificates: [{{ {name} }}] }}\n");
    let digits = "ab".repeat(32);
    let clients = client("a", "spiffe: \"spiffe://x/a\"")
        + &client("b", "dns: b.example.com")
        + &client("c", &format!("sha256: {digits}"));
    let route = "routes: [{ path: /a, auth: { any_of: [certificate] }, response: {} }]\n";
    bench.write("g.yaml", &format!("version: \"1.0\"\nclients:\n{clients}{route}"));
    for (name, code, expected) in [
        ("spiffe://x/a", 0, "client a by its certificate"),
        ("B.example.com", 0, "client b by its certificate"),
        (&digits, 0, "client c by its certificate"),
        ("spiffe://x/b", 2, "reason certificate_unknown"),
        ("*.example.com", 64, ""),
    ] {
        let ran = bench.run(&["explain", "g.yaml", "GET", "/a", "--certificate", name]);
        assert_eq!(ran.code, code, "{name}\n{}\n{}", ran.out, ran.err);
        assert!(ran.out.contains(expected), "{name}: {}", ran.out);
    }
}

#[test]
fn explain_does_not_verify_a_hypothetical_token() {
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
fn explain_reports_that_responses_become_json_api_documents() {
    let bench = Bench::new("explain_jsonapi");
    let routes = "[{ path: /a, auth: none, upstream: a, jsonapi: { type: t } }, { path: /b, auth: none, upstream: a }]";
    bench.write("g.yaml", &format!("version: \"1.0\"\nupstreams: {{ a: }}\nroutes: {routes}\n"));
    let stated = |path: &str, more: &[&str]| {
        let ran = bench.run(&[&["explain", "g.yaml", "GET", path], more].concat());
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.out
    };
    let line = "forward    to upstream a; responses become JSON:API documents\n";
    assert!(stated("/a", &[]).contains(line), "{}", stated("/a", &[]));
    assert!(!stated("/b", &[]).contains("JSON:API"));
    // The content type of the request, here gRPC, does not decide whether the response is mapped.
    assert!(stated("/a", &["--header", "content-type: application/grpc"]).contains(line));
    let report: Value = serde_json::from_str(&stated("/a", &["--json"])).unwrap();
    let last = report["stages"].as_array().unwrap().last().unwrap();
    assert_eq!(last["finding"], "to upstream a; responses become JSON:API documents");
}
