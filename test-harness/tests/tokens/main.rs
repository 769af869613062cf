//! Compares the gateway's verdict on random tokens with the verdict of an independent implementation, npm's `jose`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a helper that fails must fail the test"
)]

mod rules;
mod stricter;
mod variety;

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use test_harness::case::PUBLISHED;
use test_harness::client::Request;
use test_harness::fuzz::rng::Rng;
use test_harness::native::{Arrival, Gateway};
use test_harness::token::{Tamper, TokenSpec};
use test_harness::{clock, keys, node};

use rules::{EVERY_KEYED, RULES};
use stricter::STRICTER;
use variety::{RandomToken, signers};

/// The verdict of jose on a token.
#[derive(Debug, Deserialize)]
struct JoseVerdict {
    refused: Option<String>,
    #[serde(default)]
    sub: Value,
}

/// The gateway's verdict on a token.
struct GatewayVerdict<'m> {
    made: &'m RandomToken,
    again: bool,
    believed: bool,
    reason: String,
    subject: Option<String>,
}

#[test]
fn every_algorithm_passes_a_second_implementation() {
    let (mut tokens, mut expected) = (Vec::new(), Vec::new());
    for alg in EVERY_KEYED {
        for key in signers(alg) {
            let corrupted = [Tamper::Signature, Tamper::Claims, Tamper::Header, Tamper::AlgNone, Tamper::TwoSegments];
            for tamper in [None].into_iter().chain(corrupted.map(Some)) {
                let token = mint(key, alg, tamper).unwrap();
                tokens.push(json!({ "by": 0, "now": clock::unix_seconds(), "token": token }));
                expected.push((format!("{alg} by {key}, {tamper:?}"), tamper.is_none()));
            }
        }
    }
    let rules = json!([{ "keySet": keys::key_set(&PUBLISHED).unwrap(), "options": {} }]);
    let verdicts: Vec<JoseVerdict> = node::run("verify.mjs", &json!({ "rules": rules, "tokens": tokens })).unwrap();
    assert_eq!(verdicts.len(), expected.len());
    for (theirs, (name, good)) in verdicts.iter().zip(expected) {
        assert_eq!(theirs.refused.is_none(), good, "{name}: {theirs:?}");
    }
}

/// Each token that the gateway accepts, cached or not, must be accepted by jose with the same subject at the same time. If only
/// jose accepts a token, the gateway's reason must be in [`STRICTER`].
#[test]
fn two_implementations_make_the_same_decision() {
    let mut rng = Rng::new(SEED);
    let made: Vec<(usize, i64, Vec<RandomToken>)> = (0..BATCHES * RULES.len())
        .map(|batch| {
            let by = batch % RULES.len();
            let later = rng.one_of(&LATER).copied().unwrap_or_default();
            (by, later, variety::tokens(&mut rng, &RULES[by], NOW, BATCH))
        })
        .collect();
    let (mut tokens, mut ours) = (Vec::new(), Vec::new());
    for (by, later, batch) in &made {
        let mut gateway = RULES[*by].open().unwrap();
        for ahead in [0, *later] {
            for made in batch {
                ours.push(decide(&mut *gateway, NOW + ahead, made, ahead > 0).unwrap());
                tokens.push(json!({ "by": by, "now": NOW + ahead, "token": made.shown() }));
            }
        }
    }
    let rules: Vec<_> = RULES.iter().map(|rules| rules.for_jose().unwrap()).collect();
    let theirs: Vec<JoseVerdict> = node::run("verify.mjs", &json!({ "rules": rules, "tokens": tokens })).unwrap();
    assert_eq!(theirs.len(), ours.len());
    compare(&ours, &theirs);
}

fn compare(ours: &[GatewayVerdict<'_>], theirs: &[JoseVerdict]) {
    let (mut wrong, mut believed, mut refused) = (Vec::new(), BTreeMap::<&str, usize>::new(), 0);
    let mut stricter = vec![0; STRICTER.len()];
    for (ours, theirs) in ours.iter().zip(theirs) {
        let mismatch = |what: &str| {
            let RandomToken { odd, text, .. } = ours.made;
            let again = if ours.again { ", seen before" } else { "" };
            format!("{what}{again}: {} / {theirs:?}, {odd:?}\n{}", ours.reason, text.escape_ascii())
        };
        match (ours.believed, &theirs.refused) {
            (true, None) => {
                *believed.entry(ours.made.alg).or_default() += 1;
                if ours.subject.as_deref() != theirs.sub.as_str() {
                    wrong.push(mismatch(&format!("another subject, {:?}", ours.subject)));
                }
            }
            (true, Some(_)) => wrong.push(mismatch("accepted only by the gateway")),
            (false, Some(_)) => refused += 1,
            (false, None) => match STRICTER.iter().position(|rule| rule.covers(&ours.reason, &ours.made.odd)) {
                Some(rule) => stricter[rule] += 1,
                None => wrong.push(mismatch("refused only by the gateway")),
            },
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differences; the first of them are:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
    println!("accepted by both: {believed:?}; refused by both: {refused}; refused only by the gateway: {stricter:?}");
    // The random tokens must cover every algorithm, many refusals and every entry of [`STRICTER`].
    assert!(RULES.iter().flat_map(|rules| rules.algorithms).all(|alg| believed.get(alg) > Some(&20)), "{believed:?}");
    assert!(refused > ours.len() / 4, "{refused}");
    let idle: Vec<_> = STRICTER.iter().zip(&stricter).filter(|(_, used)| **used == 0).map(|(rule, _)| rule).collect();
    assert!(idle.is_empty(), "these entries of STRICTER explain no refusal: {idle:?}");
    let ended = ours.chunks(2 * BATCH).flat_map(|pair| pair[..BATCH].iter().zip(&pair[BATCH..]));
    let ended = ended.filter(|(first, then)| first.believed && then.reason == "token_expired").count();
    assert!(ended > 20, "only {ended} cached tokens expired");
}

fn decide<'m>(gateway: &mut dyn Gateway, now: i64, made: &'m RandomToken, again: bool) -> Result<GatewayVerdict<'m>> {
    let mut request = Request::new("GET", "/orders", "api.example.com");
    request.headers.push((b"authorization".to_vec(), [b"Bearer ", made.text.as_slice()].concat()));
    let key_set = Some(keys::key_set(&PUBLISHED)?);
    let outcome =
        gateway.decide(&Arrival { now, request: &request, key_set, from: None, certificate: None, audit: true })?;
    let field = |name: &str| Some(outcome.audit.as_ref()?.get(name)?.as_str()?.to_owned());
    let (reason, subject) = (field("reason").unwrap_or_default(), field("subject"));
    Ok(GatewayVerdict { made, again, believed: outcome.forwarded.is_some(), reason, subject })
}

fn mint(key: &str, alg: &str, tamper: Option<Tamper>) -> Result<String> {
    let mut spec = TokenSpec::of(key).claim("sub", "user-1");
    spec.alg = Some(alg.to_owned());
    spec.tamper = tamper;
    spec.mint(clock::unix_seconds(), &Map::new())
}

/// The number of tokens that one gateway receives. Each of them is sent twice, the second time after all others.
const BATCH: usize = 20;
const BATCHES: usize = 60;
const LATER: [i64; 3] = [1, 31, 300];
const NOW: i64 = 1_700_000_000;
const SEED: u64 = 20_240_304;
