//! Tests that the filter accepts minted tokens, and that `inspect` shows no signature.

use serde_json::{Value, json};

use crate::{Bench, CommandOutput, GATEWAY};

/// Returns the keys of the test harness: the private keys, and a key set of the public keys.
fn test_keys() -> (Vec<Value>, Value) {
    let text = include_str!("../../test-harness/keys/test-only.jwks.json");
    let keys = serde_json::from_str::<Value>(text).unwrap()["keys"].as_array().unwrap().clone();
    let public = |key: &Value| {
        let members = key.as_object().unwrap().iter().filter(|(name, _)| !PRIVATE.contains(&name.as_str()));
        members.map(|(name, value)| (name.clone(), value.clone())).collect::<Value>()
    };
    let published = keys.iter().filter(|k| k["kty"] != "oct" && k["kid"] != "rsa-weak").map(public).collect::<Vec<_>>();
    (keys, json!({ "keys": published }))
}

#[test]
fn the_filter_accepts_minted_tokens() {
    let bench = Bench::new("mint");
    bench.write("gateway.yaml", &GATEWAY.replace("algorithms: [RS256]\n    ", ""));
    let (keys, published) = test_keys();
    bench.write("published.json", &published.to_string());
    for (kid, pem, algorithms) in [
        ("rsa-1", Some("rsa"), &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"][..]),
        ("p256-1", Some("p-256"), &["ES256"]),
        ("p384-1", Some("p-384"), &["ES384"]),
        ("p521-1", Some("p-521"), &["ES512"]),
        ("ed-1", Some("ed25519"), &["EdDSA"]),
        ("hs-1", None, &["HS256"]),
    ] {
        let jwk = keys.iter().find(|key| key["kid"] == kid).unwrap();
        bench.write("key.json", &jwk.to_string());
        let pem = pem.map(|kind| format!("{}/tests/keys/test-only-{kind}.pem", env!("CARGO_MANIFEST_DIR")));
        for (alg, file) in algorithms.iter().flat_map(|alg| [Some("key.json"), pem.as_deref()].map(|file| (alg, file)))
        {
            let Some(file) = file else { continue };
            let common =
                ["token", "mint", "--alg", alg, "--issuer", "https://auth.example.com/", "--audience", "orders-api"];
            let minted =
                bench.run(&[&common[..], &["--key", file, "--scope", "read:orders", "--claim", "org_id=o7"]].concat());
            assert_eq!(minted.code, 0, "{alg} {file}: {}", minted.err);
            let token = minted.out.trim();
            let explain = ["explain", "gateway.yaml", "GET", "/orders/1", "--keys", "published.json", "--token", token];
            let ran = bench.run(&explain);
            if kid == "hs-1" {
                assert_eq!(ran.code, 2, "a published key set contains no shared secrets");
                continue;
            }
            assert_eq!(ran.code, 0, "{alg} {file}: {}{}", ran.out, ran.err);
            assert!(ran.out.contains("x-org-id: o7\n"), "{}", ran.out);
            let later = bench.run(&[&explain[..], &["--at", "2100-01-01T00:00:00Z"]].concat());
            assert!(later.out.contains("EXPIRED_TOKEN"), "{}", later.out);
        }
    }
}

#[test]
fn tokens_signed_with_a_shared_secret_are_accepted() {
    let bench = Bench::new("mint-secret");
    let secret = "a secret of the test that is long enough for HS256";
    let with_secret = |arguments: &[&str]| {
        CommandOutput::from(bench.command(arguments).env("PORTCULLIS_TEST_SECRET", secret).output().unwrap())
    };
    let mint = [
        "token",
        "mint",
        "--secret-env",
        "PORTCULLIS_TEST_SECRET",
        "--issuer",
        "eloquent-gateway",
        "--audience",
        "eloquent-api",
        "--scope",
        "read:orders",
        "--alg",
    ];
    let minted = with_secret(&[&mint[..], &["HS256"]].concat());
    assert_eq!(minted.code, 0, "{}", minted.err);
    let explain =
        ["explain", "gateway.yaml", "GET", "/orders/1", "--keys", "published.json", "--token", minted.out.trim()];
    bench.write("published.json", &test_keys().1.to_string());
    assert_eq!(with_secret(&explain).code, 0);
    assert_eq!(bench.run(&explain).code, 2, "the stand-in for an unset secret verifies no token");
    assert_eq!(with_secret(&[&mint[..], &["HS512"]].concat()).code, 1, "too short for HS512");
    assert_eq!(with_secret(&[&mint[..], &["RS256"]].concat()).code, 1);
    assert_eq!(with_secret(&[&mint[..], &["HS256", "--ttl", "2h"]].concat()).code, 64);
}

#[test]
fn inspecting_a_token_shows_no_signature_and_does_not_verify_it() {
    let bench = Bench::new("inspect");
    let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.eyJpc3MiOiJodHRwczovL2EvIiwiZXhwIjoxfQ.c2lnbmF0dXJl";
    let ran = bench.run(&["token", "inspect", token]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.starts_with("not verified"), "{}", ran.out);
    assert!(ran.out.contains("\"kid\": \"a\"") && ran.out.contains("\"iss\": \"https://a/\""), "{}", ran.out);
    assert!(ran.out.contains(" days ago"), "{}", ran.out);
    assert!(!ran.out.contains("c2lnbmF0dXJl"), "{}", ran.out);
    for bad in ["a.b", "a.b.c", "e30.e30", "e30.W10.x"] {
        let ran = bench.run(&["token", "inspect", bad]);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{bad}");
        assert!(ran.err.starts_with("portcullis: not a JWT: "), "{}", ran.err);
    }
}

/// The configuration of a development environment, with an issuer for the tokens that developers mint.
const DEVELOPMENT: &str = r#"version: "1.0"
environment: development
issuers:
  - name: accounts
    issuer: https://auth.example.com/
    audiences: [orders-api]
    jwks: { uri: https://auth.example.com/jwks.json, cluster: auth }
  - name: developers
    issuer: developers
    audiences: [orders-api, other]
    secret: { env: PORTCULLIS_TEST_SECRET }
    self_issued: true
    environments: [development]
    max_lifetime: 10m
permissions:
  LIC:
    READ_ORDERS: { bit: 0, description: Read licence orders }
    WRITE_ORDERS: { bit: 1, description: Change licence orders }
routes:
  - { path: "/orders/{id}", response: {}, permissions: [LIC.READ_ORDERS] }
  - { path: /orders, method: POST, response: {}, permissions: [LIC.WRITE_ORDERS] }
  - { path: /team, response: {}, issuers: [developers], when: 'claims.team == "red"' }
"#;

const SECRET: &str = "a secret of the test that is long enough for HS256";
const MINT: [&str; 6] = ["token", "mint", "--secret-env", "PORTCULLIS_TEST_SECRET", "--alg", "HS256"];

#[test]
fn developer_tokens_are_short_lived_and_have_separate_issuers() {
    let bench = Bench::new("mint-development");
    bench.write("gateway.yaml", DEVELOPMENT);
    let mint = |arguments: &[&str]| {
        let arguments = [&MINT[..], arguments].concat();
        CommandOutput::from(bench.command(&arguments).env("PORTCULLIS_TEST_SECRET", SECRET).output().unwrap())
    };
    let config = ["--config", "gateway.yaml", "--issuer", "developers"];
    let claims_of = |token: &str| {
        let inspected = bench.run(&["token", "inspect", token.trim()]);
        let claims = inspected.out.split_once("claims\n").unwrap().1.rsplit_once("\n\n").unwrap().0.to_string();
        serde_json::from_str::<Value>(&claims).unwrap()
    };
    let minted = mint(&config);
    assert_eq!((minted.code, minted.err.as_str()), (0, ""));
    let claims = claims_of(&minted.out);
    let lives = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!((&claims["aud"], &claims["iss"], lives), (&json!("orders-api"), &json!("developers"), 600));
    let alone = mint(&["--issuer", "developers", "--audience", "orders-api"]);
    let claims = claims_of(&alone.out);
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 900, "without a document");
    for (arguments, code, expected) in [
        (
            &["--issuer", "developers", "--audience", "a", "--ttl", "16m"][..],
            64,
            "expected 1s to 15m: gateways refuse self-issued tokens",
        ),
        (
            &[&config[..], &["--ttl", "11m"]].concat(),
            1,
            "--ttl: gateway.yaml accepts tokens with a lifetime of at most 600 s from this issuer",
        ),
        (
            &["--config", "gateway.yaml", "--issuer", "accounts"],
            1,
            "issuer `accounts` is not `self_issued`: get its tokens with",
        ),
        (&["--config", "gateway.yaml", "--issuer", "nobody"], 1, "no issuer `nobody` (declared: accounts, developers)"),
        (&["--issuer", "developers"], 64, "--audience <AUD>"),
    ] {
        let ran = mint(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(expected), "{arguments:?}: {}", ran.err);
    }
    let production = DEVELOPMENT.replace("environment: development", "environment: production");
    bench.write("production.yaml", &production.replace("[development]", "[development, production]"));
    let ran = mint(&["--config", "production.yaml", "--issuer", "developers"]);
    assert!(ran.code == 1 && ran.err.contains("are not accepted in `production`"), "{}", ran.err);
}

#[test]
fn a_token_is_inspected_with_the_names_and_rules_of_a_gateway() {
    let bench = Bench::new("inspect-gateway");
    bench.write("gateway.yaml", DEVELOPMENT);
    let with_secret = |arguments: &[&str]| {
        CommandOutput::from(bench.command(arguments).env("PORTCULLIS_TEST_SECRET", SECRET).output().unwrap())
    };
    let claims = ["--claim", "LIC=5", "--claim", "team=red", "--config", "gateway.yaml", "--issuer", "developers"];
    let minted = with_secret(&[&MINT[..], &claims].concat());
    assert_eq!(minted.code, 0, "{}", minted.err);
    let token = minted.out.trim();
    let inspect = ["token", "inspect", token, "--config", "gateway.yaml"];
    let ran = bench.run(&inspect);
    let shown = ran.out.split_once("\npermissions").unwrap().1;
    assert_eq!(
        shown,
        ", as named in gateway.yaml\n  LIC.READ_ORDERS: Read licence orders\n\n\
         routes, as decided by the filter, assuming that the token's signature is valid\n\
         ROUTE             REQUEST          ALLOWED  REASON\n\
         ANY /orders/{id}  GET /orders/any  yes      static_route\n\
         POST /orders      POST /orders     no       permission_missing (permission LIC.WRITE_ORDERS)\n\
         ANY /team         GET /team        yes      static_route\n"
    );
    assert_eq!(ran.err, "note: bit 2 of LIC has no name and grants nothing\n");
    let late = bench.run(&[&inspect[..], &["--at", "2100-01-01T00:00:00Z"]].concat());
    assert!(late.out.contains("GET /team        no       token_expired"), "{}", late.out);
    // With `--keys`, `inspect` verifies the signature instead of assuming that it is valid.
    bench.write("keys.json", &test_keys().1.to_string());
    let real = [&inspect[..], &["--keys", "keys.json"]].concat();
    let ran = with_secret(&real);
    assert!(
        ran.out.contains("decided by the filter\n") && ran.out.contains("GET /team        yes      static_route"),
        "{}",
        ran.out
    );
    let ran = bench.run(&real);
    assert!(ran.out.contains("GET /team        no       token_signature_wrong"), "by another secret: {}", ran.out);
    let stranger = with_secret(&[&MINT[..], &["--issuer", "stranger", "--audience", "a"]].concat());
    let ran = bench.run(&["token", "inspect", stranger.out.trim(), "--config", "gateway.yaml"]);
    assert!(ran.out.ends_with("no issuer in gateway.yaml has this `iss`: routes that require a token refuse it\n"));
}

/// The members of a JWK that must stay secret (RFC 7518 §6).
const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "k"];
