//! Tests every algorithm with signatures made by OpenSSL and with the examples of the RFCs, both unchanged and modified.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{SignatureVerifier, SoftwareVerifier, ecdsa_to_der, host_request};
use crate::policy::credentials::algorithm::Algorithm;
use crate::policy::credentials::jwks::{KeySet, KeySource, VerifyingKey};
#[cfg(target_os = "unknown")]
use wasm_bindgen_test::wasm_bindgen_test as test;

type P256Signature = <jwt_compact::alg::Es256 as jwt_compact::Algorithm>::Signature;

/// A signature and the key that made it.
struct Signed {
    name: String,
    alg: Algorithm,
    key: VerifyingKey,
    spki: Option<Vec<u8>>,
    signature: Vec<u8>,
}

pub fn decode(text: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text.as_str().expect("text")).expect("base64url")
}

pub fn key(jwk: &Value) -> VerifyingKey {
    let document = json!({ "keys": [jwk] }).to_string();
    let (set, skipped) = KeySet::parse(document.as_bytes(), KeySource::Inline).expect("a key set");
    assert_eq!(skipped, [], "{jwk}");
    set.iter().next().expect("one key").clone()
}

/// Returns the signing input and the signatures of a list in `vectors.json`. OpenSSL 3 made the signatures, through Python's
/// `cryptography`. The private keys were deleted and signed nothing else.
fn vectors(list: &str) -> (Vec<u8>, Vec<Signed>) {
    let vectors: Value = serde_json::from_str(VECTORS).expect("vectors");
    let signed = vectors[list].as_array().expect("a list").iter().map(|vector| Signed {
        name: vector["name"].as_str().expect("a name").into(),
        alg: Algorithm::from_name(vector["alg"].as_str().expect("a name")).expect("an algorithm"),
        key: key(&vector["jwk"]),
        spki: vector.get("spki").filter(|spki| spki.is_string()).map(decode),
        signature: decode(&vector["signature"]),
    });
    (vectors["signing_input"].as_str().expect("text").into(), signed.collect())
}

pub const VECTORS: &str = include_str!("vectors.json");

/// Returns the first vector of each algorithm.
fn one_of_each() -> (Vec<u8>, Vec<Signed>) {
    let (input, mut signed) = vectors("good");
    let mut seen = Vec::new();
    signed.retain(|vector| {
        !seen.contains(&vector.alg) && {
            seen.push(vector.alg);
            true
        }
    });
    assert_eq!(seen.len(), Algorithm::ALL.len());
    (input, signed)
}

/// Returns the first two letters of the algorithm: `RS`, `PS`, `ES`, `Ed` or `HS`.
fn family(alg: Algorithm) -> &'static str {
    alg.name().split_at(2).0
}

#[test]
fn openssl_signatures_are_accepted_at_every_key_size() {
    let (input, signed) = vectors("good");
    for Signed { name, alg, key, signature, .. } in &signed {
        assert!(SoftwareVerifier.verify(key, *alg, &input, signature), "{name}");
    }
}

#[test]
fn the_examples_of_the_rfcs_are_accepted() {
    let vectors: Value = serde_json::from_str(VECTORS).expect("vectors");
    let published = vectors["published"].as_array().expect("a list");
    assert_eq!(published.len(), 9);
    for example in published {
        let (name, alg) =
            (&example["name"], example["alg"].as_str().and_then(Algorithm::from_name).expect("an algorithm"));
        let (input, signature) = example["token"].as_str().and_then(|token| token.rsplit_once('.')).expect("a token");
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
        assert!(SoftwareVerifier.verify(&key(&example["jwk"]), alg, input.as_bytes(), &signature), "{name}");
    }
}

#[test]
fn signatures_with_wrong_padding_hash_or_range_are_refused() {
    let (input, signed) = vectors("bad");
    assert!(signed.len() >= 13);
    for Signed { name, alg, key, signature, .. } in &signed {
        assert!(!SoftwareVerifier.verify(key, *alg, &input, signature), "{name}");
    }
}

#[test]
fn every_flipped_bit_of_an_rsa_signature_is_refused() {
    refuses_every_flipped_bit(|alg| alg.name().starts_with(['R', 'P']));
}

#[test]
fn every_flipped_bit_of_any_other_signature_is_refused() {
    refuses_every_flipped_bit(|alg| alg.name().starts_with(['E', 'H']));
}

fn refuses_every_flipped_bit(family: fn(Algorithm) -> bool) {
    let (input, signed) = one_of_each();
    for Signed { name, alg, key, signature, .. } in signed.iter().filter(|signed| family(signed.alg)) {
        assert!(SoftwareVerifier.verify(key, *alg, &input, signature), "{name}, untouched");
        for bit in 0..signature.len() * 8 {
            let mut forged = signature.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(!SoftwareVerifier.verify(key, *alg, &input, &forged), "{name}, bit {bit}");
        }
    }
}

#[test]
fn every_flipped_bit_of_the_message_is_refused() {
    let (input, signed) = one_of_each();
    for Signed { name, alg, key, signature, .. } in &signed {
        for bit in (0..input.len() * 8).step_by(29) {
            let mut forged = input.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(!SoftwareVerifier.verify(key, *alg, &forged, signature), "{name}, bit {bit}");
        }
        assert!(!SoftwareVerifier.verify(key, *alg, b"", signature), "{name}, nothing");
    }
}

