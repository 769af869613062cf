//! Tests valid, invalid and malicious key sets.

use super::*;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

/// Returns the EC key of RFC 7515 A.3. The next functions return the keys of RFC 8037 A.2 and RFC 7520 §3.3, and a symmetric key
/// of 32 bytes.
fn ec() -> Value {
    json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})
}

fn okp() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
}

fn rsa() -> Value {
    json!({"kty": "RSA", "e": "AQAB", "n": "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0\
        VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1\
        FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__\
        kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw"})
}

fn oct() -> Value {
    json!({"kty": "oct", "k": "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg"})
}

/// Returns the key with these members replaced; `null` removes a member.
fn with(mut key: Value, members: Value) -> Value {
    for (name, value) in members.as_object().expect("an object") {
        match value {
            Value::Null => key.as_object_mut().expect("a key").remove(name),
            value => key.as_object_mut().expect("a key").insert(name.clone(), value.clone()),
        };
    }
    key
}

fn parse(keys: &[Value], source: KeySource) -> (KeySet, Vec<SkippedKey>) {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes(), source).expect("a key set")
}

#[test]
fn unusable_keys_are_skipped_and_the_others_stay() {
    use SkipReason::*;
    let n_of = |bytes: usize| URL_SAFE_NO_PAD.encode(vec![0xff; bytes]);
    let cases = [
        ("no object", json!("key"), NotAnObject),
        ("no kty", with(ec(), json!({"kty": null})), BadMember("kty")),
        ("kty of the wrong type", with(ec(), json!({"kty": 1})), BadMember("kty")),
        ("kty in the wrong case", with(ec(), json!({"kty": "ec"})), UnknownKeyType("ec".into())),
        ("an unknown kty", json!({"kty": "AKP", "alg": "PS256", "pub": "AA"}), UnknownKeyType("AKP".into())),
        (
            "an unknown alg",
            json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}),
            UnknownAlgorithm("ML-DSA-44".into()),
        ),
        ("kid of the wrong type", with(ec(), json!({"kid": 7})), BadMember("kid")),
        ("an unknown curve", with(ec(), json!({"crv": "secp256k1"})), UnknownCurve("secp256k1".into())),
        ("X25519, which cannot sign", with(okp(), json!({"crv": "X25519"})), UnknownCurve("X25519".into())),
        ("Ed448", with(okp(), json!({"crv": "Ed448"})), UnknownCurve("Ed448".into())),
        ("an encryption key", with(rsa(), json!({"use": "enc"})), NotForVerifying),
        ("use of the wrong type", with(rsa(), json!({"use": ["sig"]})), BadMember("use")),
        ("operations without verify", with(ec(), json!({"key_ops": ["sign"]})), NotForVerifying),
        ("no operations", with(ec(), json!({"key_ops": []})), NotForVerifying),
        ("operations of the wrong type", with(ec(), json!({"key_ops": "verify"})), BadMember("key_ops")),
        ("an encryption algorithm", with(rsa(), json!({"alg": "RSA-OAEP"})), UnknownAlgorithm("RSA-OAEP".into())),
        ("the algorithm none", with(rsa(), json!({"alg": "none"})), UnknownAlgorithm("none".into())),
        ("an algorithm of another type", with(rsa(), json!({"alg": "ES256"})), AlgorithmMismatch(Algorithm::Es256)),
        ("an algorithm of another curve", with(ec(), json!({"alg": "ES384"})), AlgorithmMismatch(Algorithm::Es384)),
        ("HMAC with a public key", with(rsa(), json!({"alg": "HS256"})), AlgorithmMismatch(Algorithm::Hs256)),
        ("a private EC key", with(ec(), json!({"d": "AQ"})), PrivateKey),
        ("a private RSA key", with(rsa(), json!({"d": "AQ"})), PrivateKey),
        ("a prime of an RSA key", with(rsa(), json!({"p": "AQ"})), PrivateKey),
        ("a private Ed25519 key", with(okp(), json!({"d": "AQ"})), PrivateKey),
        ("a published secret", oct(), PublishedSecret),
        ("1024 bits", with(rsa(), json!({"n": n_of(128)})), RsaSize(1024)),
        ("2047 bits", with(rsa(), json!({"n": format!("f{}", n_of(256).split_at(1).1)})), RsaSize(2047)),
        ("8200 bits", with(rsa(), json!({"n": n_of(1025)})), RsaSize(8200)),
        ("no modulus", with(rsa(), json!({"n": null})), BadMember("n")),
        ("an empty modulus", with(rsa(), json!({"n": ""})), RsaSize(0)),
        ("an even modulus", with(rsa(), json!({"n": format!("{}g", n_of(256).split_at(341).0)})), RsaNumbers),
        ("exponent 0", with(rsa(), json!({"e": "AA"})), RsaNumbers),
        ("exponent 1", with(rsa(), json!({"e": "AQ"})), RsaNumbers),
        ("an even exponent", with(rsa(), json!({"e": "AQAA"})), RsaNumbers),
        ("an exponent of 40 bits", with(rsa(), json!({"e": "_____w8"})), RsaNumbers),
        ("padded base64", with(rsa(), json!({"e": "AQAB="})), BadMember("e")),
        (
            "base64 of the other alphabet",
            with(ec(), json!({"x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVE+"})),
            BadMember("x"),
        ),
        (
            "white space in base64",
            with(okp(), json!({"x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\n"})),
            BadMember("x"),
        ),
        (
            "stray bits in base64",
            with(ec(), json!({"x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEV"})),
            BadMember("x"),
        ),
        ("a short coordinate", with(ec(), json!({"y": "AQAB"})), BadMember("y")),
        ("a point off the curve", with(ec(), json!({"y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a4"})), BadPoint),
        ("the point 0, 0", with(ec(), json!({"x": "A".repeat(43), "y": "A".repeat(43)})), BadPoint),
        ("a P-256 point as P-384", with(ec(), json!({"crv": "P-384"})), BadMember("x")),
        ("a short Ed25519 key", with(okp(), json!({"x": "AQAB"})), BadMember("x")),
        ("an Ed25519 key of order 1", with(okp(), json!({"x": format!("AQ{}", "A".repeat(41))})), BadPoint),
        ("an Ed25519 key of order 4", with(okp(), json!({"x": "A".repeat(43)})), BadPoint),
        ("no Ed25519 point", with(okp(), json!({"x": format!("Ag{}", "A".repeat(41))})), BadPoint),
    ];
    for (name, bad, reason) in cases {
        let bad = if bad.get("kid").is_some() || !bad.is_object() { bad } else { with(bad, json!({"kid": "bad"})) };
        let kid = bad.get("kid").and_then(Value::as_str).map(str::to_owned);
        let (set, skipped) =
            parse(&[with(ec(), json!({"kid": "good"})), bad, with(okp(), json!({"kid": "too"}))], KeySource::Remote);
        assert_eq!(skipped, [SkippedKey { index: 1, kid, reason }], "{name}");
        assert!(set.len() == 2 && set.has_kid("good") && set.has_kid("too") && !set.has_kid("bad"), "{name}");
    }
}

