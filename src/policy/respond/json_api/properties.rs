//! Property tests: every body becomes a valid document or a fault, and attributes do not change.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::tests::{judged, orders};
use super::*;
use crate::strict_json;
use crate::strict_json::tree::Json;
use crate::strict_json::{Bounds, MAX_DEPTH};

/// Returns `text` as a JSON string. If `escapes` is set, writes every character as an escape, although JSON does not require it.
fn quoted(text: &str, escapes: bool) -> String {
    let letters = text.chars().map(|letter| match letter {
        '"' | '\\' => format!("\\{letter}"),
        letter if letter < ' ' || escapes => {
            letter.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
        }
        letter => letter.to_string(),
    });
    format!("\"{}\"", letters.collect::<String>())
}

fn text() -> impl Strategy<Value = String> {
    (prop_oneof![4 => "[a-z0-9]{1,4}", 1 => ".{0,6}"], any::<bool>()).prop_map(|(text, escapes)| quoted(&text, escapes))
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![(0..20_u8).prop_map(|n| n.to_string()), "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,20})?([eE][-+]?[0-9]{1,2})?"]
}

/// Generates member names. Many of them are used by the mapping or reserved by JSON:API; only a few are names that JSON:API does
/// not allow.
fn member() -> impl Strategy<Value = String> {
    let known =
        ["id", "type", "links", "relationships", "customer", "tags", "refs", "_etag", "order_id", "a", "b-c", "@d"];
    let name = prop_oneof![
        40 => select(known.map(str::to_string).to_vec()),
        40 => "[a-zA-Z0-9é😀][-_ a-zé]{0,2}[a-z0-9ü]",
        1 => ".{0,3}",
    ];
    (name, prop::bool::weighted(0.1)).prop_map(|(name, escapes)| quoted(&name, escapes))
}

fn object(members: Vec<(String, String)>, space: &str) -> String {
    let members: Vec<_> = members.into_iter().map(|(name, value)| format!("{name}{space}:{value}")).collect();
    format!("{{{space}{}{space}}}", members.join(","))
}

fn space() -> impl Strategy<Value = &'static str> {
    select(vec!["", "", " ", "\r\n\t"])
}

fn value() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![text(), number(), select(vec!["null", "true", "false"]).prop_map(str::to_string)];
    scalar.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            (vec(inner.clone(), 0..4), space()).prop_map(|(items, space)| format!("[{space}{}]", items.join(","))),
            (vec((member(), inner), 0..4), space()).prop_map(|(members, space)| object(members, space)),
        ]
    })
}

/// Generates items of the list. Most of them are objects with a usable id.
fn item() -> impl Strategy<Value = String> {
    let id = prop_oneof![30 => "\"[a-z]{8}\"", 30 => "[1-9][0-9]{6}", 1 => value()];
    let customer = option::of(prop_oneof![9 => text(), 9 => Just("null".to_string()), 1 => value()]);
    let ids = vec(prop_oneof![30 => "[1-9][0-9]{6}", 1 => value()], 0..3);
    let tags = option::of(ids.prop_map(|ids| format!("{{\"tags\":[{}]}}", ids.join(","))));
    let fixed = (id, customer, tags, vec((member(), value()), 0..4), space());
    let item = fixed.prop_map(|(id, customer, tags, mut members, space)| {
        let used = [("order_id", Some(id)), ("customer_id", customer), ("refs", tags)];
        members.retain(|(name, _)| used.iter().all(|(used, _)| !name.contains(used)));
        members.extend(used.into_iter().filter_map(|(name, value)| Some((quoted(name, false), value?))));
        object(members, space)
    });
    prop_oneof![60 => item, 1 => value()]
}

fn body() -> impl Strategy<Value = String> {
    let items = prop_oneof![
        8 => vec(item(), 0..5).prop_map(|items| format!("[{}]", items.join(","))),
        1 => item(),
        1 => value(),
    ];
    let link = option::of(prop_oneof![9 => text(), 1 => value()]);
    (items, option::of(value()), link.clone(), link, space()).prop_map(|(items, total, next, prev, space)| {
        let paging = [("next", next), ("prev", prev)].into_iter();
        let paging = paging.filter_map(|(name, value)| Some((quoted(name, false), value?))).collect();
        let members = [("items", Some(items)), ("total", total), ("paging", Some(object(paging, space)))].into_iter();
        object(members.filter_map(|(name, value)| Some((quoted(name, false), value?))).collect(), space)
    })
}

fn read(text: &[u8]) -> Json<'_> {
    strict_json::read(text, Bounds { depth: MAX_DEPTH + 4, values: usize::MAX }).unwrap()
}

fn member_of<'j, 't>(value: &'j Json<'t>, name: &str) -> Option<&'j Json<'t>> {
    match value {
        Json::Object(members) => members.get(name).map(|(_, value)| value),
        _ => None,
    }
}

