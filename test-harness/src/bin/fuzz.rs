//! Runs the libFuzzer target that the environment variable `FUZZ_TARGET` names.
//!
//! `test-harness/setup/fuzz` builds this program with coverage, and `make fuzz` runs it.

#![no_main]

use std::cell::RefCell;
use std::fs;

use libfuzzer_sys::fuzz_target;
use test_harness::fuzz::{self, Target};

thread_local! {
    static OPEN: RefCell<Option<Box<dyn Target>>> = const { RefCell::new(None) };
}

fuzz_target!(
    init: {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let target = fuzz::open(&name).unwrap_or_else(|error| end(&format!("{error:#}")));
        if let Some(folder) = std::env::var_os("FUZZ_SEEDS") {
            for (index, seed) in target.seeds().iter().enumerate() {
                let file = std::path::Path::new(&folder).join(format!("seed-{index}"));
                fs::write(file, seed).unwrap_or_else(|error| end(&error.to_string()));
            }
        }
        OPEN.with(|open| *open.borrow_mut() = Some(target));
    },
    |input: &[u8]| {
        OPEN.with(|open| {
            let mut open = open.borrow_mut();
            let held = open.as_mut().map(|target| target.hold(input));
            if let Some(Err(broken)) = held {
                end(&broken);
            }
        });
    }
);

/// Prints a finding and aborts. When the process aborts, libFuzzer saves the input.
fn end(why: &str) -> ! {
    eprintln!("{why}");
    std::process::abort()
}
