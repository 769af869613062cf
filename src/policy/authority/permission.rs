//! Permissions: named bits in domains, read from a token once and checked by one AND for each domain a route asks about.

mod claims;
#[cfg(test)]
#[cfg(not(target_family = "wasm"))]
mod properties;

use std::rc::Rc;

use super::identity::Identity;
use super::permission_set::PermissionSet;
use crate::config::mask::Mask;
use crate::config::permission::{ForwardPermissions, PermissionForm};
use crate::config::problem::At;
use crate::policy::verdict::edit::HeaderEdit;

pub use claims::PermissionFault;

/// Every permission there is, numbered while the policy is compiled, and how upstreams are told of them.
#[derive(Debug, Default)]
pub struct PermissionRegistry {
    domains: Vec<Domain>,
    /// Words of a set: one for each domain, more for a domain with bits above 63.
    words: usize,
    headers: Vec<(Rc<str>, PermissionForm)>,
    filter_state: Option<PermissionForm>,
}

/// A domain, which has its words in every set from `first` on.
#[derive(Debug)]
struct Domain {
    name: Rc<str>,
    first: usize,
    /// The bits that have a name. Others are never granted, whatever a token says.
    defined: Vec<u64>,
    permissions: Vec<Named>,
}

/// One permission and its bit, as a mask of one word of a set.
#[derive(Clone, Debug)]
struct Named {
    name: Rc<str>,
    word: usize,
    mask: u64,
}

/// What a route asks for.
#[derive(Debug, Default)]
pub struct PermissionNeed {
    /// Words with the bits that are all needed: one word, one AND, for each domain.
    all: Vec<(usize, u64)>,
    /// Words with the bits of which one is needed.
    any: Vec<(usize, u64)>,
    all_names: Vec<Named>,
    any_names: Vec<Named>,
}

impl PermissionRegistry {
    /// Adds a domain with its permissions, each a name and a bit.
    pub fn add<'d>(&mut self, domain: &str, permissions: impl Iterator<Item = (&'d str, u16)> + Clone) {
        let mut defined = Mask::default();
        permissions.clone().for_each(|(_, bit)| defined.set(bit));
        let defined = if defined.words().is_empty() { vec![0] } else { defined.words().to_vec() };
        let first = self.words;
        let named = |(name, bit): (&str, u16)| Named {
            name: format!("{domain}.{name}").into(),
            word: first + usize::from(bit / 64),
            mask: 1 << (bit % 64),
        };
        let mut ordered: Vec<Named> = Vec::new();
        for permission in permissions.map(named) {
            // In the order of their bits, whatever the order of the text: JSON and protobuf keep none.
            let later = |other: &Named| (other.word, other.mask) > (permission.word, permission.mask);
            let at = ordered.iter().position(later).unwrap_or(ordered.len());
            ordered.insert(at, permission);
        }
        self.words += defined.len();
        let at = self.domains.iter().position(|other| *other.name > *domain).unwrap_or(self.domains.len());
        self.domains.insert(at, Domain { name: domain.into(), first, defined, permissions: ordered });
    }

    /// Says how upstreams are told.
    pub fn forward(&mut self, how: &ForwardPermissions) {
        let name = |(header, form): &(At<String>, PermissionForm)| (header.value.as_str().into(), *form);
        self.headers = how.headers.iter().map(name).collect();
        self.filter_state = how.filter_state;
    }

    /// The permission of this name, `LIC.READ_ORDERS`, as a set of one.
    pub fn named(&self, name: &str) -> Option<PermissionSet> {
        let found = self.permissions().find(|permission| *permission.name == *name)?;
        let mut set = self.nothing();
        set.add(found.word, found.mask);
        Some(set)
    }

    /// The names of all permissions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.permissions().map(|permission| &*permission.name)
    }

    /// What a route asks for that names these permissions; names that nobody declared ask for nothing.
    pub fn need<'n>(&self, all: impl Iterator<Item = &'n str>, any: impl Iterator<Item = &'n str>) -> PermissionNeed {
        let find = |name: &str| self.permissions().find(|permission| *permission.name == *name).cloned();
        let (all_names, any_names): (Vec<_>, Vec<_>) = (all.filter_map(find).collect(), any.filter_map(find).collect());
        PermissionNeed { all: by_word(&all_names), any: by_word(&any_names), all_names, any_names }
    }

    /// The domains and masks of a set: `LIC=3`, joined by commas; those without a bit are left out.
    pub fn masks(&self, set: &PermissionSet) -> String {
        let mask = |domain: &Domain| Mask::from_words(domain.words(&set.0));
        let masks = self.domains.iter().map(|domain| (&domain.name, mask(domain)));
        let told = masks.filter(|(_, mask)| *mask != Mask::default()).map(|(name, mask)| format!("{name}={mask}"));
        told.collect::<Vec<_>>().join(",")
    }

    /// The names of a set: `LIC.READ_REQUIREMENTS,LIC.READ_ORDERS`.
    pub fn names_of(&self, set: &PermissionSet) -> String {
        let held = self.permissions().filter(|permission| set.word(permission.word) & permission.mask != 0);
        held.map(|permission| &*permission.name).collect::<Vec<_>>().join(",")
    }

    /// Adds to a caller's identity what upstreams are told of these permissions; nothing where there are none.
    pub fn tell(&self, set: &PermissionSet, identity: &mut Identity) {
        if set.is_empty() {
            return;
        }
        let edit = |(name, form): &(Rc<str>, PermissionForm)| {
            HeaderEdit::Set(name.clone().into(), self.told(set, *form).into_bytes().into())
        };
        identity.edits.extend(self.headers.iter().map(edit));
        identity.filter_state = self.filter_state.map(|form| self.told(set, form).into());
    }

    /// A set in one of the forms.
    pub fn told(&self, set: &PermissionSet, form: PermissionForm) -> String {
        match form {
            PermissionForm::Masks => self.masks(set),
            PermissionForm::Names => self.names_of(set),
        }
    }

    /// The headers that only the gateway may set, because they tell permissions.
    pub fn headers(&self) -> impl Iterator<Item = &Rc<str>> {
        self.headers.iter().map(|(name, _)| name)
    }

    fn permissions(&self) -> impl Iterator<Item = &Named> {
        self.domains.iter().flat_map(|domain| &domain.permissions)
    }

    fn nothing(&self) -> PermissionSet {
        PermissionSet(vec![0; self.words].into())
    }
}

