//! The harness's own tokens, verified by an implementation that shares no code with this project: npm's `jose`, under Node.

use anyhow::Result;
use portcullis::policy::jwks::{KeySet, KeySource};
use portcullis::policy::signature::{SignatureVerifier, Software};
use portcullis::policy::token::UnverifiedToken;
use serde_json::{Map, Value, json};
use test_harness::case::PUBLISHED;
use test_harness::fuzz::dice::Dice;
use test_harness::token::{Tamper, TokenSpec};
use test_harness::{clock, keys, node};

#[test]
fn every_algorithm_is_signed_as_the_world_expects_it() {
    let mut tokens = Vec::new();
    for (key, algorithms) in ALGORITHMS {
        for alg in *algorithms {
            tokens.push(
                json!({ "name": format!("{alg} by {key}"), "token": mint(key, alg, None).unwrap(), "good": true }),
            );
            for tamper in [Tamper::Signature, Tamper::Claims, Tamper::Header, Tamper::AlgNone, Tamper::TwoSegments] {
                let token = mint(key, alg, Some(tamper)).unwrap();
                tokens.push(json!({ "name": format!("{alg} by {key}, {tamper:?}"), "token": token, "good": false }));
            }
        }
    }
    let count = tokens.len();
    let job = json!({ "keySet": keys::key_set(&PUBLISHED).unwrap(), "tokens": tokens });
    let verdicts: Value = node::run("verify.mjs", &job).unwrap();
    assert_eq!(verdicts, json!({ "verified": count, "wrong": [] }));
}

/// What this gateway believes, the other implementation believes; where this one finds the signature wrong, so does the other.
#[test]
fn two_implementations_judge_mutated_tokens_alike() {
    let set = keys::key_set(&PUBLISHED).unwrap();
    let (known, _) = KeySet::parse(set.to_string().as_bytes(), KeySource::Remote).unwrap();
    let mut dice = Dice::new(SEED);
    let (mut tokens, mut believed) = (Vec::new(), 0);
    for (key, algorithms) in ALGORITHMS {
        for alg in *algorithms {
            let whole = mint(key, alg, None).unwrap();
            for round in 0..ROUNDS {
                let bytes = if round == 0 { whole.clone().into_bytes() } else { changed(&mut dice, &whole) };
                let Ok(token) = UnverifiedToken::read(&bytes) else { continue };
                let mut keys = known.candidates(token.kid.as_deref(), token.algorithm);
                let good = keys.any(|key| Software.verify(key, token.algorithm, token.signing_input, &token.signature));
                believed += usize::from(good);
                let text = String::from_utf8(bytes.clone()).unwrap();
                tokens.push(json!({ "name": text, "token": text, "good": good }));
            }
        }
    }
    assert_eq!(believed, ALGORITHMS.iter().map(|(_, algorithms)| algorithms.len()).sum::<usize>(), "a changed token");
    assert!(tokens.len() > 300, "only {} tokens could be read", tokens.len());
    let count = tokens.len();
    let verdicts: Value = node::run("verify.mjs", &json!({ "keySet": set, "tokens": tokens })).unwrap();
    assert_eq!(verdicts, json!({ "verified": count, "wrong": [] }));
}

/// One character is another one: of the alphabet, so that most of them can still be read.
fn changed(dice: &mut Dice, token: &str) -> Vec<u8> {
    let mut bytes = token.as_bytes().to_vec();
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    loop {
        let at = dice.below(bytes.len());
        let other = dice.one_of(alphabet).copied().unwrap_or(b'A');
        if let Some(byte) = bytes.get_mut(at).filter(|byte| **byte != b'.' && **byte != other) {
            *byte = other;
            return bytes;
        }
    }
}

fn mint(key: &str, alg: &str, tamper: Option<Tamper>) -> Result<String> {
    let mut spec = TokenSpec::of(key).claim("sub", "user-1");
    spec.alg = Some(alg.to_owned());
    spec.tamper = tamper;
    spec.mint(clock::unix_seconds(), &Map::new())
}

const ALGORITHMS: &[(&str, &[&str])] = &[
    ("rsa-1", &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]),
    ("p256-1", &["ES256"]),
    ("p384-1", &["ES384"]),
    ("p521-1", &["ES512"]),
    ("ed-1", &["EdDSA"]),
];
const SEED: u64 = 20_240_304;
const ROUNDS: usize = 80;
