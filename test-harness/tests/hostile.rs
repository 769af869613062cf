//! Runs the fuzz targets with stored findings and random input; `make fuzz` searches for new findings.

use test_harness::fuzz::rng::Rng;
use test_harness::fuzz::{self, TARGETS};

#[test]
fn no_hostile_input_breaks_the_core() {
    for (name, open) in TARGETS {
        let mut target = open().unwrap();
        let mut inputs = target.seeds();
        assert!(!inputs.is_empty(), "{name} has no seeds");
        inputs.extend(fuzz::corpus(name).unwrap());
        let mut rng = Rng::new(SEED);
        let chance: Vec<_> = (0..ROUNDS).map(|_| rng.one_of(&inputs).cloned().unwrap()).collect();
        let chance: Vec<_> = chance.iter().map(|input| rng.mutated(input)).collect();
        for input in inputs.iter().chain(&chance) {
            fuzz::feed(&mut *target, input).unwrap_or_else(|broken| panic!("{name}: {broken}"));
        }
    }
}

const SEED: u64 = 20_240_301;
const ROUNDS: usize = 500;
