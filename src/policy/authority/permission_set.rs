//! A set of permissions, with one bit per permission.

use crate::policy::credentials::footprint::block;

/// A set of granted permissions, with the bit positions that the `PermissionRegistry` of the policy assigns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PermissionSet(pub(super) Box<[u64]>);

impl PermissionSet {
    /// Returns the bytes allocated for the set.
    pub fn allocated(&self) -> usize {
        block(size_of_val(&*self.0))
    }

    /// Returns `true` if the set contains no permission.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Adds the permissions of another set of the same registry.
    pub fn extend(&mut self, other: &PermissionSet) {
        if self.0.is_empty() {
            self.0 = other.0.clone();
        }
        self.0.iter_mut().zip(&other.0).for_each(|(have, more)| *have |= more);
    }

    /// Keeps only the permissions that another set of the same registry also has.
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
