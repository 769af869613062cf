//! How many bytes the requests of one worker may hold at the same time, and who holds how many.

use std::cell::Cell;
use std::rc::Rc;

/// The bounds of one worker, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBounds {
    /// Bodies of requests that are held back. Envoy has these bytes, the filter only their number.
    pub held_bodies: u64,
    /// Copies of bodies for checks that only write to the record.
    pub copied_bodies: u64,
    /// Verified tokens with their claims.
    pub token_cache: usize,
}

/// A number of bytes that several holders share.
#[derive(Debug)]
pub struct ByteBound {
    most: u64,
    held: Cell<u64>,
}

/// The part of a [`ByteBound`] that one holder has. Dropping it gives the bytes back.
#[derive(Debug)]
pub struct HeldBytes {
    bound: Rc<ByteBound>,
    bytes: u64,
}

impl ByteBound {
    /// A bound of which nothing is held yet.
    pub fn new(most: u64) -> Rc<ByteBound> {
        Rc::new(ByteBound { most, held: Cell::new(0) })
    }

    /// Reserves this many bytes; `None` if the bound has too few left.
    pub fn hold(self: &Rc<Self>, bytes: usize) -> Option<HeldBytes> {
        let mut held = HeldBytes { bound: self.clone(), bytes: 0 };
        held.resize(bytes).then_some(held)
    }

    /// How many bytes all holders have together.
    pub fn held(&self) -> u64 {
        self.held.get()
    }
}

impl HeldBytes {
    /// Changes how many bytes are held. Returns `false` and changes nothing if the bound has too few left.
    pub fn resize(&mut self, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let others = self.bound.held.get().saturating_sub(self.bytes);
        match others.checked_add(bytes).filter(|all| *all <= self.bound.most || bytes <= self.bytes) {
            Some(all) => {
                self.bound.held.set(all);
                self.bytes = bytes;
                true
            }
            None => false,
        }
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.bound.held.set(self.bound.held.get().saturating_sub(self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn holders_share_a_bound_and_give_back_what_they_held() {
        let bound = ByteBound::new(100);
        let mut first = bound.hold(60).unwrap();
        assert!(bound.hold(41).is_none(), "one byte too many");
        assert_eq!(bound.held(), 60, "a refused holder holds nothing");
        let second = bound.hold(40).unwrap();
        assert!(!first.resize(61) && bound.held() == 100, "a refused change changes nothing");
        assert!(first.resize(10) && bound.held() == 50);
        assert!(first.resize(60));
        drop(second);
        assert!(first.resize(100));
        assert!(!first.resize(usize::MAX));
        drop(first);
        assert_eq!(bound.held(), 0);
    }

    #[test]
    fn a_bound_of_nothing_lets_nothing_be_held() {
        let bound = ByteBound::new(0);
        assert!(bound.hold(1).is_none());
        assert!(bound.hold(0).is_some_and(|mut held| !held.resize(1)));
    }
}