impl Domain {
    fn words<'w>(&self, words: &'w [u64]) -> &'w [u64] {
        words.get(self.first..self.first + self.defined.len()).unwrap_or_default()
    }
}

impl PermissionNeed {
    /// Whether these permissions are enough: `have & need == need`, for each domain.
    pub fn is_met(&self, have: &PermissionSet) -> bool {
        self.all.iter().all(|(word, need)| have.word(*word) & need == *need)
            && (self.any.is_empty() || self.any.iter().any(|(word, need)| have.word(*word) & need != 0))
    }

    /// True when nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && self.any.is_empty()
    }

    /// What these permissions lack, by name.
    pub fn missing(&self, have: &PermissionSet) -> String {
        let lacks = |permission: &&Named| have.word(permission.word) & permission.mask == 0;
        let names = |names: &mut dyn Iterator<Item = &Named>| names.map(|n| &*n.name).collect::<Vec<_>>().join(", ");
        let lacking = names(&mut self.all_names.iter().filter(lacks));
        let has_any = self.any.is_empty() || !self.any_names.iter().all(|permission| lacks(&permission));
        match (lacking.is_empty(), has_any) {
            (_, true) => format!("permission {lacking}"),
            (true, false) => format!("one permission of {}", names(&mut self.any_names.iter())),
            (false, false) => format!("permission {lacking}, and one of {}", names(&mut self.any_names.iter())),
        }
    }

    /// The names of permissions of which all are needed, and those of which one is.
    pub fn names(&self) -> (impl Iterator<Item = &str>, impl Iterator<Item = &str>) {
        (self.all_names.iter().map(|named| &*named.name), self.any_names.iter().map(|named| &*named.name))
    }
}

fn by_word(permissions: &[Named]) -> Vec<(usize, u64)> {
    let mut words: Vec<(usize, u64)> = Vec::new();
    for permission in permissions {
        match words.iter_mut().find(|(word, _)| *word == permission.word) {
            Some((_, mask)) => *mask |= permission.mask,
            None => words.push((permission.word, permission.mask)),
        }
    }
    words
}
