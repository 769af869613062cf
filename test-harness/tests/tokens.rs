//! The harness's own tokens, verified by an implementation that shares no code with this project: npm's `jose`, under Node.

use anyhow::Result;
use serde_json::{Map, Value, json};
use test_harness::case::PUBLISHED;
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
