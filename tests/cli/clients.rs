//! Tests the output of `clients check`, and how `explain` uses a document of clients.

use crate::Bench;

#[test]
fn a_document_of_clients_is_checked_before_gateways_fetch_it() {
    let bench = Bench::new("clients");
    bench.write("polling.yaml", POLLING);
    let client = |more: &str| format!(r#"{{"id": "a", "owner": "o", "purpose": "p"{more}}}"#);
    let (alone, polling) = (&[][..], &["--gateway", "polling.yaml"][..]);
    for (clients, gateway, code, out, err) in [
        (client(""), polling, 0, "clients.json: 1 client, 0 keys, no problems\n", ""),
        (client(KEY), polling, 0, "clients.json: 1 client, 1 key, no problems\n", ""),
        (
            client(&KEY.replace("\"id\"", "\"revoked\": \"2026-01-01T00:00:00Z\", \"id\"")),
            alone,
            0,
            "1 key",
            "1 key is revoked or expired and can be removed",
        ),
        (client(r#", "plan": "gold""#), alone, 0, "1 client", ""),
        (
            client(r#", "plan": "glod""#),
            polling,
            1,
            "",
            "clients.json:2:51: clients[0].plan: no plan `glod` (did you mean `gold`?)",
        ),
        (client("") + ",\n" + &client(""), alone, 1, "", "clients.json:3:8: clients[1].id: client `a` is listed twice"),
        (
            client("").replace("\"a\"", "\"own\""),
            polling,
            1,
            "",
            "client `own` of the configuration document is listed twice",
        ),
        (
            client(KEY) + "," + &client("").replace("\"a\"", "\"b\""),
            polling,
            1,
            "",
            "3 clients, keys and certificates, at most 2",
        ),
        (client(""), &["--gateway", "gateway.yaml"], 1, "", "gateway.yaml has no `clients_from`"),
        (client("").replace("purpose", "id"), alone, 1, "", "clients.json:2:27: document: `id` is repeated"),
        (
            "{id: a}".to_string(),
            alone,
            1,
            "",
            "clients.json:2:2: document: not JSON, the format that gateways fetch: key must",
        ),
    ] {
        bench.write("clients.json", &format!("{{\"version\": \"1.0\", \"clients\": [\n{clients}]}}\n"));
        let ran = bench.run(&[&["clients", "check", "clients.json"], gateway].concat());
        assert_eq!(ran.code, code, "{clients}\n{}\n{}", ran.out, ran.err);
        assert!(ran.out.contains(out) && ran.err.contains(err), "{clients}\n{}\n{}", ran.out, ran.err);
    }
}

#[test]
fn explain_uses_a_document_of_clients() {
    let bench = Bench::new("explain_clients");
    bench.write("polling.yaml", POLLING);
    let client = format!(r#"{{"id": "a", "owner": "o", "purpose": "p"{KEY}}}"#);
    bench.write("clients.json", &format!(r#"{{"version": "1.0", "clients": [{client}]}}"#));
    bench.write("broken.json", r#"{"version": "1.0", "clients": [{"id": "a"}]}"#);
    let header = "x-api-key: pck_test_reports00001_Pp0Oo9Ii8Uu7Yy6Tt5Rr4Ee3Ww2Qq1Aa1oLP2S";
    let run =
        |more: &[&str]| bench.run(&[&["explain", "polling.yaml", "GET", "/keys", "--header", header], more].concat());
    let known = run(&["--clients", "clients.json"]);
    assert_eq!(known.code, 0, "{}", known.err);
    assert!(known.out.contains("client a by its key k-1"), "{}", known.out);
    let unlisted = run(&[]);
    assert_eq!(unlisted.code, 2);
    assert!(unlisted.out.contains("reason api_key_unknown"), "{}", unlisted.out);
    assert!(unlisted.err.contains("no --clients"), "{}", unlisted.err);
    let broken = run(&["--clients", "broken.json"]);
    assert_eq!(broken.code, 1);
    assert!(broken.err.contains("broken.json:1:32: clients[0]: `owner` is missing"), "{}", broken.err);
}

#[test]
fn a_cluster_is_generated_for_the_document_of_clients() {
    let bench = Bench::new("generate_clients");
    bench.write("polling.yaml", POLLING);
    let generated = bench.run(&["generate", "envoy", "polling.yaml"]);
    assert_eq!(generated.code, 0, "{}", generated.err);
    assert!(
        generated.out.contains("name: directory") && generated.out.contains("clients.example"),
        "{}",
        generated.out
    );
}

const KEY: &str = r#", "keys": [{"id": "k-1", "prefix": "pck_test_reports00001", "hash": "sha256:00c71de70f0976823f7692d514a534be731a34c5d6a9fff0d3ded6d0af1fe7a3"}]"#;
const POLLING: &str = r#"version: "1.0"
environment: test
api_keys: { from: [{ header: X-API-Key }] }
plans: { gold: { rate: 1/s } }
clients: [{ id: own, owner: o, purpose: p }]
clients_from: { uri: https://clients.example/clients.json, cluster: directory, max_entries: 2 }
routes:
  - { path: /keys, auth: { any_of: [api_key] }, response: { body: {} } }
"#;
