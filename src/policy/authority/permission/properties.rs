//! Property tests: parsing, merging and checking permissions give the same results as operations on plain sets of names.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::subsequence;
use serde_json::json;

use super::*;
use crate::config::claim::ClaimPath;

const BITS: [(&str, u16); 8] = [("A", 0), ("B", 1), ("C", 31), ("D", 52), ("E", 53), ("F", 63), ("G", 64), ("H", 1023)];

fn registry() -> PermissionRegistry {
    let mut registry = PermissionRegistry::default();
    registry.add("NONE", [].into_iter());
    registry.add("ONE", BITS.into_iter().filter(|(_, bit)| *bit < 64));
    registry.add("TWO", BITS.into_iter());
    registry
}

type PermissionNames = BTreeSet<String>;

fn some_names() -> impl Strategy<Value = PermissionNames> {
    let all: Vec<String> = registry().names().map(str::to_string).collect();
    subsequence(all.clone(), 0..=all.len()).prop_map(|names| names.into_iter().collect())
}

/// Encodes the names as claims of a token, and reads the claims with the registry.
fn granted(registry: &PermissionRegistry, names: &PermissionNames) -> PermissionSet {
    let mask = |domain: &str| {
        let mut mask = Mask::default();
        let mine = BITS.iter().filter(|(name, _)| names.contains(&format!("{domain}.{name}")));
        mine.for_each(|(_, bit)| mask.set(*bit));
        mask.to_string()
    };
    let claims = json!({ "ONE": mask("ONE"), "TWO": mask("TWO") });
    let everywhere = ClaimPath::members(&[]);
    registry.granted(&claims, &[everywhere]).unwrap()
}

fn names_in(registry: &PermissionRegistry, set: &PermissionSet) -> PermissionNames {
    registry.names_of(set).split(',').filter(|name| !name.is_empty()).map(str::to_string).collect()
}

proptest! {
    #[test]
    fn granted_permissions_are_forwarded(names in some_names()) {
        let registry = registry();
        prop_assert_eq!(names_in(&registry, &granted(&registry, &names)), names);
    }

    #[test]
    fn merging_is_the_union(a in some_names(), b in some_names()) {
        let registry = registry();
        let (left, right) = (granted(&registry, &a), granted(&registry, &b));
        let add = |one: &PermissionSet, other: &PermissionSet| { let mut sum = one.clone(); sum.extend(other); sum };
        let sum = add(&left, &right);
        prop_assert_eq!(names_in(&registry, &sum), a.union(&b).cloned().collect::<PermissionNames>());
        prop_assert_eq!(&sum, &add(&right, &left));
        prop_assert_eq!(&add(&sum, &left), &sum);
        prop_assert_eq!(&add(&PermissionSet::default(), &left), &left);
    }

    #[test]
    fn a_requirement_is_met_by_all_required_and_one_alternative(have in some_names(), all in some_names(), any in some_names()) {
        let registry = registry();
        let set = granted(&registry, &have);
        let need = registry.need(all.iter().map(String::as_str), any.iter().map(String::as_str));
        let expected = all.is_subset(&have) && (any.is_empty() || !any.is_disjoint(&have));
        prop_assert_eq!(need.is_met(&set), expected);
        if !expected {
            let missing = need.missing(&set);
            prop_assert!(all.difference(&have).all(|name| missing.contains(name.as_str())), "{}", missing);
        }
    }

    #[test]
    fn more_permissions_never_reduce_access(have in some_names(), more in some_names(), all in some_names(), any in some_names()) {
        let registry = registry();
        let need = registry.need(all.iter().map(String::as_str), any.iter().map(String::as_str));
        let (fewer, mut set) = (granted(&registry, &have), granted(&registry, &have));
        set.extend(&granted(&registry, &more));
        prop_assert!(!need.is_met(&fewer) || need.is_met(&set));
    }

    #[test]
    fn a_formatted_mask_can_be_parsed(words in proptest::collection::vec(any::<u64>(), 0..16)) {
        let mask = Mask::from_words(&words);
        prop_assert_eq!(Mask::parse(&mask.to_string()), Ok(mask));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,40}", json in "[-+0-9.eExXa-f\":b64]{0,30}") {
        let _ = Mask::parse(&text);
        let _ = Mask::parse(&json);
        let _ = registry().granted(&json!({ "p": [text, json] }), &[ClaimPath::top("p")]);
    }
}
