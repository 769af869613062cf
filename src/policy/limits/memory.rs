//! Bounds the memory that the requests of one worker use together.

use std::cell::Cell;
use std::rc::Rc;

/// The memory bounds of one worker, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBounds {
    /// The bodies of held requests. Envoy stores these bytes, and the filter counts them.
    pub held_bodies: u64,
    /// The bodies of held responses. Envoy stores these bytes, and the filter counts them.
    pub held_responses: u64,
    /// Copies of bodies for report-only checks.
    pub copied_bodies: u64,
    /// The cached tokens and their claims.
    pub token_cache: usize,
}

/// A bound in bytes that several values share.
#[derive(Debug)]
pub struct ByteBound {
    most: u64,
    held: Cell<u64>,
}

/// The bytes that one value has reserved from a [`ByteBound`]. Dropping the `HeldBytes` frees them.
#[derive(Debug)]
pub struct HeldBytes {
    bound: Rc<ByteBound>,
    bytes: u64,
}

impl ByteBound {
    /// Creates a bound of `most` bytes. All of them are free.
    pub fn new(most: u64) -> Rc<ByteBound> {
        Rc::new(ByteBound { most, held: Cell::new(0) })
    }

    /// Reserves `bytes` bytes; `None` if fewer bytes are free.
    pub fn hold(self: &Rc<Self>, bytes: usize) -> Option<HeldBytes> {
        let mut held = HeldBytes { bound: self.clone(), bytes: 0 };
        held.resize(bytes).then_some(held)
    }

    /// Changes the reservation in `share` to `bytes` bytes, or creates it if `share` is `None`. Returns `false` and changes
    /// nothing if too few bytes are free.
    pub fn resize(self: &Rc<Self>, share: &mut Option<HeldBytes>, bytes: usize) -> bool {
        match share {
            Some(held) => held.resize(bytes),
            none => {
                *none = self.hold(bytes);
                none.is_some()
            }
        }
    }

    /// Returns the total number of reserved bytes.
    pub fn held(&self) -> u64 {
        self.held.get()
    }
}

impl HeldBytes {
    /// Changes the number of reserved bytes. If too few bytes are free, changes nothing and returns `false`.
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
    fn holders_share_a_bound_and_return_their_bytes() {
        let bound = ByteBound::new(100);
        let mut first = bound.hold(60).unwrap();
        assert!(bound.hold(41).is_none(), "one byte too many");
        assert_eq!(bound.held(), 60, "a failed reservation holds nothing");
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
    fn a_bound_of_zero_allows_no_bytes() {
        let bound = ByteBound::new(0);
        assert!(bound.hold(1).is_none());
        assert!(bound.hold(0).is_some_and(|mut held| !held.resize(1)));
    }
}
