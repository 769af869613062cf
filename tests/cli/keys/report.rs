//! Tests the content of a report on clients and their keys, and that a modified audit trail is detected.

use serde_json::{Value, json};

use crate::Bench;

#[test]
fn a_report_shows_owners_and_findings() {
    let bench = Bench::of_keys("keys-report");
    bench.write("owners.txt", "payments@example.com\n");
    let at = ["--at", "2097-12-15T00:00:00Z"];
    let report = ["keys", "report", "gateway.yaml", "--owners", "owners.txt"];
    let ran = bench.run(&[&report[..], &at[..]].concat());
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (
            0,
            "CLIENT   KEY                    STATE         CREATED     AGE         EXPIRES     ROTATED  OWNER                 PURPOSE\n\
             billing  pck_test_bill0000ing1  expires soon  2024-01-01  27012 days  2098-01-01  -        payments@example.com  settles orders\n\
             reports  -                      -             -           -           -           -        finance@example.com   reads\n\
             \nexpire within 30 days\n  billing pck_test_bill0000ing1 (payments@example.com)\n\
             \nolder than 365 days\n  billing pck_test_bill0000ing1 (payments@example.com)\n\
             \nowner not in owners.txt\n  reports (finance@example.com)\n"
        )
    );
    let quiet = ["--at", "2024-06-01T00:00:00Z", "--expiring-within", "7d", "--older-than", "200d"];
    let ran = bench.run(&[&["keys", "report", "gateway.yaml"], &quiet[..]].concat());
    assert_eq!(ran.out.lines().count(), 3, "{}", ran.out);
    let ran = bench.run(&[&report[..], &at[..], &["--json"]].concat());
    let said: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(said["clients"][0]["keys"][0]["age_days"], 27012);
    assert_eq!(said["clients"][0]["keys"][0]["state"], "expires soon");
    assert_eq!(
        said["expiring"],
        json!([{ "client": "billing", "owner": "payments@example.com", "prefix": "pck_test_bill0000ing1" }])
    );
    assert_eq!(said["unowned"], json!([{ "client": "reports", "owner": "finance@example.com", "prefix": null }]));
    assert_eq!((&said["without_expiry"], &said["trail"]), (&json!([]), &Value::Null));
    bench.write("polling.yaml", super::POLLING);
    let alone = bench.run(&["keys", "report", "clients.json", "--json", "--gateway", "polling.yaml"]);
    let said: Value = serde_json::from_str(&alone.out).unwrap();
    assert_eq!(said["without_expiry"][0]["prefix"], "pck_test_bill0000ing1");
}

#[test]
fn a_modified_trail_is_detected() {
    let bench = Bench::of_keys("keys-trail");
    let why = ["--by", "alice", "--reason", "because"];
    let run = |arguments: &[&str]| {
        let ran = bench.run(&[&["keys"], arguments, &why[..]].concat());
        assert_eq!(ran.code, 0, "{}", ran.err);
    };
    run(&["create", "gateway.yaml", "--client", "reports", "--expires", "2099-01-01T00:00:00Z"]);
    run(&["rotate", "gateway.yaml", "--client", "billing", "--expires", "2099-01-01T00:00:00Z"]);
    run(&["revoke", "gateway.yaml", "--key", "b-1"]);
    let (text, trail) = (bench.read("gateway.yaml"), bench.read("gateway.audit.jsonl"));
    let check = |expected: Option<&str>| {
        let ran = bench.run(&["keys", "report", "gateway.yaml", "--trail"]);
        assert_eq!(ran.code, i32::from(expected.is_some()), "{expected:?}: {}{}", ran.out, ran.err);
        assert!(
            ran.out.contains(expected.unwrap_or("3 entries, no problems, last sha256:")),
            "{expected:?}: {}",
            ran.out
        );
    };
    check(None);
    let lines: Vec<&str> = trail.lines().collect();
    for (touched, expected) in [
        (trail.replacen("alice", "mallo", 1), "line 2 does not continue the line before it"),
        (format!("{}\n{}\n", lines[0], lines[2]), "line 2 does not continue"),
        (format!("{}\n{}\n{}\n", lines[1], lines[0], lines[2]), "line 1 does not continue"),
        (format!("{}\n{}\n", lines[1], lines[2]), "line 1 does not continue"),
        (format!("{trail}nonsense\n"), "line 4 is not a JSON object"),
    ] {
        bench.write("gateway.audit.jsonl", &touched);
        check(Some(expected));
    }
    bench.write("gateway.audit.jsonl", &trail);
    let unrevoked: String =
        text.lines().filter(|line| !line.contains("revoked:")).map(|line| format!("{line}\n")).collect();
    bench.write("gateway.yaml", &unrevoked);
    check(Some("key pck_test_bill0000ing1 of client `billing` was revoked by alice at "));
    let cut = format!("{}\n{}\n", lines[0], lines[1]);
    bench.write("gateway.audit.jsonl", &cut);
    let replaced = serde_json::from_str::<Value>(lines[1]).unwrap()["replaces_until"].as_str().unwrap().to_string();
    bench.write("gateway.yaml", &unrevoked.replace(&replaced, "2098-01-01T00:00:00Z"));
    check(Some("key pck_test_bill0000ing1 is valid after "));
    // The command reports a broken audit trail, but still revokes the key.
    bench.write("gateway.yaml", &unrevoked);
    bench.write("gateway.audit.jsonl", &cut.replacen("alice", "mallo", 1));
    let ran = bench.run(&[&["keys", "revoke", "gateway.yaml", "--key", "b-1"], &why[..]].concat());
    assert!(ran.code == 0 && ran.err.contains("gateway.audit.jsonl: line 2 does not continue"), "{}", ran.err);
    std::fs::remove_file(bench.0.join("gateway.audit.jsonl")).unwrap();
    let ran = bench.run(&["keys", "report", "gateway.yaml", "--trail"]);
    assert!(ran.code == 1 && ran.err.contains("this trail does not exist"), "{}", ran.err);
}
