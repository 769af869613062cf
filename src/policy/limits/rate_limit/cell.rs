//! The format of a shared cell: entries of up to eight callers, each with a fingerprint and the states of its windows.
//!
//! The debt of a caller is the part of the limit that the caller has used and that is not refilled yet. If a cell is full of
//! callers with debt, a new caller replaces the entry with the least debt. The cell stores the largest debt of all replaced
//! entries, and a caller without an entry starts with that debt. The memory is therefore bounded, and a flood of addresses never
//! lets a caller exceed the limit. A flood can only make new callers wait. This is the Space-Saving algorithm (Metwally, Agrawal
//! and El Abbadi, 2005), applied to several windows at once.

use super::window::{Window, WindowState};
use crate::config::limit::MAX_WINDOWS;

/// The states of one caller's windows, in the order of the windows.
pub type WindowStates = [WindowState; MAX_WINDOWS];

/// The entry for a caller in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellPlace {
    /// The index of the entry in the cell.
    pub at: usize,
    /// The states of the caller's windows. If the caller has no entry yet, they may show more debt than the caller has.
    pub states: WindowStates,
    /// The new initial debt of callers without an entry; `None` if this caller replaces no entry with debt.
    floor: Option<WindowStates>,
}

/// Finds the entry of a caller, or the entry that the caller may use or replace.
pub fn find(bytes: &[u8], fingerprint: u64, windows: &[Window], now: u64) -> CellPlace {
    let size = entry_bytes(windows);
    let entries = || bytes.chunks_exact(size).take(MAX_ENTRIES).enumerate();
    let fingerprint = fingerprint.to_le_bytes();
    if let Some((at, entry)) = entries().find(|(_, entry)| entry.starts_with(&fingerprint)) {
        return CellPlace { at, states: read(entry), floor: None };
    }
    let floor = bytes.chunks_exact(size).nth(MAX_ENTRIES).map(read).unwrap_or_default();
    let taken = entries().count();
    let least = entries().map(|(at, entry)| (used(&read(entry), windows, now), at, read(entry))).min();
    match least.filter(|_| taken == MAX_ENTRIES) {
        None => CellPlace { at: taken, states: floor, floor: None },
        Some((0, at, _)) => CellPlace { at, states: floor, floor: None },
        Some((_, at, owed)) => {
            let mut higher = floor;
            higher.iter_mut().zip(owed).for_each(|(floor, owed)| *floor = owed.max(*floor));
            CellPlace { at, states: floor, floor: Some(higher) }
        }
    }
}

/// Writes a caller's states to the entry of the caller.
pub fn put(bytes: &mut Vec<u8>, place: &CellPlace, fingerprint: u64, states: &WindowStates, windows: &[Window]) {
    write(bytes, place.at, fingerprint, states, windows);
    if let Some(floor) = &place.floor {
        write(bytes, MAX_ENTRIES, 0, floor, windows);
    }
}

fn write(bytes: &mut Vec<u8>, at: usize, fingerprint: u64, states: &WindowStates, windows: &[Window]) {
    let size = entry_bytes(windows);
    if bytes.len() < (at + 1) * size {
        bytes.resize((at + 1) * size, 0);
    }
    let entry = bytes.chunks_exact_mut(size).nth(at).into_iter().flat_map(|entry| entry.chunks_exact_mut(8));
    for (place, word) in entry.zip(std::iter::once(&fingerprint).chain(states)) {
        place.copy_from_slice(&word.to_le_bytes());
    }
}

/// Computes the used fraction of each window of a caller, and returns the largest one.
fn used(states: &WindowStates, windows: &[Window], now: u64) -> u32 {
    windows.iter().zip(states).map(|(window, state)| window.used(*state, now)).max().unwrap_or(0)
}

fn read(entry: &[u8]) -> WindowStates {
    let mut states = WindowStates::default();
    let (words, _) = entry.as_chunks::<8>();
    for (state, word) in states.iter_mut().zip(words.iter().skip(1)) {
        *state = u64::from_le_bytes(*word);
    }
    states
}

fn entry_bytes(windows: &[Window]) -> usize {
    8 + 8 * windows.len()
}

/// The maximum number of entries per cell. If there are half as many callers as entries in the table, only one cell in fifty has
/// more callers than entries.
pub const MAX_ENTRIES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const WINDOWS: [Window; 2] =
        [Window::Rate { interval: 10, capacity: 100 }, Window::Rate { interval: 1_000, capacity: 1_000_000 }];

    fn full() -> Vec<u8> {
        let mut bytes = Vec::new();
        for fingerprint in 1..=8 {
            let place = find(&bytes, fingerprint, &WINDOWS, 1_000);
            put(&mut bytes, &place, fingerprint, &[1_000 + 10 * fingerprint, 1_500, 0, 0], &WINDOWS);
        }
        bytes
    }

    #[test]
    fn each_caller_has_a_separate_entry() {
        let bytes = full();
        assert_eq!(bytes.len(), 8 * 24);
        for fingerprint in 1..=8 {
            let place = find(&bytes, fingerprint, &WINDOWS, 1_000);
            assert_eq!(place.states, [1_000 + 10 * fingerprint, 1_500, 0, 0]);
        }
    }

    #[test]
    fn the_entry_with_the_least_debt_is_evicted_and_new_callers_inherit_its_debt() {
        let mut bytes = full();
        let first = find(&bytes, 99, &WINDOWS, 1_000);
        assert_eq!((first.at, first.states), (0, WindowStates::default()), "no entry was evicted before");
        put(&mut bytes, &first, 99, &[1_100, 9_000, 0, 0], &WINDOWS);
        assert_eq!(bytes.len(), 9 * 24, "memory is bounded");
        assert_eq!(find(&bytes, 8, &WINDOWS, 1_000).states[0], 1_080, "entries with more debt stay");
        let back = find(&bytes, 1, &WINDOWS, 1_000);
        assert_eq!(back.states, [1_010, 1_500, 0, 0], "an evicted caller starts with its old debt");
        put(&mut bytes, &back, 1, &[1_020, 2_500, 0, 0], &WINDOWS);
        assert_eq!(bytes.len(), 9 * 24);
        assert_eq!(find(&bytes, 5, &WINDOWS, 1_000).states[0], 1_050);
    }

    #[test]
    fn entries_without_debt_are_replaced_without_a_trace() {
        let place = find(&full(), 99, &WINDOWS, 2_000);
        assert_eq!((place.at, place.states, place.floor), (0, WindowStates::default(), None));
    }
}
