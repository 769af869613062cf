//! The problems that this program has found, and the counters of the module.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

static PROBLEMS: AtomicUsize = AtomicUsize::new(0);

/// The values of counters, by the number of the counter and its labels.
pub type Counts = BTreeMap<(usize, Vec<String>), u64>;

thread_local! {
    // Each thread has its own counts, so that a lock does not hide a data race of the module.
    static COUNTS: RefCell<Counts> = const { RefCell::new(BTreeMap::new()) };
}

/// Reports a problem.
pub fn problem(text: &str) {
    if PROBLEMS.fetch_add(1, Ordering::Relaxed) < MAX_SHOWN {
        eprintln!("problem: {text}");
    }
}

/// Returns the number of problems.
pub fn problems() -> usize {
    PROBLEMS.load(Ordering::Relaxed)
}

/// Increases a counter of this thread. Returns the result that the module expects.
pub fn count(id: usize, labels: Vec<String>, by: u64) -> u32 {
    COUNTS.with_borrow_mut(|counts| *counts.entry((id, labels)).or_default() += by);
    0
}

/// Takes the counts of this thread.
pub fn take_counts() -> Counts {
    COUNTS.take()
}

/// Handles a line that the module logs. Errors are problems, except for the failures that this program provokes.
pub fn log(level: u32, text: &str) {
    if level >= ERROR && !EXPECTED.iter().any(|part| text.contains(part)) {
        problem(&format!("the module logs: {text}"));
    } else if std::env::var_os("FAKE_ENVOY_LOG").is_some() {
        eprintln!("{text}");
    }
}

const ERROR: u32 = 4;
const EXPECTED: [&str; 2] = ["configuration refused", "Envoy has no cluster"];
const MAX_SHOWN: usize = 20;
