//! Tests the output of `revocation check`, and how `explain` uses a revocation list.

use crate::Bench;

#[test]
fn a_list_is_checked_before_gateways_fetch_it() {
    let bench = Bench::new("revocation");
    let list = |entries: &str| format!("{{\"version\": \"1.0\", \"revoked\": [\n{entries}]}}\n");
    bench.write("listed.yaml", &(crate::GATEWAY.to_owned() + LIST));
    for (entries, code, out, err) in [
        (r#"{"jti": "a"}"#, 0, "list.json: 1 entry, no problems\n", ""),
        (r#"{"jti": "a"}, {"jti": "b", "expires": 5}"#, 0, "1 entry", "1 entries have expired"),
        (r#"{"jti": "a"}, {"jti": "b"}, {"jti": "c"}"#, 1, "", "has 3 entries, but gateways accept at most 2"),
        (
            r#"{"jti": "a", "issuer": "https://other.example/"}"#,
            0,
            "1 entry",
            "list.json:2:24: revoked[0].issuer: note: no issuer `https://other.example/` in listed.yaml",
        ),
        ("{\"jti\": \"a\"},\n{\"sub\": \"b\"}", 1, "", "list.json:3:1: revoked[1]: `sub` needs the `issuer`"),
        (r#"{"jti": "a", "jti": "b"}"#, 1, "", "list.json:2:14: document: `jti` is repeated"),
        ("{jti: a}", 1, "", "list.json:2:2: document: not JSON, the format that gateways fetch: key must be a string"),
        (
            r#"{"jti": "a", "expires": "2026-03-01T10:00:00Z"}"#,
            1,
            "",
            "revoked[0].expires: expected a number of seconds since",
        ),
    ] {
        bench.write("list.json", &list(entries));
        let ran = bench.run(&["revocation", "check", "list.json", "--gateway", "listed.yaml"]);
        assert_eq!(ran.code, code, "{entries}\n{}\n{}", ran.out, ran.err);
        assert!(ran.out.contains(out) && ran.err.contains(err), "{entries}\n{}\n{}", ran.out, ran.err);
    }
}

#[test]
fn unknown_names_in_a_revocation_list_are_reported() {
    let bench = Bench::new("revocation_strangers");
    let clients = "clients:\n- { id: billing, owner: o, purpose: p }\n";
    bench.write("inline.yaml", &(crate::GATEWAY.to_owned() + LIST + clients));
    bench.write("polling.yaml", &(crate::GATEWAY.to_owned() + LIST + POLLED));
    for (entry, gateway, err) in [
        (r#"{"client": "billing"}"#, "inline.yaml", ""),
        (
            r#"{"client": "biling", "key": "k"}"#,
            "inline.yaml",
            "list.json:2:1: revoked[0]: note: no client `biling` (did you mean `billing`?) in inline.yaml\n",
        ),
        (
            r#"{"client": "billing", "key": "k"}"#,
            "inline.yaml",
            "list.json:2:1: revoked[0]: note: no key `k` of client `billing` in inline.yaml\n",
        ),
        (r#"{"client": "biling"}"#, "polling.yaml", ""),
    ] {
        bench.write("list.json", &format!("{{\"version\": \"1.0\", \"revoked\": [\n{entry}]}}\n"));
        let ran = bench.run(&["revocation", "check", "list.json", "--gateway", gateway]);
        assert_eq!((ran.code, ran.err.as_str()), (0, err), "{entry}");
    }
}

#[test]
fn explain_uses_a_revocation_list() {
    let bench = Bench::new("explain_revoked");
    bench.write("listed.yaml", &(crate::GATEWAY.to_owned() + LIST));
    bench.write("list.json", r#"{"version": "1.0", "revoked": [{"jti": "a"}]}"#);
    bench.write("broken.json", r#"{"revoked": []}"#);
    let claims = |jti: &str| format!(r#"{{"jti":"{jti}","sub":"u1","org_id":"o1","scope":"read:orders"}}"#);
    let run = |jti: &str, more: &[&str]| {
        let claims = claims(jti);
        let mut all = vec!["explain", "listed.yaml", "GET", "/orders/1", "--issuer", "accounts", "--claims", &claims];
        all.extend(more);
        bench.run(&all)
    };
    let refused = run("a", &["--revoked", "list.json"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.out.contains("reason token_revoked"), "{}", refused.out);
    assert_eq!(run("b", &["--revoked", "list.json"]).code, 0);
    let broken = run("a", &["--revoked", "broken.json"]);
    assert_eq!(broken.code, 1);
    assert_eq!(broken.err, "broken.json:1:1: document: `version` is missing\n");
    let unlisted = run("a", &[]);
    assert_eq!(unlisted.code, 0);
    assert!(unlisted.err.contains("no --revoked"), "{}", unlisted.err);
}

const LIST: &str = "revocation: { uri: https://auth.example.com/revocations.json, cluster: auth, max_entries: 2 }\n";
const POLLED: &str = "clients_from: { uri: https://auth.example.com/clients.json, cluster: auth }\n";
