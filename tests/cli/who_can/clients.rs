//! Tests `who-can` and `can` for clients, and that the filter gives the same verdicts for the clients' real keys.

use serde_json::{Value, json};

use crate::Bench;

const GATEWAY: &str = r#"version: "1.0"
environment: test
issuers:
  - { name: accounts, issuer: "https://auth.example.com/", audiences: [api], jwks: { uri: "https://auth.example.com/jwks", cluster: auth }, require_claims: { product: orders } }
  - { name: partners, issuer: "https://partners.example.com/", audiences: [api], jwks: { uri: "https://partners.example.com/jwks", cluster: auth } }
api_keys: { from: [{ scheme: ApiKey }, { header: X-API-Key }] }
permissions: { LIC: { READ: { bit: 0, description: Read licences }, WRITE: { bit: 1, description: Change licences } } }
clients:
  - id: billing
    owner: payments@example.com
    purpose: settles orders
    plan: gold
    scopes: [read:orders]
    permissions: [LIC.READ]
    token_issuers: [accounts]
    keys:
      - { id: b-1, prefix: pck_test_bill0000ing1, hash: "sha256:e9e2de7848614c3ade03610a9cd630406a8b86a674aab267875ae4b35bf5e571" }
      - { id: b-lost, prefix: pck_test_revoked00001, hash: "sha256:14f1a9762b4032441788a34cf7daff09da1fb62ebadc1567c8090745a46c1d1e", revoked: "2026-01-01T00:00:00Z" }
      - { id: b-live, prefix: pck_production_elsewhere001, hash: "sha256:a28dcd12f34505470f940d387e2b7c53407c382b0f3b097e0911cb45974e19ab" }
    certificates: [{ spiffe: "spiffe://example.com/billing" }]
  - { id: reports, owner: finance@example.com, purpose: reads, scopes: [read:orders, write:orders], keys: [{ id: r-1, prefix: pck_test_reports00001, hash: "sha256:00c71de70f0976823f7692d514a534be731a34c5d6a9fff0d3ded6d0af1fe7a3", expires: "2027-01-01T00:00:00Z" }] }
  - { id: elsewhere, owner: ops@example.com, purpose: is not here, environments: [production] }
routes:
  - { name: read, path: "/orders/{id}", method: GET, response: {}, scopes: [read:orders], auth: { any_of: [token, api_key] } }
  - { name: change, path: "/orders/{id}", method: PUT, response: {}, scopes: [write:orders], auth: { any_of: [api_key] } }
  - { name: licences, path: /licences, response: {}, any_permission: [LIC.READ, LIC.WRITE], auth: { any_of: [api_key, certificate] } }
  - { name: payouts, path: /payouts, response: {}, auth: { all_of: [api_key, certificate] } }
  - { name: both, path: /both, response: {}, auth: { all_of: [token, api_key] }, when: 'client.plan == "gold"' }
  - { name: partners, path: /partners, response: {}, issuers: [partners] }
  - { name: open, path: /open, response: {}, auth: none }
"#;

const AT: [&str; 2] = ["--at", "2026-06-01T00:00:00Z"];

#[test]
fn the_listed_clients_of_a_route_are_those_that_the_filter_accepts() {
    let bench = Bench::new("who-can-clients");
    bench.write("gateway.yaml", GATEWAY);
    let clients = |route: &str| {
        let ran = bench.run(&[&["who-can", "gateway.yaml", "--route", route], &AT[..]].concat());
        assert_eq!(ran.code, 0, "{}", ran.err);
        let lines = ran.out.lines().skip_while(|line| !line.starts_with("  clients"));
        lines.map(|line| line.get(15..).unwrap().to_string()).collect::<Vec<_>>()
    };
    let nothing: [&str; 0] = [];
    for (route, expected) in [
        (
            "read",
            &[
                "billing (plan gold): a token from issuer accounts, or key b-1",
                "reports: a token from issuer accounts, or a token from issuer partners, or key r-1",
            ][..],
        ),
        ("change", &["reports: key r-1"]),
        ("licences", &["billing (plan gold): key b-1, or its certificate"]),
        ("payouts", &["billing (plan gold): key b-1 and its certificate"]),
        ("both", &["billing (plan gold): a token from issuer accounts and key b-1"]),
        ("partners", &["reports: a token from issuer partners"]),
        ("open", &nothing),
    ] {
        assert_eq!(clients(route), expected, "{route}");
    }
    let late = bench.run(&["who-can", "gateway.yaml", "--route", "change", "--at", "2027-01-01T00:00:00Z"]);
    assert!(late.out.contains("  clients      none of the 3 known clients; reasons: "), "{}", late.out);
    let ran = bench.run(&[&["who-can", "gateway.yaml", "--route", "read", "--format", "json"], &AT[..]].concat());
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    let billing = &answer[0]["clients"][0];
    assert_eq!(
        (&billing["client"], &billing["plan"], &billing["allowed"]),
        (&json!("billing"), &json!("gold"), &json!(true))
    );
    let reasons: Vec<_> = billing["by"]
        .as_array()
        .unwrap()
        .iter()
        .map(|verdict| (&verdict["credentials"][0], &verdict["reason"]))
        .collect();
    assert_eq!(
        json!(reasons),
        json!([
            ["a token from issuer accounts", "static_route"],
            ["a token from issuer partners", "token_client_of_another_issuer (client billing)"],
            ["key b-1", "static_route"],
            ["key b-lost", "api_key_revoked (client billing, key b-lost)"],
            ["key b-live", "api_key_of_another_environment (client billing, key b-live)"],
        ])
    );
    let elsewhere = &answer[0]["clients"][2];
    assert_eq!((&elsewhere["client"], &elsewhere["allowed"]), (&json!("elsewhere"), &json!(false)));
    let csv = bench.run(&[&["who-can", "gateway.yaml", "--route", "change", "--format", "csv"], &AT[..]].concat());
    assert_eq!(
        csv.out,
        "route,request,needs,scopes,permissions,claims,when,clients\n\
         change,PUT /orders/{id},an API key,write:orders,,,,reports: key r-1\n"
    );
}

