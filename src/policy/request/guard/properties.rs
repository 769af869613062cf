//! Properties of the guard that must be true for arbitrary bytes.

use proptest::prelude::*;
use proptest::test_runner::{FailurePersistence, FileFailurePersistence};

use super::{query_pairs, read_host, read_target, without_query_pair};
#[cfg(target_os = "unknown")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Generates arbitrary bytes, and paths made of typical attack fragments that arbitrary bytes would rarely contain.
fn target() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => proptest::sample::select(vec!["/", "a", "B", "%41", "%7e", "%c3%a9", "%20", "%3f", "%25", "25", "."]),
        1 => proptest::sample::select(vec![
            "..", "%2e", "%2E", "%2f", "%5C", "%00", "%3b", "%c0%ae", "%", "%2", "32", "66", "//", ";", "\\", "#", "?", "é", " ",
        ]),
    ];
    let pieces =
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()).into_bytes());
    prop_oneof![4 => pieces, 1 => proptest::collection::vec(any::<u8>(), 0..40)]
}

/// Decodes percent-escapes independently of the guard, so that the guard's decoder does not test itself.
fn decode(path: &str) -> Vec<u8> {
    let (mut rest, mut decoded) = (path.as_bytes(), Vec::new());
    while let Some((first, after)) = rest.split_first() {
        // `from_str_radix` would also accept a plus sign.
        let digits = after.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let escape = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match (first, escape) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                rest = &after[2..];
            }
            _ => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    decoded
}

/// Stores failing cases next to this file, so that the next run tests them first.
fn regressions() -> Option<Box<dyn FailurePersistence>> {
    Some(Box::new(FileFailurePersistence::WithSource("regressions")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: regressions(), ..ProptestConfig::default() })]

    #[test]
    fn an_accepted_path_is_normalized(raw in target()) {
        if let Ok(read) = read_target(&raw) {
            let target = read.target().into_owned();
            let again = read_target(target.as_bytes()).map_err(|fault| TestCaseError::fail(format!("{target}: {fault}")))?;
            prop_assert_eq!(again.path(), read.path());
            prop_assert_eq!(again.query(), read.query());
            prop_assert!(!again.changed(), "{} is normalized twice", target);
            prop_assert_eq!(read.changed(), target.as_bytes() != raw.as_slice());
        }
    }

    #[test]
    fn an_accepted_path_hides_nothing_after_decoding(raw in target()) {
        if let Ok(read) = read_target(&raw) {
            let path = read.path();
            prop_assert!(path.is_ascii() && !path.contains(['?', '#', ';', '\\', ' ']));
            let slashes = path.matches('/').count();
            let decoded = String::from_utf8(decode(path)).map_err(|_| TestCaseError::fail("not UTF-8"))?;
            prop_assert_eq!(decoded.matches('/').count(), slashes, "an escape hides a slash");
            prop_assert!(!decoded.contains(['\\', ';']) && !decoded.contains(char::is_control), "{:?}", decoded);
            prop_assert!(decoded.starts_with('/') && !decoded.contains("//"), "{:?}", decoded);
            prop_assert!(!decoded.split('/').any(|segment| segment == "." || segment == ".."), "{:?}", decoded);
            // A second decoding changes nothing.
            let twice = decode(&decoded);
            prop_assert_eq!(twice, decoded.as_bytes());
        }
    }

    #[test]
    fn hosts_are_normalized_and_no_input_panics(raw in proptest::collection::vec(any::<u8>(), 0..40), text in "[a-zA-Z0-9.:@\\[\\]_-]{0,20}") {
        for authority in [raw.as_slice(), text.as_bytes()] {
            if let Ok(host) = read_host(authority) {
                let again = read_host(host.name().as_bytes());
                prop_assert_eq!(again.as_ref().map(|host| host.name()), Ok(host.name()));
                prop_assert!(!host.name().contains(|c: char| c.is_ascii_uppercase()));
            }
        }
    }

    #[test]
    fn only_the_named_pair_is_removed(query in "[a-c=&+%0-9]{0,24}") {
        let rest = without_query_pair(&query, "a");
        let kept: Vec<_> = query_pairs(&query).filter(|(name, _)| name != "a").collect();
        prop_assert_eq!(query_pairs(&rest).collect::<Vec<_>>(), kept);
    }
}
