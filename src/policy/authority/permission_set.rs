//! A set of permissions, one bit each, in the order of the registry.

use crate::policy::credentials::footprint::block;

/// What somebody has been granted: registered permissions only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PermissionSet(pub(super) Box<[u64]>);

impl PermissionSet {
    /// The memory that is allocated for it.
    pub fn allocated(&self) -> usize {
        block(size_of_val(&*self.0))
    }

    /// True when nothing is granted.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Adds what another set of the same registry has.
    pub fn extend(&mut self, other: &PermissionSet) {
        if self.0.is_empty() {
            self.0 = other.0.clone();
        }
        self.0.iter_mut().zip(&other.0).for_each(|(have, more)| *have |= more);
    }

    /// Leaves what another set of the same registry has too.
    pub fn cut_to(&mut self, other: &PermissionSet) {
        self.0.iter_mut().enumerate().for_each(|(at, have)| *have &= other.word(at));
    }

    pub(super) fn word(&self, at: usize) -> u64 {
        self.0.get(at).copied().unwrap_or(0)
    }

    pub(super) fn add(&mut self, at: usize, mask: u64) {
        if let Some(word) = self.0.get_mut(at) {
            *word |= mask;
        }
    }
}