#[test]
fn the_listed_routes_of_a_client_are_those_that_its_key_opens() {
    let bench = Bench::new("can-client");
    bench.write("gateway.yaml", GATEWAY);
    let can = |arguments: &[&str]| bench.run(&[&["can", "gateway.yaml"], &AT[..], arguments].concat());
    let ran = can(&["--client", "billing"]);
    assert_eq!(
        (ran.out.as_str(), ran.err.as_str()),
        (
            "ROUTE     REQUEST          ALLOWED  REASON\n\
             read      GET /orders/any  yes      static_route\n\
             change    PUT /orders/any  no       scope_missing\n\
             licences  GET /licences    yes      static_route\n\
             payouts   GET /payouts     yes      static_route\n\
             both      GET /both        no       token_missing\n\
             partners  GET /partners    no       token_missing\n\
             open      GET /open        yes      static_route\n",
            "client `billing` sends key b-1, its certificate\n"
        )
    );
    // The command decides with a generated key. The filter must give the same verdict for the real key.
    let real = "pck_test_bill0000ing1_HsT3cLqXo9vWm2BzYk7RfPd4NaEj8UiG49r4gm";
    for line in ran.out.lines().skip(1).filter(|line| !line.contains("pay")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let header = format!("X-API-Key: {real}");
        let explain = ["explain", "gateway.yaml", words[1], words[2], "--header", &header, "--json"];
        let said: Value = serde_json::from_str(&bench.run(&[&explain[..], &AT[..]].concat()).out).unwrap();
        assert_eq!(said["audit"]["reason"], words[4], "{line}");
    }
    let both = can(&[
        "--client",
        "billing",
        "--claims",
        r#"{"client_id": "billing", "product": "orders"}"#,
        "--issuer",
        "accounts",
    ]);
    assert!(both.out.contains("both      GET /both        yes"), "{}", both.out);
    let lost = can(&["--client", "billing", "--key", "b-lost"]);
    assert!(lost.out.contains("change    PUT /orders/any  no       api_key_revoked"), "{}", lost.out);
    let none = can(&["--client", "elsewhere"]);
    assert_eq!(none.err, "client `elsewhere` has no key and no certificate to send\n");
    for (arguments, code, expected) in [
        (&["--client", "biling"][..], 1, "no client `biling` (did you mean `billing`?)"),
        (&["--client", "billing", "--key", "b-9"], 1, "client `billing` has no key `b-9`"),
        (&["--key", "b-1"], 64, "--client <ID>"),
        (&[], 64, "--claims <JSON>"),
    ] {
        let ran = can(arguments);
        assert!(ran.code == code && ran.err.contains(expected), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn clients_of_a_polled_document_are_listed_too() {
    let bench = Bench::new("who-can-listed");
    let from = "clients_from: { uri: \"https://clients.example.com/clients.json\", cluster: clients }\n";
    bench.write("gateway.yaml", &GATEWAY.replace("clients:\n", &format!("{from}clients:\n")));
    bench.write(
        "clients.json",
        r#"{ "version": "1.0", "clients": [{ "id": "nightly", "owner": "o", "purpose": "p", "plan": "silver", "scopes": ["write:orders"],
             "keys": [{ "id": "n-1", "prefix": "pck_test_nightly00001", "hash": "sha256:38d0d2916f3dc566fc85ec6db83e8bcf3887784ceee8444170680231677bd1cd" }] }] }"#,
    );
    let ask = ["who-can", "gateway.yaml", "--route", "change", "--clients", "clients.json"];
    let ran = bench.run(&[&ask[..], &AT[..]].concat());
    assert!(
        ran.out.ends_with("  clients      reports: key r-1\n               nightly (plan silver): key n-1\n"),
        "{}{}",
        ran.out,
        ran.err
    );
    let ran =
        bench.run(&[&["can", "gateway.yaml", "--client", "nightly", "--clients", "clients.json"], &AT[..]].concat());
    assert!(ran.out.contains("change    PUT /orders/any  yes"), "{}{}", ran.out, ran.err);
}

/// The simulated token must contain every claim that the gateway requires in tokens from this issuer. Otherwise the filter
/// would refuse every client, and the list would be empty.
#[test]
fn tokens_have_the_claims_that_the_issuer_and_the_upstreams_require() {
    let bench = Bench::new("who-can-bound");
    bench.write(
        "gateway.yaml",
        r#"version: "1.0"
issuers:
  - { name: bank, issuer: "https://bank.example.com/", audiences: [api], jwks: { uri: "https://bank.example.com/jwks", cluster: bank }, require_bound: true }
identity_headers: { X-Org: { claim: org.id, required: true } }
clients:
  - { id: billing, owner: o, purpose: p, certificates: [{ dns: billing.example.com }] }
  - { id: reports, owner: o, purpose: p }
routes:
  - { name: pay, path: /pay, response: {}, auth: required }
"#,
    );
    let ran = bench.run(&[&["who-can", "gateway.yaml", "--route", "pay"], &AT[..]].concat());
    let expected = "  clients      billing: a token from issuer bank bound to its certificate\n               \
                    reports: a token from issuer bank bound to its certificate\n";
    assert!(ran.out.ends_with(expected), "{}{}", ran.out, ran.err);
}
