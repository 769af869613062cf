//! Compiles, checks and formats permissions, which are named bits in domains.
//!
//! The gateway reads the permissions of a token once, when it verifies the token. For each request, it then checks them with a
//! few bitwise ANDs.

mod claims;
#[cfg(test)]
#[cfg(not(target_family = "wasm"))]
mod properties;

use std::sync::Arc;

use super::identity::Identity;
use super::permission_set::PermissionSet;
use crate::config::mask::Mask;
use crate::config::permission::{ForwardPermissions, PermissionForm};
use crate::config::problem::At;
use crate::policy::verdict::edit::HeaderEdit;

pub use claims::PermissionFault;

/// All permissions of a policy, and the headers and filter state that forward them.
#[derive(Debug, Default)]
pub struct PermissionRegistry {
    domains: Vec<Domain>,
    /// The number of 64-bit words in a set: one word per domain, and more words for a domain with bits above 63.
    words: usize,
    headers: Vec<(Arc<str>, PermissionForm)>,
    filter_state: Option<PermissionForm>,
}

/// A domain of permissions. In every permission set, the words of the domain start at the index `first`.
#[derive(Debug)]
struct Domain {
    name: Arc<str>,
    first: usize,
    /// The mask of all bits that have a name. A token's other bits grant nothing.
    defined: Vec<u64>,
    permissions: Vec<NamedPermission>,
}

/// A permission and its bit: the index of a word in a set, and a mask for that word.
#[derive(Clone, Debug)]
struct NamedPermission {
    name: Arc<str>,
    word: usize,
    mask: u64,
}

/// The permissions that a route requires.
#[derive(Debug, Default)]
pub struct PermissionNeed {
    /// Word indexes and masks. All bits of the masks are required.
    all: Vec<(usize, u64)>,
    /// Word indexes and masks. At least one bit of the masks is required.
    any: Vec<(usize, u64)>,
    all_names: Vec<NamedPermission>,
    any_names: Vec<NamedPermission>,
}

