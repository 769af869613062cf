//! Tests the commands that create, rotate, revoke and list API keys; the secret of a key must appear only on standard output.

use serde_json::Value;

use crate::Bench;

mod files;
mod report;

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
fn a_created_key_has_the_access_of_its_record() {
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
    assert_eq!(trail.lines().count(), 2, "one line per change: {trail}");
    let entry: serde_json::Value = serde_json::from_str(trail.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&entry["action"], &entry["client"], &entry["by"]),
        (&"create".into(), &"billing".into(), &"alice".into())
    );
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
    assert!(listed.out.contains("expires soon") && listed.out.contains("payments@example.com"), "{}", listed.out);
    assert!(!listed.out.contains(secret) && bench.run(&["keys", "list", "keys.yaml"]).out.contains("valid"));
}

#[test]
fn a_key_records_author_reason_and_expiry() {
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

/// A configuration with comments, and with clients in both YAML styles, as people write it.
const GATEWAY: &str = r#"version: "1.0"
environment: test
api_keys: { from: [{ header: X-API-Key }] }
clients: # who calls without being a person
  - id: billing   # the night job
    owner: payments@example.com
    purpose: settles orders
    keys:
      # the first of all
      - id: b-1
        prefix: pck_test_bill0000ing1
        hash: "sha256:e9e2de7848614c3ade03610a9cd630406a8b86a674aab267875ae4b35bf5e571"
        created: 2024-01-01T00:00:00Z
        expires: "2098-01-01T00:00:00Z"   # by policy
      # nothing else
  - { id: reports, owner: finance@example.com, purpose: reads } # flow
routes:
  - { path: /a, auth: { any_of: [api_key] }, response: { body: {} } }
"#;

/// A configuration of a gateway that fetches its clients.
const POLLING: &str = r#"version: "1.0"
environment: test
api_keys: { from: [{ header: X-API-Key }] }
clients_from: { uri: "https://clients.example/clients.json", cluster: clients }
routes:
  - { path: /a, auth: { any_of: [api_key] }, response: { body: {} } }
"#;

/// The clients of [`GATEWAY`] in a separate document.
const CLIENTS: &str = r#"{
  "version": "1.0",
  "clients": [
    {
      "id": "billing", "owner": "payments@example.com", "purpose": "settles orders", "permissions": [],
      "keys": [
        { "id": "b-1", "prefix": "pck_test_bill0000ing1", "hash": "sha256:e9e2de7848614c3ade03610a9cd630406a8b86a674aab267875ae4b35bf5e571" }
      ]
    },
    { "id": "reports", "owner": "finance@example.com", "purpose": "reads" }
  ]
}
"#;

const BILLING: &str = "pck_test_bill0000ing1_HsT3cLqXo9vWm2BzYk7RfPd4NaEj8UiG49r4gm";

impl Bench {
    /// Creates a directory with the configuration and the clients, but without an audit trail.
    fn of_keys(name: &str) -> Bench {
        let bench = Bench::new(name);
        for entry in std::fs::read_dir(&bench.0).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        bench.write("gateway.yaml", GATEWAY);
        bench.write("clients.json", CLIENTS);
        bench
    }

    /// Returns `allowed`, or the audit reason for which the gateway refuses a request with this key.
    fn ask(&self, key: &str, at: &str) -> String {
        let header = format!("X-API-Key: {key}");
        let ran = self.run(&["explain", "gateway.yaml", "GET", "/a", "--header", &header, "--at", at, "--json"]);
        assert!(!ran.out.is_empty(), "{}", ran.err);
        let said: Value = serde_json::from_str(&ran.out).unwrap();
        said["audit"]["reason"].as_str().unwrap().replace("static_route", "allowed")
    }

