//! Properties of limits: no order of requests, clock change or flood lets a caller exceed a limit.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{FailurePersistence, FileFailurePersistence};

use super::tests::{charge, limit};
use super::*;
use crate::config::limit::QuotaPeriod;
use store::LocalStore;
#[cfg(target_os = "unknown")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Configures the property tests. If a file system is available, failing cases are stored in a file, and the next run tests them
/// first.
fn config() -> ProptestConfig {
    let file = FileFailurePersistence::Direct("src/policy/limit/properties.regressions");
    let kept = cfg!(not(target_family = "wasm")).then(|| Box::new(file) as Box<dyn FailurePersistence>);
    ProptestConfig { cases: 300, failure_persistence: kept, ..ProptestConfig::default() }
}

const START: u64 = 1_700_000_000_000_000_000;

proptest! {
    #![proptest_config(config())]

    /// In any period of length t, at most burst + t / interval requests pass.
    #[test]
    fn a_rate_never_passes_more_than_its_burst_and_refill(
        interval in 1_u64..1_000_000_000,
        burst in 1_u64..50,
        gaps in vec(0_u64..2_000_000_000, 1..200),
    ) {
        let window = Window::Rate { interval, capacity: interval * burst };
        let (mut state, mut now) = (0, START);
        let mut passed: Vec<u64> = Vec::new();
        for gap in gaps {
            now += gap;
            if let Ok(after) = window.take(state, 1, now) {
                state = after;
                passed.push(now);
            }
        }
        for (first, from) in passed.iter().enumerate() {
            for (last, to) in passed.iter().enumerate().skip(first) {
                let count = (last - first + 1) as u64;
                prop_assert!(count <= burst + (to - from) / interval, "{count} within {} ns", to - from);
            }
        }
    }

    /// A caller that keeps to the rate is never refused. A caller that waits for `Retry-After` is not refused again.
    #[test]
    fn a_caller_that_keeps_to_the_rate_is_never_refused(
        interval in 1_u64..1_000_000_000,
        burst in 1_u64..50,
        gaps in vec(0_u64..1_000_000, 1..200),
    ) {
        let window = Window::Rate { interval, capacity: interval * burst };
        let (mut state, mut now) = (0, START);
        for gap in gaps {
            now += interval + gap;
            let after = window.take(state, 1, now);
            prop_assert!(after.is_ok());
            state = after.unwrap();
        }
        state = window.exhausted(now);
        let wait = window.take(state, 1, now).unwrap_err();
        prop_assert!(window.take(state, 1, now + wait).is_ok());
        prop_assert!(window.take(state, 1, now + wait - 1).is_err());
    }

    /// A clock that jumps grants at most one burst or one quota per jump. A refused caller succeeds after the reported wait. If
    /// the clock was set back, the true wait can be longer: by at most 10 s for a rate, and by at most one period for a quota.
    #[test]
    fn a_clock_jump_grants_at_most_one_burst(
        jumps in vec((any::<bool>(), 0_u64..4_000_000_000_000_000), 1..100),
        quota in any::<bool>(),
    ) {
        let (interval, burst) = (1_000_000, 5);
        let window = if quota {
            Window::Quota { most: 5, period: QuotaPeriod::Hour }
        } else {
            Window::Rate { interval, capacity: interval * burst }
        };
        let (mut state, mut now, mut passed, mut stretches) = (0, START, 0_u64, 1_u64);
        for (forward, by) in jumps {
            stretches += 1;
            now = if forward { now + by } else { now - by.min(START / 200) };
            while let Ok(after) = window.take(state, 1, now) {
                state = after;
                passed += 1;
            }
            let wait = window.take(state, 1, now).unwrap_err();
            let hour = 3_600_000_000_000;
            let (longest, more) = if quota { (hour, hour) } else { (interval, 10_000_000_000) };
            prop_assert!(wait <= longest, "{wait}");
            prop_assert!(window.take(state, 1, now + wait + more).is_ok(), "locked out for longer than {wait} ns");
        }
        prop_assert!(passed <= stretches * burst, "{passed} in {stretches} stretches");
    }

    /// Even if a table is far too small for a flood of callers, no caller exceeds its limit.
    #[test]
    fn a_flood_beyond_the_table_lets_no_caller_exceed_the_limit(
        requests in vec((0_u8..40, 0_u64..200_000_000), 1..600),
        two in any::<bool>(),
    ) {
        let second = 1_000_000_000;
        let mut windows = vec![Window::Rate { interval: second, capacity: 4 * second }];
        if two {
            windows.push(Window::Rate { interval: 20 * second, capacity: 200 * second });
        }
        let mut small = limit("small", 1, &windows);
        small.meters.iter_mut().for_each(|meter| meter.cells = 1);
        let mut store = LocalStore::default();
        let mut now = Duration::from_nanos(START);
        // The exact debt of each caller, computed without a table.
        let mut exact = vec![[0_u64; 2]; 40];
        for (caller, gap) in requests {
            now += Duration::from_nanos(gap);
            let counted = count(&[charge(&small, [10, 0, 0, caller])], CountingMode::Take, now, &mut store);
            if counted.refused.is_none() {
                let nanos = now.as_nanos() as u64;
                let states = &mut exact[usize::from(caller)];
                for (window, state) in windows.iter().zip(states) {
                    let after = window.take(*state, 1, nanos);
                    prop_assert!(after.is_ok(), "{caller} exceeded the limit");
                    *state = after.unwrap();
                }
            }
        }
        prop_assert_eq!(store.len(), 1);
    }
}
