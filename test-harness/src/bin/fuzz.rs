//! `make fuzz`: hostile input at random for as long as asked, until something breaks.

use std::process::ExitCode;
use std::time::Duration;

use test_harness::clock::{Deadline, unix_seconds};
use test_harness::fuzz::Fuzz;

fn main() -> ExitCode {
    let argument = |at| std::env::args().nth(at).and_then(|text| text.parse::<u64>().ok());
    let seconds = argument(1).unwrap_or(60);
    let seed = argument(2).unwrap_or_else(|| u64::try_from(unix_seconds()).unwrap_or(1));
    let mut fuzz = match Fuzz::new(seed) {
        Ok(fuzz) => fuzz,
        Err(error) => {
            eprintln!("fuzz: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    println!("fuzzing for {seconds} s with seed {seed}");
    let deadline = Deadline::after(Duration::from_secs(seconds));
    let mut rounds: u64 = 0;
    while !deadline.passed() {
        if let Err(broken) = fuzz.round() {
            eprintln!("broken in round {rounds} of seed {seed}:\n{broken}");
            return ExitCode::FAILURE;
        }
        rounds += 1;
    }
    println!("{rounds} rounds, nothing broke");
    ExitCode::SUCCESS
}