fn list<'j, 't>(value: &'j Json<'t>) -> Vec<&'j Json<'t>> {
    match value {
        Json::List(items) => items.iter().collect(),
        Json::Null => Vec::new(),
        value => vec![value],
    }
}

fn names(value: Option<&Json<'_>>) -> BTreeSet<String> {
    match value {
        Some(Json::Object(members)) => members.iter().map(|(name, _)| name.to_string()).collect(),
        _ => BTreeSet::new(),
    }
}

/// Compares the resources of a document with the items of the body. Uses no code of the mapping, so that it finds errors in that
/// code.
fn check_resources(body: &str, document: &[u8]) {
    let (body, document) = (read(body.as_bytes()), read(document));
    let items = list(member_of(&body, "items").unwrap());
    let resources = list(member_of(&document, "data").unwrap());
    assert_eq!(items.len(), resources.len());
    let mut ids = BTreeSet::new();
    for (item, resource) in items.into_iter().zip(resources) {
        let Some(Json::Text(id)) = member_of(resource, "id") else { panic!("no id") };
        assert!(ids.insert(id.to_string()), "{id} is repeated");
        match member_of(item, "order_id").unwrap() {
            Json::Text(text) => assert_eq!(text, id),
            Json::Number(number) => assert_eq!(number.text(), id),
            other => panic!("{other:?}"),
        }
        let unused =
            ["id", "type", "links", "relationships", "order_id", "_etag", "customer", "customer_id", "tags", "refs"];
        let attributes = member_of(resource, "attributes");
        let expected: BTreeSet<_> =
            names(Some(item)).into_iter().filter(|name| !unused.contains(&name.as_str())).collect();
        assert_eq!(names(attributes), expected);
        for name in expected {
            // `Json` keeps numbers as written, so this comparison also finds a number in another notation.
            let (before, after) = (member_of(item, &name).unwrap(), member_of(attributes.unwrap(), &name).unwrap());
            assert_eq!(format!("{before:?}"), format!("{after:?}"));
        }
        assert_eq!(names(member_of(resource, "relationships")), ["customer", "tags"].map(str::to_string).into());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bodies_become_valid_documents_with_unchanged_attributes(body in body(), target in "/.{0,12}") {
        if let Ok(document) = map_document(&orders(), body.as_bytes(), &target, usize::MAX) {
            prop_assert_eq!(judged(&document), Ok(()), "{}", String::from_utf8_lossy(&document));
            check_resources(&body, &document);
        }
    }

    #[test]
    fn any_json_becomes_a_valid_document_or_a_fault(body in value(), data in "(/[a0-2]){0,2}", id in "(/[ab0]){0,2}") {
        let mapping = Mapping {
            data: Some(Pointer::parse(&data).unwrap()).filter(|_| !data.is_empty()),
            id: Pointer::parse(&id).unwrap(),
            ..orders()
        };
        if let Ok(document) = map_document(&mapping, body.as_bytes(), "/", usize::MAX) {
            prop_assert_eq!(judged(&document), Ok(()));
        }
    }

    #[test]
    fn any_bytes_become_a_valid_document_or_a_fault(body in vec(any::<u8>(), 0..40), text in "[\\[\\]{}\",:a0-9. ]{0,20}") {
        for body in [body.as_slice(), text.as_bytes()] {
            if let Ok(document) = map_document(&Mapping { data: None, ..orders() }, body, "/", usize::MAX) {
                prop_assert_eq!(judged(&document), Ok(()));
            }
        }
    }

    #[test]
    fn any_error_becomes_a_valid_document(status in 400_u16..600, id in ".{0,8}", detail in vec(any::<u8>(), 0..40), text in ".{0,40}") {
        for detail in [None, Some(detail.as_slice()), Some(text.as_bytes())] {
            prop_assert_eq!(judged(&map_error(status, &id, detail)), Ok(()));
        }
    }

    /// An outline and a tree accept the same texts, and reject other texts for the same reasons.
    #[test]
    fn outlines_and_trees_agree(body in body(), cut in 0_usize..400, byte in any::<u8>(), values in 0_usize..60) {
        let mut bytes = body.into_bytes();
        if let Some(changed) = bytes.get_mut(cut) {
            *changed = byte;
        }
        let bounds = Bounds { depth: 5, values };
        prop_assert_eq!(strict_json::outline(&bytes, bounds).err(), strict_json::read(&bytes, bounds).err());
    }
}

/// Checks that many generated bodies have no fault. Otherwise, the property tests of this file would rarely test a document.
#[test]
fn most_generated_bodies_can_be_mapped() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mapped = (0..300).filter(|_| {
        let body = body().new_tree(&mut runner).unwrap().current();
        map_document(&orders(), body.as_bytes(), "/", usize::MAX).is_ok()
    });
    let mapped = mapped.count();
    assert!(mapped > 100, "{mapped} of 300");
}
