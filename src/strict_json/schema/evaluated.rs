//! Tracks the evaluated members and items of a value, for `unevaluatedProperties` and `unevaluatedItems` (Core §11).

use std::collections::BTreeSet;

/// The members and items of one value that any keyword has evaluated so far.
#[derive(Debug, Default)]
pub(super) struct Evaluated<'v> {
    pub all_members: bool,
    pub members: BTreeSet<&'v str>,
    /// The number of evaluated items at the start of the array.
    pub first_items: usize,
    pub items: BTreeSet<usize>,
}

impl<'v> Evaluated<'v> {
    /// Adds the members and items that another schema has evaluated on the same value.
    pub fn add(&mut self, other: Evaluated<'v>) {
        self.all_members |= other.all_members;
        self.members.extend(other.members);
        self.first_items = self.first_items.max(other.first_items);
        self.items.extend(other.items);
    }

    pub fn has_member(&self, name: &str) -> bool {
        self.all_members || self.members.contains(name)
    }

    pub fn has_item(&self, index: usize) -> bool {
        index < self.first_items || self.items.contains(&index)
    }
}
