//! Tests that AWS-LC and the code in Rust have the same verdict on valid, damaged and invalid signatures of every algorithm.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{NativeKey, NativeVerifier, native_algorithm};
use crate::policy::credentials::algorithm::Algorithm;
use crate::policy::credentials::jwks::VerifyingKey;
use crate::policy::credentials::signature::tests::{VECTORS, decode, key};
use crate::policy::credentials::signature::{SignatureVerifier, SoftwareVerifier};

/// A signature, the key that made it, and the message.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    pub name: String,
    pub alg: Algorithm,
    pub key: VerifyingKey,
    pub input: Vec<u8>,
    pub signature: Vec<u8>,
}

impl Signed {
    /// Returns the verdict of both verifiers, which must be the same.
    pub fn verdict(&self, alg: Algorithm, input: &[u8], signature: &[u8]) -> bool {
        let native = NativeVerifier.verify(&self.key, alg, input, signature);
        let software = SoftwareVerifier.verify(&self.key, alg, input, signature);
        assert_eq!(native, software, "{} as {alg}: {input:02x?} {signature:02x?}", self.name);
        native
    }
}

/// Returns a list of `vectors.json`, which the tests of the code in Rust use too.
pub(super) fn vectors(list: &str) -> Vec<Signed> {
    let vectors: Value = serde_json::from_str(VECTORS).expect("vectors");
    let message = vectors["signing_input"].as_str().expect("text");
    let read = |vector: &Value| {
        let (input, signature) = match vector["token"].as_str() {
            Some(token) => token.rsplit_once('.').map(|(input, signature)| (input, json!(signature))).expect("a token"),
            None => (message, vector["signature"].clone()),
        };
        Signed {
            name: vector["name"].as_str().expect("a name").into(),
            alg: vector["alg"].as_str().and_then(Algorithm::from_name).expect("an algorithm"),
            key: key(&vector["jwk"]),
            input: input.into(),
            signature: decode(&signature),
        }
    };
    vectors[list].as_array().expect("a list").iter().map(read).collect()
}

/// Returns the first vector of each algorithm.
fn one_of_each() -> Vec<Signed> {
    let good = vectors("good");
    let first = |alg: &Algorithm| good.iter().find(|signed| signed.alg == *alg).expect("a vector").clone();
    Algorithm::ALL.iter().map(first).collect()
}

#[test]
fn openssl_signatures_and_the_examples_of_the_rfcs_are_accepted() {
    let signed = [vectors("good"), vectors("published")].concat();
    assert!(signed.len() > 40);
    for one in signed {
        assert!(one.verdict(one.alg, &one.input, &one.signature), "{}", one.name);
    }
}

#[test]
fn signatures_with_wrong_padding_hash_or_range_are_refused() {
    for one in vectors("bad") {
        assert!(!one.verdict(one.alg, &one.input, &one.signature), "{}", one.name);
    }
}

/// Without this test, keys that AWS-LC does not accept would only be slow.
#[test]
fn aws_lc_verifies_every_rsa_and_ec_key() {
    for one in [vectors("good"), vectors("published"), vectors("bad")].concat() {
        let parsed = NativeKey::of(&one.key).and_then(|native| native.parsed(&one.key, one.alg));
        assert_eq!(
            parsed.is_some(),
            one.alg.name().starts_with(['R', 'P']) || one.alg.name().starts_with("ES"),
            "{}",
            one.name
        );
        assert_eq!(parsed.is_some(), native_algorithm(one.alg).is_some(), "{}", one.name);
    }
}

#[test]
fn clones_of_a_key_share_the_parsed_key() {
    let Signed { key, .. } = one_of_each().remove(0);
    let of = |key: &VerifyingKey| NativeKey::of(key).map(std::ptr::from_ref);
    assert_eq!(of(&key), of(&key.clone()));
}

#[test]
fn every_flipped_bit_is_refused() {
    for Signed { name, alg, key, input, signature } in one_of_each() {
        assert!(NativeVerifier.verify(&key, alg, &input, &signature), "{name}, untouched");
        for bit in 0..signature.len() * 8 {
            let mut forged = signature.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(!NativeVerifier.verify(&key, alg, &input, &forged), "{name}, bit {bit}");
        }
        for bit in 0..input.len() * 8 {
            let mut forged = input.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(!NativeVerifier.verify(&key, alg, &forged, &signature), "{name}, bit {bit} of the message");
        }
    }
}

#[test]
fn signatures_of_another_length_are_refused() {
    for one in one_of_each() {
        let signature = &one.signature;
        let longer = [signature, &[0][..]].concat();
        let padded = [&[0][..], signature].concat();
        let doubled = [&signature[..], signature].concat();
        for forged in
            [&longer, &padded, &doubled, &vec![1; 100_000], &vec![0; signature.len()], &vec![0xff; signature.len()]]
        {
            assert!(!one.verdict(one.alg, &one.input, forged), "{}, {} bytes", one.name, forged.len());
        }
        for length in 0..signature.len() {
            assert!(!one.verdict(one.alg, &one.input, &signature[..length]), "{}, {length} bytes", one.name);
        }
        assert!(!one.verdict(one.alg, b"", signature), "{}, nothing signed", one.name);
    }
}