#[test]
fn valid_key_variants_are_accepted() {
    let cases = [
        with(rsa(), json!({"alg": "PS256", "use": "sig", "x5c": ["MII"], "x5t": 1, "issuer": "https://a"})),
        with(rsa(), json!({"e": "Aw"})),
        // Some libraries write a zero byte before the modulus (RFC 7518 §6.3.1.1).
        with(
            rsa(),
            json!({"n": URL_SAFE_NO_PAD.encode([&[0][..], &URL_SAFE_NO_PAD.decode(rsa()["n"].as_str().expect("n")).expect("n")].concat())}),
        ),
        with(ec(), json!({"key_ops": ["verify"]})),
        with(ec(), json!({"key_ops": ["sign", "verify"], "kid": ""})),
        okp(),
    ];
    for key in cases {
        let (set, skipped) = parse(std::slice::from_ref(&key), KeySource::Remote);
        assert_eq!((set.len(), skipped), (1, vec![]), "{key}");
    }
}

#[test]
fn secrets_are_accepted_only_from_the_configuration_and_only_if_long_enough() {
    let (set, skipped) = parse(&[oct(), with(oct(), json!({"k": "c2hvcnQ"}))], KeySource::Inline);
    assert_eq!((set.len(), &skipped[0].reason), (1, &SkipReason::WeakSecret(5)));
    let (set, skipped) = parse(&[with(oct(), json!({"alg": "HS512"}))], KeySource::Inline);
    assert_eq!((set.len(), &skipped[0].reason), (0, &SkipReason::AlgorithmMismatch(Algorithm::Hs512)));

    assert_eq!(KeySet::from_secret(&[7; 31]).expect_err("too short"), WeakSecret { bytes: 31 });
    for (bytes, accepted) in [(32, 1), (47, 1), (48, 2), (63, 2), (64, 3), (500, 3)] {
        let set = KeySet::from_secret(&vec![7; bytes]).expect("long enough");
        let fitting = Algorithm::ALL.into_iter().filter(|alg| set.candidates(Some("any"), *alg).count() == 1);
        assert_eq!(fitting.filter(|alg| alg.is_symmetric()).count(), accepted, "{bytes} bytes");
    }
}

