//! Tests of each rule of the mapping, and of the schema with which the tests check documents.

use serde_json::{Value, json};
#[cfg(target_os = "unknown")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::strict_json::schema::{Library, Schema, ValidationError};
use crate::strict_json::{self, Bounds};

fn name(text: &str) -> MemberName {
    MemberName::parse(text).unwrap()
}

fn pointer(text: &str) -> Pointer {
    Pointer::parse(text).unwrap()
}

fn relationship(name_of: &str, resource_type: &str, id: &str) -> (FieldName, Relationship) {
    (FieldName::parse(name_of).unwrap(), Relationship { resource_type: name(resource_type), id: pointer(id) })
}

pub(super) fn orders() -> Mapping {
    Mapping {
        data: Some(pointer("/items")),
        omit: vec!["_etag".to_string(), "absent".to_string()],
        relationships: [relationship("customer", "people", "/customer_id"), relationship("tags", "tags", "/refs/tags")]
            .into(),
        meta: [(name("total"), pointer("/total")), (name("page info"), pointer("/paging"))].into(),
        links: Links {
            self_link: true,
            first: Some(pointer("/paging/first")),
            last: Some(pointer("/paging/last")),
            prev: Some(pointer("/paging/prev")),
            next: Some(pointer("/paging/next")),
        },
        ..Mapping::new(name("orders"), pointer("/order_id"))
    }
}

fn plain() -> Mapping {
    Mapping::new(name("things"), pointer("/id"))
}

fn map(mapping: &Mapping, body: &str) -> Result<String, String> {
    let document =
        map_document(mapping, body.as_bytes(), "/orders?page=2", usize::MAX).map_err(|fault| fault.to_string())?;
    assert_eq!(judged(&document), Ok(()), "{body}");
    Ok(String::from_utf8(document).unwrap())
}

/// Validates a document with a schema that is written from the specification.
pub(super) fn judged(document: &[u8]) -> Result<(), ValidationError> {
    thread_local! {
        static SCHEMA: Schema = {
            let mut library = Library::new(|_, _| None);
            library.add("schemas:///json-api", serde_json::from_str(SCHEMA_TEXT).unwrap());
            library.compile("schemas:///json-api").unwrap()
        };
    }
    let bounds = Bounds { depth: 60, values: document.len() };
    let value = strict_json::read(document, bounds).expect("a document is strict JSON");
    SCHEMA.with(|schema| schema.judge(&value, ""))
}

const SCHEMA_TEXT: &str = include_str!("../../../../test-harness/json-api.schema.json");

#[test]
fn a_list_becomes_resources_with_relationships_links_and_meta() {
    let body = r#"{
        "items": [
            {"order_id": 7, "total": 1.10, "_etag": "x", "customer_id": "c-1", "refs": {"tags": [1, "b"], "x": 1}, "note": "a\u002fb\n"},
            {"lines": [ {"sku": "é", "links": {}} ], "order_id": "8", "customer_id": null, "tags": "t", "@context": "c"}
        ],
        "total": 1e2,
        "paging": {"next": "/orders?page[number]=3", "prev": null, "last": ""}
    }"#;
    let expected = concat!(
        r#"{"jsonapi":{"version":"1.1"},"links":{"self":"/orders?page=2","last":null,"prev":null,"#,
        r#""next":"/orders?page%5Bnumber%5D=3"},"data":["#,
        r#"{"type":"orders","id":"7","attributes":{"total":1.10,"note":"a\u002fb\n"},"relationships":{"#,
        r#""customer":{"data":{"type":"people","id":"c-1"}},"#,
        r#""tags":{"data":[{"type":"tags","id":"1"},{"type":"tags","id":"b"}]}}},"#,
        r#"{"type":"orders","id":"8","attributes":{"lines":[ {"sku": "é", "links": {}} ],"@context":"c"},"relationships":{"#,
        r#""customer":{"data":null},"tags":{"data":null}}}],"#,
        r#""meta":{"page info":{"next": "/orders?page[number]=3", "prev": null, "last": ""},"total":1e2}}"#,
    );
    assert_eq!(map(&orders(), body).unwrap(), expected);
}