#[test]
fn signatures_of_another_length_are_refused_and_not_sent_to_the_host() {
    let (input, signed) = one_of_each();
    for Signed { name, alg, key, signature, .. } in &signed {
        let longer = [signature.as_slice(), &[0]].concat();
        let padded = [&[0], signature.as_slice()].concat();
        let doubled = [signature.as_slice(), signature].concat();
        let huge = vec![1; 100_000];
        for forged in
            [&[][..], &[0], &signature[1..], &signature[..signature.len() - 1], &longer, &padded, &doubled, &huge]
        {
            assert!(!SoftwareVerifier.verify(key, *alg, &input, forged), "{name}, {} bytes", forged.len());
            assert_eq!(host_request(key, *alg, forged), None, "{name}, {} bytes", forged.len());
        }
        let zeros = vec![0; signature.len()];
        let ones = vec![0xff; signature.len()];
        assert!(!SoftwareVerifier.verify(key, *alg, &input, &zeros), "{name}, zeros");
        assert!(!SoftwareVerifier.verify(key, *alg, &input, &ones), "{name}, ones");
    }
}

#[test]
fn a_key_verifies_only_algorithms_of_its_family() {
    let (input, signed) = one_of_each();
    for Signed { name, alg, key, signature, .. } in &signed {
        for other in Algorithm::ALL.into_iter().filter(|other| other != alg) {
            assert!(!SoftwareVerifier.verify(key, other, &input, signature), "{name} as {other}");
            let same_family = matches!(family(*alg), "RS" | "PS") && matches!(family(other), "RS" | "PS")
                || alg.is_symmetric()
                    && other.is_symmetric()
                    && alg.hash().map(|h| h.output_bytes()) >= other.hash().map(|h| h.output_bytes());
            assert_eq!(key.fits(other), same_family, "{name} as {other}");
            if !same_family {
                assert_eq!(host_request(key, other, signature), None, "{name} as {other}");
            }
        }
    }
}

#[test]
fn a_public_key_used_as_an_hmac_secret_is_refused() {
    let (input, signed) = one_of_each();
    for Signed { name, key, spki, .. } in signed.iter().filter(|signed| signed.spki.is_some()) {
        let secret = KeySet::from_secret(spki.as_ref().expect("a key")).expect("long enough");
        let forger = secret.candidates(None, Algorithm::Hs256).next().expect("the secret");
        let super::Material::Secret(secret) = forger.material() else { panic!("{name}") };
        let forged =
            jwt_compact::Algorithm::sign(&jwt_compact::alg::Hs256, &jwt_compact::alg::Hs256Key::new(secret), &input);
        let forged = jwt_compact::AlgorithmSignature::as_bytes(&forged).into_owned();
        assert!(
            SoftwareVerifier.verify(forger, Algorithm::Hs256, &input, &forged),
            "{name}: the forged signature is valid"
        );
        for alg in Algorithm::ALL {
            assert!(!SoftwareVerifier.verify(key, alg, &input, &forged), "{name} by {alg}");
        }
    }
}

#[test]
fn the_host_receives_the_key_in_openssl_encoding() {
    let (_, signed) = vectors("good");
    for Signed { name, alg, key, spki, signature } in &signed {
        assert_eq!(key.spki_der(), spki.as_deref(), "{name}");
        match (host_request(key, *alg, signature), family(*alg)) {
            (Some(request), "RS") => assert_eq!(request.signature, signature.as_slice(), "{name}"),
            (Some(request), "ES") => {
                assert_eq!(Some(request.signature.into_owned()), ecdsa_to_der(signature), "{name}")
            }
            (None, "PS" | "Ed" | "HS") => {}
            (request, _) => panic!("{name}: {request:?}"),
        }
        if let Some(request) = host_request(key, *alg, signature) {
            assert_eq!(request.hash, format!("sha{}", alg.name().split_at(2).1), "{name}");
            assert_eq!(Some(request.spki), spki.as_deref(), "{name}");
        }
    }
}

#[test]
fn ecdsa_signatures_convert_to_the_der_of_the_curve_crates() {
    let (_, signed) = vectors("good");
    let mut numbers = Vec::new();
    for length in [32, 48, 66] {
        // These numbers cover all encodings: short, with the high bit set, and with leading zeros.
        for (shape, head) in [(0, 0x01), (1, 0x7f), (1, 0x80), (2, 0xff), (length - 1, 0x01), (length - 1, 0x80)] {
            let mut number = vec![0; length];
            number[shape] = head;
            number[length - 1] |= 1;
            numbers.push(number);
        }
    }
    let made =
        numbers.iter().flat_map(|r| numbers.iter().filter(|s| s.len() == r.len()).map(move |s| [&r[..], s].concat()));
    for raw in made.chain(signed.into_iter().filter(|s| s.alg.name().starts_with("ES")).map(|s| s.signature)) {
        let want = match raw.len() {
            64 => P256Signature::from_slice(&raw).ok().map(|signature| signature.to_der().as_bytes().to_vec()),
            96 => p384::ecdsa::Signature::from_slice(&raw).ok().map(|signature| signature.to_der().as_bytes().to_vec()),
            _ => p521::ecdsa::Signature::from_slice(&raw).ok().map(|signature| signature.to_der().as_bytes().to_vec()),
        };
        if let Some(want) = want {
            assert_eq!(ecdsa_to_der(&raw), Some(want), "{raw:02x?}");
        }
    }
}
