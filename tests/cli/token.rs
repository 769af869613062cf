//! That minted tokens are those the filter takes, and that `inspect` shows no signature.

use serde_json::{Value, json};

use crate::{Bench, GATEWAY, Ran};

/// The keys of the test harness: private ones by their ids, and the key set of their public halves.
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
fn minted_tokens_are_those_the_filter_takes() {
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
                assert_eq!(ran.code, 2, "a published key set holds no secrets");
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
fn a_shared_secret_signs_what_its_issuer_takes() {
    let bench = Bench::new("mint-secret");
    let secret = "a secret of the test that is long enough for HS256";
    let with_secret = |arguments: &[&str]| {
        Ran::from(bench.command(arguments).env("PORTCULLIS_TEST_SECRET", secret).output().unwrap())
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
    assert_eq!(bench.run(&explain).code, 2, "the stand-in for a secret that is not set signs nothing");
    assert_eq!(with_secret(&[&mint[..], &["HS512"]].concat()).code, 1, "too short for HS512");
    assert_eq!(with_secret(&[&mint[..], &["RS256"]].concat()).code, 1);
    assert_eq!(with_secret(&[&mint[..], &["HS256", "--ttl", "2h"]].concat()).code, 64);
}

#[test]
fn inspecting_a_token_shows_no_signature_and_vouches_for_nothing() {
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

/// Members of a JWK that are not published (RFC 7518 §6).
const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "k"];
