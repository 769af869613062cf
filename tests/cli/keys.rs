//! That keys which were made open what they should, that nothing but the key itself holds the key, and what a list tells.

use crate::Bench;

const DOCUMENT: &str = r#"version: "1.0"
environment: test
api_keys: { from: [{ header: X-API-Key }] }
routes:
  - { path: /a, auth: { any_of: [api_key] }, response: { body: {} } }
clients:
  - id: billing
    owner: payments@example.com
    purpose: settles orders
    keys:
"#;

const CREATE: [&str; 10] =
    ["keys", "create", "--client", "billing", "--environment", "test", "--by", "alice", "--reason", "first key"];

#[test]
fn a_key_that_was_made_opens_what_its_record_allows() {
    let bench = Bench::new("keys-create");
    std::fs::remove_file(bench.0.join("trail.jsonl")).ok();
    let create = [&CREATE[..], &["--expires", "2099-01-01T00:00:00Z", "--trail", "trail.jsonl"]].concat();
    let (first, second) = (bench.run(&create), bench.run(&create));
    assert_eq!((first.code, second.code), (0, 0), "{}", first.err);
    let key = first.out.trim();
    assert!(key.starts_with("pck_test_") && key.lines().count() == 1, "{key}");
    assert_ne!(first.out, second.out);
    let secret = key.rsplit('_').next().unwrap();
    let trail = bench.read("trail.jsonl");
    assert!(!first.err.contains(secret) && !trail.contains(secret), "only standard output has the key");
    assert_eq!(trail.lines().count(), 2, "one line a deed: {trail}");
    let deed: serde_json::Value = serde_json::from_str(trail.lines().next().unwrap()).unwrap();
    assert_eq!((&deed["action"], &deed["client"], &deed["by"]), (&"create".into(), &"billing".into(), &"alice".into()));
    let record = first.err.split_once(":\n").unwrap().1;
    let record: String = record.lines().map(|line| format!("      {line}\n")).collect();
    bench.write("keys.yaml", &format!("{DOCUMENT}{record}"));
    let ask = |key: &str| bench.run(&["explain", "keys.yaml", "GET", "/a", "--header", &format!("X-API-Key: {key}")]);
    let allowed = ask(key);
    assert_eq!(allowed.code, 0, "{}{}", allowed.out, allowed.err);
    assert!(allowed.out.contains("\"client\":\"billing\""), "{}", allowed.out);
    assert!(ask(second.out.trim()).code == 2 && ask("nonsense").code == 2 && ask("").code == 2);
    let late =
        ["explain", "keys.yaml", "GET", "/a", "--header", &format!("X-API-Key: {key}"), "--at", "2099-01-01T00:00:00Z"];
    assert!(bench.run(&late).out.contains("api_key_expired"));
    let listed = bench.run(&["keys", "list", "keys.yaml", "--at", "2098-12-30T00:00:00Z"]);
    assert!(listed.out.contains("ends soon") && listed.out.contains("payments@example.com"), "{}", listed.out);
    assert!(!listed.out.contains(secret) && bench.run(&["keys", "list", "keys.yaml"]).out.contains("holds"));
}

#[test]
fn a_key_says_who_why_and_until_when() {
    let bench = Bench::new("keys-refused");
    for (arguments, code) in [
        (CREATE.to_vec(), 64),
        ([&CREATE[..], &["--expires", "2020-01-01T00:00:00Z"]].concat(), 1),
        ([&CREATE[..], &["--expires", "tomorrow"]].concat(), 64),
        ([&CREATE[..], &["--expires", "2099-01-01T00:00:00Z", "--trail", "no/such/folder"]].concat(), 1),
    ] {
        let ran = bench.run(&arguments);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{arguments:?}: {}", ran.err);
    }
}