#[test]
fn objects_lists_and_null_are_data() {
    for (body, expected) in [
        (r#"{"id":1,"a":2}"#, r#"{"type":"things","id":"1","attributes":{"a":2}}"#),
        (r#"[{"id":1}]"#, r#"[{"type":"things","id":"1","attributes":{}}]"#),
        (" [ ] ", "[]"),
        ("null\n", "null"),
    ] {
        let expected = format!("{{\"jsonapi\":{{\"version\":\"1.1\"}},\"data\":{expected}}}");
        assert_eq!(map(&plain(), body).unwrap(), expected, "{body}");
    }
}

#[test]
fn bodies_that_cannot_be_mapped_name_the_location() {
    const DATA: &str = "but only an object, a list or null can be `data`";
    const ID: &str = "but an id must be a string or an integer without a fraction or exponent";
    for (body, expected) in [
        ("", "the body is not accepted: not JSON".to_string()),
        (r#"{"a":1,"a":2}"#, "the body is not accepted: member `a` is repeated in one object".to_string()),
        ("\"secret\"", format!("the body: found a string, {DATA}")),
        ("7", format!("the body: found a number, {DATA}")),
        ("true", format!("the body: found a boolean, {DATA}")),
        (r#"[{"id":1},[]]"#, "`/1`: found a list, but each item of the list must be an object".to_string()),
        ("[null]", "`/0`: found null, but each item of the list must be an object".to_string()),
        ("{}", format!("`/id`: found nothing, {ID}")),
        (r#"[{"id":1},{"a":2}]"#, format!("`/1/id`: found nothing, {ID}")),
        (r#"{"id":null}"#, format!("`/id`: found null, {ID}")),
        (r#"{"id":""}"#, format!("`/id`: found an empty string, {ID}")),
        (r#"{"id":{}}"#, format!("`/id`: found an object, {ID}")),
        (r#"{"id":[1]}"#, format!("`/id`: found a list, {ID}")),
        (r#"{"id":false}"#, format!("`/id`: found a boolean, {ID}")),
        (r#"{"id":1.0}"#, format!("`/id`: found a number that is not a plain integer, {ID}")),
        (r#"{"id":1e3}"#, format!("`/id`: found a number that is not a plain integer, {ID}")),
        (r#"{"id":-0}"#, format!("`/id`: found a number that is not a plain integer, {ID}")),
        (r#"[{"id":1},{"id":2},{"id":"\u0031"}]"#, "`/2/id`: an earlier item of the list has the same id".to_string()),
        (r#"{"id":1,"a.b":"secret"}"#, format!("`/a.b`: JSON:API does not allow this member name: {}", name::NAMES)),
        (
            r#"[{"id":1,"a":[{"b":{"":1}}]}]"#,
            format!("`/0/a/0/b/`: JSON:API does not allow this member name: {}", name::NAMES),
        ),
        (
            r#"{"id":1,"\u001b[31m":1}"#,
            format!("`/\\u{{1b}}[31m`: JSON:API does not allow this member name: {}", name::NAMES),
        ),
    ] {
        assert_eq!(map(&plain(), body), Err(expected), "{body}");
    }
    let long = format!(r#"{{"id":1,"{}.":1}}"#, "é".repeat(500));
    assert!(map(&plain(), &long).unwrap_err().starts_with(&format!("`/{}…`: ", "é".repeat(119))));
}

#[test]
fn faults_refer_to_the_mapped_parts_of_the_body() {
    let body = |item: &str, rest: &str| format!(r#"{{"items":[{{"order_id":1,{item}}}],{rest}}}"#);
    for (body, expected) in [
        ("{}".to_string(), "`/items`: the body has no such value"),
        (r#"{"items":7}"#.to_string(), "`/items`: found a number"),
        (r#"{"items":[{"customer_id":1}]}"#.to_string(), "`/items/0/order_id`: found nothing"),
        (body(r#""customer_id":{"id":1}"#, r#""total":1"#), "`/items/0/customer_id`: found an object"),
        (body(r#""customer_id":2.5"#, r#""total":1"#), "`/items/0/customer_id`: found a number that is not"),
        (body(r#""refs":{"tags":[1,null]}"#, r#""total":1"#), "`/items/0/refs/tags/1`: found null"),
        (body(r#""refs":{"tags":[1,"1"]}"#, r#""total":1"#), "`/items/0/refs/tags/1`: an earlier item"),
        (body(r#""_":1"#, r#""total":1"#), "`/items/0/_`: JSON:API does not allow"),
        (body(r#""a":1"#, r#""total":{"a b ":1}"#), "`/total/a b `: JSON:API does not allow"),
        (body(r#""a":1"#, r#""paging":{"next":7}"#), "`/paging/next`: found a number, but a link must"),
    ] {
        let fault = map(&orders(), &body).unwrap_err();
        assert!(fault.starts_with(expected), "{body}: {fault}");
    }
}

#[test]
fn reserved_and_used_members_are_no_attributes() {
    let mapping = Mapping {
        relationships: [relationship("owner", "people", "/owned_by/0/id")].into(),
        ..Mapping::new(name("things"), pointer("/key/no"))
    };
    let body = r#"{"key":{"no":1,"x":2},"id":3,"type":"t","links":{},"relationships":[],"owner":"o","owned_by":[{"id":"p"}],"ID":4,"lid":5}"#;
    assert_eq!(
        map(&mapping, body).unwrap(),
        concat!(
            r#"{"jsonapi":{"version":"1.1"},"data":{"type":"things","id":"1","attributes":{"ID":4,"lid":5},"#,
            r#""relationships":{"owner":{"data":{"type":"people","id":"p"}}}}}"#
        )
    );
    // The name of an omitted member is compared without its escapes, and is never an attribute.
    let mapping = Mapping { omit: vec!["a.b".to_string()], ..plain() };
    assert_eq!(
        map(&mapping, r#"{"id":1,"a\u002eb":{"$":1},"\u0063":1}"#).unwrap(),
        r#"{"jsonapi":{"version":"1.1"},"data":{"type":"things","id":"1","attributes":{"\u0063":1}}}"#
    );
}

#[test]
fn pagination_links_appear_only_beside_a_list() {
    let body = |items: &str| format!(r#"{{"items":{items},"paging":{{"next":"/n"}}}}"#);
    let mapping = Mapping { meta: BTreeMap::new(), relationships: BTreeMap::new(), ..orders() };
    assert!(map(&mapping, &body("[]")).unwrap().contains(r#""links":{"self":"/orders?page=2","next":"/n"},"data":[]"#));
    for items in ["null", r#"{"order_id":1}"#] {
        assert!(
            map(&mapping, &body(items)).unwrap().contains(r#""links":{"self":"/orders?page=2"},"data":"#),
            "{items}"
        );
    }
    let mapping = Mapping { links: Links { self_link: false, ..mapping.links.clone() }, ..mapping };
    assert!(map(&mapping, &body("[]")).unwrap().contains(r#""links":{"next":"/n"},"#));
    assert_eq!(map(&mapping, r#"{"items":[]}"#).unwrap(), r#"{"jsonapi":{"version":"1.1"},"data":[]}"#);
}

#[test]
fn deep_bodies_are_rejected() {
    let nested = |depth: usize| format!(r#"{{"id":1,"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert!(map(&plain(), &nested(31)).is_ok());
    assert_eq!(map(&plain(), &nested(32)).unwrap_err(), "the body is not accepted: nested deeper than 32 levels");
}

#[test]
fn error_documents_match_the_schema() {
    for (status, detail) in [(400, None), (418, Some("I'm a teapot")), (503, Some("\"\\\u{0}\u{7f}"))] {
        assert_eq!(judged(&map_error(status, "req-1", detail.map(str::as_bytes))), Ok(()));
    }
}

#[test]
fn the_schema_rejects_invalid_documents() {
    let resource = |member: &str, value: Value| {
        let mut resource = json!({ "type": "things", "id": "1", "attributes": {} });
        resource[member] = value;
        json!({ "jsonapi": { "version": "1.1" }, "data": resource })
    };
    let document = |member: &str, value: Value| {
        let mut document = json!({ "jsonapi": { "version": "1.1" }, "data": [] });
        document[member] = value;
        document
    };
    for valid in
        [resource("type", json!("a b")), document("data", json!(null)), document("links", json!({ "next": null }))]
    {
        assert_eq!(judged(valid.to_string().as_bytes()), Ok(()), "{valid}");
    }
    for invalid in [
        json!([]),
        json!({ "jsonapi": { "version": "1.1" } }),
        document("errors", json!([{ "status": "400" }])),
        document("other", json!(1)),
        document("data", json!("text")),
        document("data", json!([null])),
        document("links", json!({ "next": 1 })),
        document("links", json!({ "next": "/a b" })),
        document("links", json!({ "other": "/" })),
        document("meta", json!({ "a": [{ "_": 1 }] })),
        document("meta", json!([])),
        resource("id", json!(1)),
        resource("id", json!("")),
        resource("type", json!("a.b")),
        resource("type", json!(" a")),
        resource("attributes", json!({ "id": 1 })),
        resource("attributes", json!({ "a": { "b": [{ "c/d": 1 }] } })),
        resource("relationships", json!({ "a": {} })),
        resource("relationships", json!({ "a": { "data": { "id": "1" } } })),
        resource("relationships", json!({ "type": { "data": null } })),
        resource("other", json!(1)),
    ] {
        assert!(judged(invalid.to_string().as_bytes()).is_err(), "{invalid}");
    }
    let mut paged = resource("id", json!("1"));
    paged["links"] = json!({ "next": "/" });
    assert!(judged(paged.to_string().as_bytes()).is_err());
}
