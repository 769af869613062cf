//! The property that AWS-LC and the code in Rust agree on damaged signatures.

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use super::tests::vectors;
use crate::policy::credentials::algorithm::Algorithm;

/// Configures the property. Failing cases are stored in a file, and the next run tests them first.
fn config() -> ProptestConfig {
    let file = FileFailurePersistence::Direct("src/hosts/dynamic_module/verifier/properties.regressions");
    ProptestConfig { cases: 2_000, failure_persistence: Some(Box::new(file)), ..ProptestConfig::default() }
}

/// A change to a signature.
#[derive(Clone, Debug)]
enum Damage {
    None,
    Flip(Vec<usize>),
    Truncate(usize),
    Extend(Vec<u8>),
    Overwrite(usize, Vec<u8>),
    Replace(Vec<u8>),
}

impl Damage {
    fn apply(&self, signature: &[u8]) -> Vec<u8> {
        let mut damaged = signature.to_vec();
        match self {
            Damage::None => {}
            Damage::Flip(bits) => bits.iter().for_each(|bit| damaged[bit / 8 % signature.len()] ^= 1 << (bit % 8)),
            Damage::Truncate(length) => damaged.truncate(length % signature.len()),
            Damage::Extend(bytes) => damaged.extend(bytes),
            Damage::Overwrite(at, bytes) => {
                let at = at % signature.len();
                damaged.splice(at..(at + bytes.len()).min(signature.len()), bytes.iter().copied());
            }
            Damage::Replace(bytes) => damaged = bytes.iter().copied().cycle().take(signature.len()).collect(),
        }
        damaged
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let bytes = || prop::collection::vec(prop_oneof![Just(0), Just(0xff), any::<u8>()], 1..80);
    prop_oneof![
        Just(Damage::None),
        prop::collection::vec(any::<usize>(), 1..4).prop_map(Damage::Flip),
        any::<usize>().prop_map(Damage::Truncate),
        bytes().prop_map(Damage::Extend),
        (any::<usize>(), bytes()).prop_map(|(at, bytes)| Damage::Overwrite(at, bytes)),
        bytes().prop_map(Damage::Replace),
    ]
}

#[test]
fn both_verifiers_agree_on_every_signature() {
    let signed = [vectors("good"), vectors("published"), vectors("bad")].concat();
    let one = (
        0..signed.len(),
        damage(),
        prop::option::weighted(0.1, prop::sample::select(&Algorithm::ALL[..])),
        any::<bool>(),
    );
    proptest!(config(), |((index, damage, alg, changed) in one)| {
        let one = &signed[index];
        let damaged = damage.apply(&one.signature);
        let input = if changed && damaged.len() % 3 == 0 { b"other".to_vec() } else { one.input.clone() };
        one.verdict(alg.unwrap_or(one.alg), &input, &damaged);
    });
}
