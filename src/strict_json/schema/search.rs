//! Searches a string for a match of a pattern, and stops after a bounded number of transitions.
//!
//! The search simulates all states of the pattern's automaton in parallel. It enters each state at most once per position, so the
//! time is linear in the length of the string.
//!
//! Without a bound, a search could still take minutes: a repetition such as `{3000}` has three thousand states, and all of them
//! can be active at every character. So the bound limits transitions, not characters.

use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::primitives::StateID;

use super::pattern::Pattern;
use super::steps::size;

#[cfg(all(test, not(target_family = "wasm")))]
mod properties;

/// The buffers of a search. All searches of one validation reuse them, so that many short searches need no allocation.
#[derive(Debug, Default)]
pub(super) struct PatternSearch {
    /// For each state, the value of `place` when the state was last entered.
    entered: Vec<u64>,
    /// The number of the current position. The next search continues with higher numbers, so that `entered` need not be cleared.
    place: u64,
    current: Vec<StateID>,
    next: Vec<StateID>,
    /// The states that `enter` has reached and not yet processed.
    open: Vec<StateID>,
    moves: u64,
}

impl PatternSearch {
    /// Returns `true` if the text contains a match. Returns `None` if the search needs more than the steps that are left.
    /// Subtracts the used steps from `steps_left`.
    pub fn run(&mut self, Pattern(pattern): &Pattern, text: &str, steps_left: &mut u64) -> Option<bool> {
        let most = steps_left.saturating_mul(MOVES_OF_A_STEP);
        self.moves = 0;
        // The previous search may have ended early. The buffers then contain states of its pattern.
        self.current.clear();
        self.next.clear();
        let states = pattern.states().len();
        if self.entered.len() < states {
            self.entered.resize(states, 0);
        }
        let found = self.walk(pattern, text, most);
        *steps_left = steps_left.saturating_sub(self.moves / MOVES_OF_A_STEP + 1);
        found
    }

    fn walk(&mut self, pattern: &NFA, text: &str, most: u64) -> Option<bool> {
        let bytes = text.as_bytes();
        let starts_anywhere = !pattern.is_always_start_anchored();
        self.place += 1;
        for at in 0..=bytes.len() {
            // A match must not start inside a character of several bytes. For example, `\B` would match there.
            if (at == 0 || starts_anywhere && text.is_char_boundary(at))
                && self.enter(pattern, pattern.start_anchored(), bytes, at)
            {
                return Some(true);
            }
            std::mem::swap(&mut self.current, &mut self.next);
            self.place += 1;
            let Some(byte) = bytes.get(at).copied() else { break };
            if self.current.is_empty() && !starts_anywhere {
                break;
            }
            while let Some(id) = self.current.pop() {
                self.moves += 1;
                let to = match pattern.state(id) {
                    State::ByteRange { trans } => trans.matches_byte(byte).then_some(trans.next),
                    State::Sparse(choices) => {
                        // `matches_byte` compares the byte with each transition of the state in turn. So a state with many
                        // transitions costs more: one more move for every eight transitions.
                        self.moves += size(choices.transitions.len()) / 8;
                        choices.matches_byte(byte)
                    }
                    State::Dense(choices) => choices.matches_byte(byte),
                    _ => None,
                };
                if to.is_some_and(|to| self.enter(pattern, to, bytes, at + 1)) {
                    return Some(true);
                }
            }
            if self.moves > most {
                return None;
            }
        }
        Some(false)
    }

    /// Enters a state, and all states that it reaches without reading a byte. Returns `true` if a match ends at this position.
    fn enter(&mut self, pattern: &NFA, state: StateID, text: &[u8], at: usize) -> bool {
        self.open.push(state);
        while let Some(id) = self.open.pop() {
            self.moves += 1;
            match self.entered.get_mut(id.as_usize()) {
                Some(place) if *place != self.place => *place = self.place,
                _ => continue,
            }
            match pattern.state(id) {
                State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) => self.next.push(id),
                State::Look { look, next } => {
                    if pattern.look_matcher().matches(*look, text, at) {
                        self.open.push(*next);
                    }
                }
                State::Union { alternates } => self.open.extend_from_slice(alternates),
                State::BinaryUnion { alt1, alt2 } => self.open.extend([*alt1, *alt2]),
                State::Capture { next, .. } => self.open.push(*next),
                State::Fail => {}
                State::Match { .. } => {
                    self.open.clear();
                    self.next.clear();
                    return true;
                }
            }
        }
        false
    }
}

/// The number of transitions that count as one step of validation. One transition takes two or three nanoseconds in native code.
const MOVES_OF_A_STEP: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_search_that_ended_early_does_not_affect_the_next() {
        let mut search = PatternSearch::default();
        let (long, short) = (Pattern::parse("a.{500}y").unwrap(), Pattern::parse("^b$").unwrap());
        for _ in 0..2 {
            assert_eq!(search.run(&long, &"ab".repeat(5_000), &mut 1_000), None);
            assert_eq!(search.run(&short, "b", &mut 1_000), Some(true));
            assert_eq!(search.run(&short, "ab", &mut 1_000), Some(false));
        }
    }
}