impl PermissionRegistry {
    /// Adds a domain and its permissions. Each permission has a name and a bit.
    pub fn add<'d>(&mut self, domain: &str, permissions: impl Iterator<Item = (&'d str, u16)> + Clone) {
        let mut defined = Mask::default();
        permissions.clone().for_each(|(_, bit)| defined.set(bit));
        let defined = if defined.words().is_empty() { vec![0] } else { defined.words().to_vec() };
        let first = self.words;
        let named = |(name, bit): (&str, u16)| NamedPermission {
            name: format!("{domain}.{name}").into(),
            word: first + usize::from(bit / 64),
            mask: 1 << (bit % 64),
        };
        let mut ordered: Vec<NamedPermission> = Vec::new();
        for permission in permissions.map(named) {
            // The permissions are sorted by bit, because Envoy does not preserve the order of the members in the document.
            let later = |other: &NamedPermission| (other.word, other.mask) > (permission.word, permission.mask);
            let at = ordered.iter().position(later).unwrap_or(ordered.len());
            ordered.insert(at, permission);
        }
        self.words += defined.len();
        let at = self.domains.iter().position(|other| *other.name > *domain).unwrap_or(self.domains.len());
        self.domains.insert(at, Domain { name: domain.into(), first, defined, permissions: ordered });
    }

    /// Sets the headers and filter state that forward permissions.
    pub fn forward(&mut self, how: &ForwardPermissions) {
        let name = |(header, form): &(At<String>, PermissionForm)| (header.value.as_str().into(), *form);
        self.headers = how.headers.iter().map(name).collect();
        self.filter_state = how.filter_state;
    }

    /// Returns a set that contains only the permission with this name, such as `LIC.READ_ORDERS`; `None` if the name is unknown.
    pub fn named(&self, name: &str) -> Option<PermissionSet> {
        let found = self.permissions().find(|permission| *permission.name == *name)?;
        let mut set = self.nothing();
        set.add(found.word, found.mask);
        Some(set)
    }

    /// Iterates over the names of all permissions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.permissions().map(|permission| &*permission.name)
    }

    /// Compiles the requirement for all permissions in `all` and at least one permission in `any`. Ignores unknown names,
    /// because the compiler of the document reports them.
    pub fn need<'n>(&self, all: impl Iterator<Item = &'n str>, any: impl Iterator<Item = &'n str>) -> PermissionNeed {
        let find = |name: &str| self.permissions().find(|permission| *permission.name == *name).cloned();
        let (all_names, any_names): (Vec<_>, Vec<_>) = (all.filter_map(find).collect(), any.filter_map(find).collect());
        PermissionNeed { all: by_word(&all_names), any: by_word(&any_names), all_names, any_names }
    }

    /// Formats a set as domains and masks, such as `LIC=3,ORD=1`. Domains without a granted bit are omitted.
    pub fn masks(&self, set: &PermissionSet) -> String {
        let mask = |domain: &Domain| Mask::from_words(domain.words(&set.0));
        let masks = self.domains.iter().map(|domain| (&domain.name, mask(domain)));
        let parts = masks.filter(|(_, mask)| *mask != Mask::default()).map(|(name, mask)| format!("{name}={mask}"));
        parts.collect::<Vec<_>>().join(",")
    }

    /// Formats a set as permission names, such as `LIC.READ_REQUIREMENTS,LIC.READ_ORDERS`.
    pub fn names_of(&self, set: &PermissionSet) -> String {
        let held = self.permissions().filter(|permission| set.word(permission.word) & permission.mask != 0);
        held.map(|permission| &*permission.name).collect::<Vec<_>>().join(",")
    }

    /// Adds the headers and filter state for these permissions to a caller's identity. Adds nothing if the set is empty.
    pub fn add_to_identity(&self, set: &PermissionSet, identity: &mut Identity) {
        if set.is_empty() {
            return;
        }
        let edit = |(name, form): &(Arc<str>, PermissionForm)| {
            HeaderEdit::Set(name.clone().into(), self.format(set, *form).into_bytes().into())
        };
        identity.edits.extend(self.headers.iter().map(edit));
        identity.filter_state = self.filter_state.map(|form| self.format(set, form).into());
    }

    /// Formats a set as masks or as names.
    pub fn format(&self, set: &PermissionSet, form: PermissionForm) -> String {
        match form {
            PermissionForm::Masks => self.masks(set),
            PermissionForm::Names => self.names_of(set),
        }
    }

    /// Iterates over the permission headers, which only the gateway may set.
    pub fn headers(&self) -> impl Iterator<Item = &Arc<str>> {
        self.headers.iter().map(|(name, _)| name)
    }

    fn permissions(&self) -> impl Iterator<Item = &NamedPermission> {
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
    /// Returns `true` if the permissions in `have` are sufficient: all bits of `all`, and at least one bit of `any` unless `any`
    /// is empty.
    pub fn is_met(&self, have: &PermissionSet) -> bool {
        self.all.iter().all(|(word, need)| have.word(*word) & need == *need)
            && (self.any.is_empty() || self.any.iter().any(|(word, need)| have.word(*word) & need != 0))
    }

    /// Returns `true` if the route requires no permissions.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && self.any.is_empty()
    }

    /// Describes the missing permissions by name, for the audit record.
    pub fn missing(&self, have: &PermissionSet) -> String {
        let lacks = |permission: &&NamedPermission| have.word(permission.word) & permission.mask == 0;
        let names =
            |names: &mut dyn Iterator<Item = &NamedPermission>| names.map(|n| &*n.name).collect::<Vec<_>>().join(", ");
        let lacking = names(&mut self.all_names.iter().filter(lacks));
        let has_any = self.any.is_empty() || !self.any_names.iter().all(|permission| lacks(&permission));
        match (lacking.is_empty(), has_any) {
            (_, true) => format!("permission {lacking}"),
            (true, false) => format!("one permission of {}", names(&mut self.any_names.iter())),
            (false, false) => format!("permission {lacking}, and one of {}", names(&mut self.any_names.iter())),
        }
    }

    /// Returns two lists of names: permissions that are all required, and permissions of which at least one is required.
    pub fn names(&self) -> (impl Iterator<Item = &str>, impl Iterator<Item = &str>) {
        (self.all_names.iter().map(|named| &*named.name), self.any_names.iter().map(|named| &*named.name))
    }
}

fn by_word(permissions: &[NamedPermission]) -> Vec<(usize, u64)> {
    let mut words: Vec<(usize, u64)> = Vec::new();
    for permission in permissions {
        match words.iter_mut().find(|(word, _)| *word == permission.word) {
            Some((_, mask)) => *mask |= permission.mask,
            None => words.push((permission.word, permission.mask)),
        }
    }
    words
}