    fn trail_entries(&self, file: &str) -> Vec<Value> {
        self.read(file).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn files(&self) -> Vec<String> {
        let names = std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

/// Returns the lines of `new` that `old` does not have. All lines of `old` must still be there, in order.
fn added(old: &str, new: &str) -> Vec<String> {
    let mut rest = old.lines().peekable();
    let added = new.lines().filter(|line| rest.next_if_eq(line).is_none()).map(str::to_string).collect();
    assert_eq!(rest.next(), None, "lost from\n{new}");
    added
}

#[test]
fn keys_are_created_rotated_and_revoked_in_their_document() {
    let bench = Bench::of_keys("keys-life");
    let why = ["--by", "alice", "--reason", "as agreed in ticket 7"];
    let change = |arguments: &[&str]| bench.run(&[&["keys"], arguments, &why[..]].concat());

    let made = change(&["create", "gateway.yaml", "--client", "reports", "--expires", "2099-01-01T00:00:00Z"]);
    assert_eq!(made.code, 0, "{}", made.err);
    let of_reports = made.out.strip_suffix('\n').unwrap();
    assert!(of_reports.starts_with("pck_test_") && !of_reports.contains('\n'), "{}", made.out);
    let prefix = of_reports.rsplit_once('_').unwrap().0;
    assert_eq!(
        made.err,
        format!("gateway.yaml: client `reports` has the new key {prefix}, valid until 2099-01-01T00:00:00Z\n")
    );
    let text = bench.read("gateway.yaml");
    let flow = "  - { id: reports, owner: finance@example.com, purpose: reads, keys: [{ id: ";
    assert!(text.lines().any(|line| line.starts_with(flow) && line.ends_with(" }] } # flow")), "{text}");
    assert_eq!(bench.ask(of_reports, "2098-12-31T00:00:00Z"), "allowed");
    assert_eq!(bench.ask(of_reports, "2099-01-01T00:00:00Z"), "api_key_expired");

    let rotated = change(&["rotate", "gateway.yaml", "--client", "billing", "--overlap", "2h", "--expires", "90d"]);
    assert_eq!(rotated.code, 0, "{}", rotated.err);
    let next = rotated.out.strip_suffix('\n').unwrap();
    let now = bench.trail_entries("gateway.audit.jsonl")[1]["time"].as_str().unwrap().to_string();
    assert_eq!(
        (bench.ask(next, &now), bench.ask(BILLING, &now)),
        ("allowed".into(), "allowed".into()),
        "both keys are valid"
    );
    let (later, end) =
        ("2098-01-01T00:00:00Z", bench.trail_entries("gateway.audit.jsonl")[1]["replaces_until"].clone());
    assert_eq!(bench.ask(BILLING, end.as_str().unwrap()), "api_key_expired", "the replaced key has expired");
    assert_eq!(bench.ask(next, later), "api_key_expired", "after 90 days");
    let after = bench.read("gateway.yaml");
    let end = format!("        expires: \"{}\"   # by policy", end.as_str().unwrap());
    let new = added(&text.replace("        expires: \"2098-01-01T00:00:00Z\"   # by policy", &end), &after);
    assert_eq!(new.len(), 7, "the record and nothing else: {new:?}");
    assert!(new[0].starts_with("      - id: ") && new[6] == "        reason: as agreed in ticket 7", "{new:?}");

    let revoked = change(&["revoke", "gateway.yaml", "--key", "b-1"]);
    assert_eq!((revoked.code, revoked.out.as_str()), (0, ""), "{}", revoked.err);
    assert_eq!(bench.ask(BILLING, &now), "api_key_revoked");
    assert_eq!(bench.ask(next, &now), "allowed");
    let of_next = next.rsplit_once('_').unwrap().0;
    assert!(change(&["revoke", "gateway.yaml", "--key", of_next]).err.contains("has no valid key left"));
    assert_eq!(bench.ask(next, &now), "api_key_revoked", "the key was revoked by its prefix");

    let entries = bench.trail_entries("gateway.audit.jsonl");
    let values = |name: &str| entries.iter().map(|entry| entry[name].as_str().unwrap().to_string()).collect::<Vec<_>>();
    assert_eq!(values("action"), ["create", "rotate", "revoke", "revoke"]);
    assert_eq!(values("client"), ["reports", "billing", "billing", "billing"]);
    assert_eq!(values("prefix"), [prefix, of_next, "pck_test_bill0000ing1", of_next]);
    assert!(
        values("by").iter().all(|by| by == "alice") && values("reason").iter().all(|r| r == "as agreed in ticket 7")
    );
    for (file, key) in ["gateway.yaml", "gateway.audit.jsonl"].iter().flat_map(|f| [of_reports, next].map(|k| (f, k))) {
        assert!(!bench.read(file).contains(key.rsplit('_').next().unwrap()), "{file} contains a secret");
    }
    assert!(!bench.read("gateway.audit.jsonl").contains("hash"), "the trail contains a hash");
    assert_eq!(bench.files(), ["clients.json", "gateway.audit.jsonl", "gateway.yaml"], "a temporary file is left");
}

#[test]
fn a_document_of_clients_alone_is_edited_as_well() {
    let bench = Bench::of_keys("keys-clients");
    bench.write("polling.yaml", POLLING);
    let file = ["clients.json", "--gateway", "polling.yaml", "--by", "bob", "--reason", "yearly"];
    let run = |arguments: &[&str]| bench.run(&[&["keys", arguments[0]], &file[..], &arguments[1..]].concat());
    let made = run(&["create", "--client", "reports", "--expires", "2099-01-01T00:00:00Z"]);
    assert_eq!((made.code, made.out.lines().count()), (0, 1), "{}", made.err);
    assert!(made.out.starts_with("pck_test_"), "the environment is the gateway's: {}", made.out);
    let rotated = run(&["rotate", "--client", "billing", "--expires", "2099-01-01T00:00:00Z"]);
    assert_eq!(rotated.code, 0, "{}", rotated.err);
    assert_eq!(run(&["revoke", "--client", "billing", "--key", "b-1"]).code, 0);
    let clients: Value = serde_json::from_str(&bench.read("clients.json")).unwrap();
    let keys = clients["clients"][0]["keys"].as_array().unwrap();
    assert_eq!((keys.len(), keys[0]["id"].as_str()), (2, Some("b-1")));
    assert!(keys[0]["revoked"].is_string() && keys[0]["expires"].is_string() && keys[1]["created_by"] == "bob");
    assert_eq!(bench.trail_entries("clients.audit.jsonl").len(), 3);
    let elsewhere = run(&["create", "--client", "reports", "--environment", "tset", "--expires", "9d"]);
    assert!(elsewhere.err.contains("environment is `test`, so it refuses keys for `tset`\n"), "{}", elsewhere.err);
    let alone = bench.run(&["keys", "list", "clients.json"]);
    assert!(alone.out.contains("billing") && alone.err.contains("without --gateway, names of"), "{}", alone.err);
    bench.write("clients.yaml", "version: '1.0'\n# all\nclients:\n- id: a\n  owner: o\n  purpose: p\n");
    let create = ["keys", "create", "clients.yaml", "--client", "a", "--by", "b", "--reason", "r", "--expires", "9d"];
    let needs = bench.run(&create);
    assert_eq!((needs.code, needs.out.as_str()), (1, ""));
    assert!(needs.err.contains("--environment is required"), "{}", needs.err);
    assert_eq!(bench.run(&[&create[..], &["--environment", "test"]].concat()).code, 0);
    assert!(
        bench
            .read("clients.yaml")
            .starts_with("version: '1.0'\n# all\nclients:\n- id: a\n  owner: o\n  purpose: p\n  keys:\n    - id: ")
    );
}

#[test]
fn a_change_that_a_gateway_would_reject_is_not_written() {
    let bench = Bench::of_keys("keys-unchanged");
    let why = ["--by", "alice", "--reason", "because"];
    let create = ["create", "gateway.yaml", "--client", "billing", "--expires", "2097-01-01T00:00:00Z"];
    assert_eq!(bench.run(&[&["keys"], &create[..], &why[..]].concat()).code, 0);
    let (text, trail) = (bench.read("gateway.yaml"), bench.read("gateway.audit.jsonl"));
    let broken = text.replace("path: /a", "path: nowhere");
    bench.write("broken.yaml", &broken);
    bench.write(
        "inside.yaml",
        &format!(
            "kind: WasmPlugin\nspec:\n  pluginConfig:\n{}",
            GATEWAY.replace('\n', "\n    ").replacen("version", "    version", 1)
        ),
    );
    for (arguments, code, expected) in [
        (&create[..], 1, "are valid at the same time, but at most 2 are accepted"),
        (
            &["create", "gateway.yaml", "--client", "biling", "--expires", "9d"],
            1,
            "no client `biling` (did you mean `billing`?)",
        ),
        (
            &["create", "gateway.yaml", "--client", "reports", "--expires", "2020-01-01T00:00:00Z"],
            1,
            "2020-01-01T00:00:00Z is in the past",
        ),
        (
            &["rotate", "gateway.yaml", "--client", "billing", "--expires", "9d"],
            1,
            "--key is required: choose the key to replace (pck_test_",
        ),
        (
            &["rotate", "gateway.yaml", "--client", "billing", "--key", "b-1", "--expires", "9d"],
            1,
            "are valid at the same time",
        ),
        (
            &["rotate", "gateway.yaml", "--client", "reports", "--expires", "9d"],
            1,
            "has no valid key: use `keys create`",
        ),
        (&["revoke", "gateway.yaml", "--key", "b-2"], 1, "no key `b-2` (did you mean `b-1`?)"),
        (&["create", "broken.yaml", "--client", "reports", "--expires", "9d"], 1, "broken.yaml:"),
        (&["create", "inside.yaml", "--client", "reports", "--expires", "9d"], 1, "has no `clients` at its top"),
        (
            &["create", "gateway.yaml", "--gateway", "gateway.yaml", "--client", "reports", "--expires", "9d"],
            1,
            "omit --gateway",
        ),
    ] {
        let ran = bench.run(&[&["keys"], arguments, &why[..]].concat());
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(expected), "{arguments:?}: {}", ran.err);
    }
    for without in ["--reason", "--by"] {
        let revoke = ["keys", "revoke", "gateway.yaml", "--key", "b-1"];
        let given = if without == "--by" { ["--reason", "x"] } else { ["--by", "x"] };
        let ran = bench.command(&[&revoke[..], &given[..]].concat()).env_remove("USER").output().unwrap();
        assert!(!ran.status.success(), "without {without}");
    }
    assert_eq!((bench.read("gateway.yaml"), bench.read("gateway.audit.jsonl")), (text, trail));
    assert_eq!(bench.read("broken.yaml"), broken);
    assert!(!bench.files().iter().any(|name| name.ends_with(".new")), "{:?}", bench.files());
}

#[test]
fn a_reason_can_begin_with_a_dash() {
    let bench = Bench::of_keys("keys-dash");
    for reason in ["- a", "--- x", "-1", "--"] {
        std::fs::remove_file(bench.0.join("t.jsonl")).ok();
        let create =
            ["keys", "create", "--client", "c", "--environment", "test", "--expires", "9d", "--trail", "t.jsonl"];
        let ran = bench.run(&[&create[..], &["--by", "b", "--reason", reason]].concat());
        assert_eq!(ran.code, 0, "{reason}: {}", ran.err);
        assert_eq!(bench.trail_entries("t.jsonl")[0]["reason"], reason);
    }
}
