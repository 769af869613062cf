//! Sets of scopes, with one bit for each scope that a route requires.

use std::collections::HashMap;

use serde_json::Value;

use crate::config::claim::ClaimPath;
use crate::policy::credentials::footprint::block;

/// The scopes that routes require, numbered when the policy is compiled. Scopes that no route requires are ignored.
#[derive(Debug, Default)]
pub struct ScopeRegistry {
    numbers: HashMap<String, usize>,
}

/// A set of registered scopes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeSet(Vec<u64>);

impl ScopeRegistry {
    /// Returns the set of these scopes. New scopes are added to the registry.
    pub fn register<'s>(&mut self, scopes: impl IntoIterator<Item = &'s String>) -> ScopeSet {
        let mut set = ScopeSet::default();
        for scope in scopes {
            let next = self.numbers.len();
            set.insert(*self.numbers.entry(scope.clone()).or_insert(next));
        }
        set
    }

    /// Returns the set of these scopes, without scopes that no route requires.
    pub fn listed<'s>(&self, scopes: impl IntoIterator<Item = &'s str>) -> ScopeSet {
        let mut set = ScopeSet::default();
        scopes.into_iter().for_each(|scope| self.grant(&mut set, scope));
        set
    }

    /// Returns the scopes that a token grants. Reads only the first claim of `places` that is present. This claim must be a
    /// space-delimited string (RFC 6749 §3.3) or a list of strings. A claim of another type grants nothing, and neither does a
    /// list with an item that is not a string.
    pub fn granted(&self, claims: &Value, places: &[ClaimPath]) -> ScopeSet {
        let mut set = ScopeSet::default();
        match places.iter().find_map(|place| place.find(claims)) {
            Some(Value::String(text)) => text.split(' ').for_each(|scope| self.grant(&mut set, scope)),
            Some(Value::Array(items)) if items.iter().all(Value::is_string) => {
                items.iter().filter_map(Value::as_str).for_each(|scope| self.grant(&mut set, scope));
            }
            _ => {}
        }
        set
    }

    fn grant(&self, set: &mut ScopeSet, scope: &str) {
        if let Some(number) = self.numbers.get(scope) {
            set.insert(*number);
        }
    }
}

impl ScopeSet {
    /// Returns the bytes allocated for the set.
    pub fn allocated(&self) -> usize {
        block(self.0.capacity() * size_of::<u64>())
    }

    /// Returns `true` if the set contains all of `needed`.
    pub fn has_all(&self, needed: &ScopeSet) -> bool {
        needed.0.iter().enumerate().all(|(i, word)| self.0.get(i).copied().unwrap_or(0) & word == *word)
    }

    /// Returns `true` if the set contains at least one of `needed`, or if `needed` is empty.
    pub fn has_any(&self, needed: &ScopeSet) -> bool {
        needed.0.is_empty() || needed.0.iter().zip(&self.0).any(|(needed, have)| needed & have != 0)
    }

    /// Keeps only the scopes that are in both sets.
    pub fn cut_to(&mut self, other: &ScopeSet) {
        for (i, word) in self.0.iter_mut().enumerate() {
            *word &= other.0.get(i).copied().unwrap_or(0);
        }
    }

    fn insert(&mut self, number: usize) {
        let word = number / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(bits) = self.0.get_mut(word) {
            *bits |= 1 << (number % 64);
        }
    }
}

/// Returns `true` if `text` is a scope token (RFC 6749 §3.3). Its characters need no escape in a `WWW-Authenticate` challenge.
pub fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn scopes_are_read_only_from_text_and_lists() {
        let mut registry = ScopeRegistry::default();
        let read = registry.register([&"read".to_string()]);
        let both = registry.register([&"read".to_string(), &"write".to_string()]);
        let places = ["scope", "scp", "scopes"].map(ClaimPath::top);
        for (claims, all, any) in [
            (json!({"scope": "read write other"}), true, true),
            (json!({"scp": ["write", "read"]}), true, true),
            (json!({"scopes": ["read"]}), false, true),
            (json!({"scope": "readwrite"}), false, false),
            (json!({"scope": "READ WRITE"}), false, false),
            (json!({"scope": "other", "scopes": ["read", "write"]}), false, false),
            (json!({"scopes": [["read"], 7]}), false, false),
            (json!({"scopes": ["read", "write", 7]}), false, false),
            (json!({"scope": {"read": true}}), false, false),
            (json!({}), false, false),
        ] {
            let granted = registry.granted(&claims, &places);
            assert_eq!((granted.has_all(&both), granted.has_any(&both)), (all, any), "{claims}");
            assert_eq!(granted.has_all(&read), any, "{claims}");
        }
        assert!(ScopeSet::default().has_any(&ScopeSet::default()), "an empty requirement is met");
    }

    #[test]
    fn a_scope_needs_no_escape_in_a_challenge() {
        for (text, expected) in [
            ("read:orders", true),
            ("!~", true),
            ("", false),
            ("a b", false),
            ("a\"b", false),
            ("a\\b", false),
            ("ä", false),
        ] {
            assert_eq!(is_scope(text), expected, "{text}");
        }
    }

    #[test]
    fn scope_sets_span_several_words() {
        let mut registry = ScopeRegistry::default();
        let names: Vec<String> = (0..200).map(|i| format!("s{i}")).collect();
        let all = registry.register(&names);
        let granted = registry.granted(&json!({ "scope": names }), &[ClaimPath::top("scope")]);
        assert!(granted.has_all(&all));
        let fewer = registry.granted(&json!({ "scope": names[..199] }), &[ClaimPath::top("scope")]);
        assert!(!fewer.has_all(&all) && fewer.has_any(&all));
    }
}