#[test]
fn no_key_accepts_a_signature_of_another_algorithm_or_key() {
    let signed = one_of_each();
    for one in &signed {
        for other in &signed {
            let same = one.alg == other.alg;
            assert_eq!(one.verdict(other.alg, &one.input, &one.signature), same, "{} as {}", one.name, other.alg);
            // Several algorithms of RSA share a key in the list.
            let is_accepted = one.verdict(other.alg, &one.input, &other.signature);
            let share = one.key.fits(other.alg) && one.key.spki_der() == other.key.spki_der();
            assert!(same == is_accepted || share, "{} by {}", other.name, one.name);
        }
    }
}

/// r and s must be from 1 to n - 1 (SEC 1 §4.1.4). A verifier that reduces them accepts several signatures for one.
#[test]
fn numbers_outside_the_order_of_the_curve_are_refused() {
    for one in vectors("good").into_iter().filter(|one| one.alg.name().starts_with("ES")) {
        let order = order(one.alg);
        let (r, s) = one.signature.split_at(order.len());
        let zero = vec![0; order.len()];
        let mut edges = vec![zero, order.clone(), vec![0xff; order.len()]];
        for number in [r, s] {
            edges.extend(sum(number, &order));
        }
        for edge in &edges {
            assert!(!one.verdict(one.alg, &one.input, &[edge, s].concat()), "{}: r is {edge:02x?}", one.name);
            assert!(!one.verdict(one.alg, &one.input, &[r, edge].concat()), "{}: s is {edge:02x?}", one.name);
            assert!(!one.verdict(one.alg, &one.input, &[edge, edge].map(Vec::as_slice).concat()), "{}", one.name);
        }
    }
}

/// A signature of RSA must be less than the modulus (RFC 8017 §5.2.2).
#[test]
fn rsa_signatures_outside_the_modulus_are_refused() {
    let vectors: Value = serde_json::from_str(VECTORS).expect("vectors");
    for (one, vector) in self::vectors("good").into_iter().zip(vectors["good"].as_array().expect("a list")) {
        let Some(modulus) = vector["jwk"].get("n").map(decode) else { continue };
        let mut less = modulus.clone();
        *less.last_mut().expect("a byte") -= 1;
        for forged in [Some(modulus.clone()), Some(less), sum(&one.signature, &modulus)].into_iter().flatten() {
            assert!(!one.verdict(one.alg, &one.input, &forged), "{}", one.name);
        }
    }
}

/// Both accept the same keys: exponents of up to 33 bits, and moduli of odd lengths.
#[test]
fn unusual_rsa_keys_have_the_same_verdict() {
    let vectors: Value = serde_json::from_str(VECTORS).expect("vectors");
    let jwk =
        vectors["good"].as_array().expect("a list").iter().find(|one| one["alg"] == "RS256").expect("a key")["jwk"]
            .clone();
    let mut one = one_of_each().remove(0);
    for exponent in [&[3][..], &[5], &[0x01, 0x00, 0x01], &[0xff; 4], &[1, 0xff, 0xff, 0xff, 0xff]] {
        let mut jwk = jwk.clone();
        jwk["e"] = json!(URL_SAFE_NO_PAD.encode(exponent));
        one.key = key(&jwk);
        for alg in Algorithm::ALL {
            one.verdict(alg, &one.input, &one.signature);
            // 0 and 1 are their own powers.
            let mut small = vec![0; one.signature.len()];
            assert!(!one.verdict(alg, &one.input, &small), "{exponent:?}");
            *small.last_mut().expect("a byte") = 1;
            assert!(!one.verdict(alg, &one.input, &small), "{exponent:?}");
        }
    }
}

/// The order n of each curve (SEC 2 §2.4.2, §2.5.1, §2.6.1).
fn order(alg: Algorithm) -> Vec<u8> {
    let (length, tail): (usize, &[u8]) = match alg {
        Algorithm::Es256 => return [&[0xff; 4][..], &[0; 4], &[0xff; 8], &P256_TAIL].concat(),
        Algorithm::Es384 => (48, &P384_TAIL),
        _ => (66, &P521_TAIL),
    };
    let mut order = [vec![0xff; length - tail.len()], tail.to_vec()].concat();
    if alg == Algorithm::Es512 {
        order[0] = 0x01;
    }
    order
}

const P256_TAIL: [u8; 16] =
    [0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51];
const P384_TAIL: [u8; 24] = [
    0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19,
    0x6a, 0xcc, 0xc5, 0x29, 0x73,
];
const P521_TAIL: [u8; 33] = [
    0xfa, 0x51, 0x86, 0x87, 0x83, 0xbf, 0x2f, 0x96, 0x6b, 0x7f, 0xcc, 0x01, 0x48, 0xf7, 0x09, 0xa5, 0xd0, 0x3b, 0xb5,
    0xc9, 0xb8, 0x89, 0x9c, 0x47, 0xae, 0xbb, 0x6f, 0xb7, 0x1e, 0x91, 0x38, 0x64, 0x09,
];

/// Adds two big-endian numbers of the same length. Returns `None` if the sum is longer.
fn sum(a: &[u8], b: &[u8]) -> Option<Vec<u8>> {
    let mut carry = 0;
    let mut sum: Vec<u8> = a
        .iter()
        .zip(b)
        .rev()
        .map(|(a, b)| {
            let total = u16::from(*a) + u16::from(*b) + carry;
            carry = total >> 8;
            total as u8
        })
        .collect();
    sum.reverse();
    (carry == 0).then_some(sum)
}