#[test]
fn candidates_match_by_kid_and_algorithm() {
    let named = |kid: &str, key: Value| with(key, json!({ "kid": kid }));
    let keys = [
        named("a", rsa()),
        named("b", with(rsa(), json!({"alg": "RS256"}))),
        named("c", ec()),
        named("c", okp()), // RFC 7517 §4.5: one kid may name keys of several types
        named("a", rsa()),
    ];
    let (set, _) = parse(&keys, KeySource::Remote);
    let cases = [
        (Some("a"), Algorithm::Rs256, 2),
        (Some("a"), Algorithm::Ps512, 2),
        (Some("b"), Algorithm::Rs256, 1),
        (Some("b"), Algorithm::Ps256, 0),
        (Some("b"), Algorithm::Rs512, 0),
        (Some("c"), Algorithm::Es256, 1),
        (Some("c"), Algorithm::EdDsa, 1),
        (Some("c"), Algorithm::Es512, 0),
        (Some("c"), Algorithm::Hs256, 0),
        (Some("A"), Algorithm::Rs256, 0),
        (Some(""), Algorithm::Rs256, 0),
        (None, Algorithm::Rs256, 3),
        (None, Algorithm::Es256, 1),
        (None, Algorithm::Hs256, 0),
    ];
    for (kid, alg, count) in cases {
        assert_eq!(set.candidates(kid, alg).count(), count, "{kid:?} {alg}");
    }
    let (set, _) = parse(&[ec(), named("c", ec())], KeySource::Remote);
    assert_eq!(set.candidates(Some("other"), Algorithm::Es256).count(), 1, "a key without `kid` matches any `kid`");
    assert!(!set.has_kid("other") && set.has_kid("c"));
    let kids: Vec<_> = set.candidates(Some("c"), Algorithm::Es256).map(VerifyingKey::kid).collect();
    assert_eq!(kids, [Some("c"), None], "the key with the requested `kid` comes first");
}

#[test]
fn a_text_that_is_not_a_key_set_is_an_error() {
    let keys = |count| json!({"keys": vec![json!({}); count]}).to_string().into_bytes();
    let long = format!(r#"{{"keys":[]{}}}"#, " ".repeat(MAX_BYTES)).into_bytes();
    let deep = format!(r#"{{"keys":{}"#, "[".repeat(1000)).into_bytes();
    let cases: [(&str, Vec<u8>, JwksError); 11] = [
        ("nothing", b"".to_vec(), JwksError::Malformed(Malformed::Syntax)),
        ("a web page", b"<html>".to_vec(), JwksError::Malformed(Malformed::Syntax)),
        ("bytes", vec![0xff, 0xfe], JwksError::Malformed(Malformed::NotUtf8)),
        ("no keys", b"{}".to_vec(), JwksError::NoKeys),
        ("a bare list", b"[]".to_vec(), JwksError::NoKeys),
        ("keys of the wrong type", br#"{"keys":{}}"#.to_vec(), JwksError::NoKeys),
        ("an error of the issuer", br#"{"error":"not_found"}"#.to_vec(), JwksError::NoKeys),
        (
            "two lists",
            br#"{"keys":[],"keys":[]}"#.to_vec(),
            JwksError::Malformed(Malformed::DuplicateMember("keys".into())),
        ),
        ("too deep", deep, JwksError::Malformed(Malformed::TooDeep)),
        ("too many", keys(MAX_KEYS + 1), JwksError::TooManyKeys(MAX_KEYS + 1)),
        ("too long", long.clone(), JwksError::TooLarge(long.len())),
    ];
    for (name, text, want) in cases {
        assert_eq!(KeySet::parse(&text, KeySource::Remote).map(|_| ()), Err(want), "{name}");
    }
    let (set, skipped) = KeySet::parse(&keys(MAX_KEYS), KeySource::Remote).expect("the maximum number of keys");
    assert_eq!((set.is_empty(), skipped.len()), (true, MAX_KEYS));
}

#[test]
fn debug_output_of_keys_shows_no_secret() {
    let (set, _) = parse(&[with(oct(), json!({"kid": "shared"})), ec()], KeySource::Inline);
    let shown = format!("{set:?}{set:#?}");
    assert!(shown.contains("shared") && shown.contains("oct"));
    for secret in ["hJtXIZ2u", "84, 9b", "132, 155", "849b", "f83OJ3D2"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
