//! Tests of schema validation, and of the findings that clients see.

use serde_json::{Value, json};
#[cfg(target_os = "unknown")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{Library, Schema, ValidationError};

fn compile(schemas: &[(&str, Value)]) -> Result<Schema, Vec<String>> {
    let mut library = Library::new(|_, _| None);
    for (name, schema) in schemas {
        library.add(&format!("schemas:///{name}"), schema.clone());
    }
    let first = schemas.first().map(|(name, _)| format!("schemas:///{name}")).unwrap_or_default();
    library.compile(&first).map_err(|faults| faults.iter().map(|f| format!("{}: {}", f.pointer, f.message)).collect())
}

fn findings(schema: &Schema, value: &Value) -> Vec<String> {
    match schema.judge(&value.into(), "/body") {
        Ok(()) => Vec::new(),
        Err(ValidationError::TooComplex) => vec!["too complex".to_string()],
        Err(ValidationError::Findings(findings)) => {
            findings.iter().map(|f| format!("{} {}", f.pointer, f.message)).collect()
        }
    }
}

#[test]
fn findings_name_the_location_and_requirement_without_repeating_values() {
    let order = json!({
        "type": "object",
        "required": ["id", "lines"],
        "properties": {
            "id": { "type": "string", "pattern": "^[A-Z]{2}[0-9]+$", "maxLength": 8 },
            "lines": { "type": "array", "minItems": 1, "items": { "$ref": "line" } },
            "note": { "type": ["string", "null"] },
            "prices": { "additionalProperties": { "type": "number", "exclusiveMinimum": 0, "multipleOf": 0.01 } },
            "kind": { "enum": ["a", "b"] },
        },
        "additionalProperties": false,
    });
    let line = json!({ "type": "object", "required": ["sku"], "properties": { "sku": { "const": 7 }, "a/b": false } });
    let schema = compile(&[("order", order), ("line", line)]).unwrap();
    for (value, expected) in [
        (json!({ "id": "AB1", "lines": [{ "sku": 7 }], "prices": { "secret": 19.99 } }), vec![]),
        (json!([]), vec!["/body must be an object"]),
        (json!({ "id": 1 }), vec!["/body/lines is missing", "/body/id must be a string"]),
        (
            json!({ "id": "secret-9", "lines": [], "secret": 1, "note": 2, "kind": "secret" }),
            vec![
                "/body/id must have the accepted form",
                "/body/kind must be one of the accepted values",
                "/body/note must be a string or null",
                "/body/lines must have at least 1 items",
                "/body has a member that is not accepted here",
            ],
        ),
        (
            json!({ "id": "AB1", "lines": [{ "sku": 7 }, { "sku": 8, "a/b": 1 }, {}, "secret"], "prices": { "secret": 0.001 } }),
            vec![
                "/body/lines/1/a~1b is not accepted",
                "/body/lines/1/sku must be the accepted value",
                "/body/lines/2/sku is missing",
                "/body/lines/3 must be an object",
                "/body/prices/* must be a multiple of 0.01",
            ],
        ),
    ] {
        let found = findings(&schema, &value);
        assert_eq!(found, expected, "{value}");
        assert!(!found.concat().contains("secret"));
    }
}

#[test]
fn findings_are_bounded_and_reported_once() {
    let schema = compile(&[("s", json!({ "items": { "type": "string" } }))]).unwrap();
    assert_eq!(findings(&schema, &json!(vec![1; 1000])).len(), 20);
    let twice = json!({ "allOf": [{ "type": "string" }, { "type": "string" }], "unevaluatedProperties": false });
    let schema = compile(&[("s", twice)]).unwrap();
    assert_eq!(findings(&schema, &json!({ "a": 1 })), ["/body must be a string"]);
}

#[test]
fn all_faults_of_schemas_are_reported_with_their_places() {
    for (schema, expected) in [
        (json!({ "type": "strin" }), "/type: `type`: expected one or several of object, array"),
        (
            json!({ "properties": { "a": { "minLength": -1 } } }),
            "/properties/a/minLength: `minLength`: expected a whole",
        ),
        (json!({ "properties": { "a": 1 } }), "/properties/a: a schema must be an object, true or false"),
        (json!({ "properties": [] }), "/properties: `properties`: expected an object"),
        (json!({ "required": ["a", "a"] }), "/required: `required`: expected a list of different names"),
        (json!({ "allOf": [] }), "/allOf: `allOf`: expected a list with at least one schema"),
        (json!({ "multipleOf": 0 }), "/multipleOf: `multipleOf`: expected a number above 0"),
        (
            json!({ "pattern": "\\p{Emoji}" }),
            "/pattern: `\\p{Emoji}`: `\\p{Emoji}` is not supported (accepted: the general categories of Unicode, as `\\p{L}`",
        ),
        (json!({ "pattern": "(?=a)" }), "/pattern: `(?=a)`: looking ahead"),
        (json!({ "patternProperties": { "(": true } }), "/patternProperties: `(`: this is not a regular expression"),
        (json!({ "$ref": "https://example.com/s" }), "/$ref: `https://example.com/s` leads nowhere"),
        (json!({ "$ref": "#/$defs/none" }), "/$ref: `#/$defs/none` leads nowhere"),
        (json!({ "$ref": "#none" }), "/$ref: `#none` leads nowhere"),
        (json!({ "$ref": "#/$defs/a~2b", "$defs": { "a~2b": true } }), "/$ref: `#/$defs/a~2b` leads nowhere"),
        (json!({ "$ref": "#/title", "title": "t" }), "/$ref: `#/title` leads to a value that is not a schema"),
        (json!({ "$ref": 1 }), "/$ref: `$ref`: expected text"),
        (json!({ "$defs": [] }), "/$defs: `$defs`: expected an object"),
        (json!({ "$defs": { "a": { "type": 1 } } }), "/$defs/a/type: `type`: expected one"),
        (json!({ "$id": "http://a/b#c" }), "/$id: `$id`: expected an address without fragment"),
        (json!({ "$anchor": "1" }), "/$anchor: `$anchor`: expected a letter"),
        (json!({ "$defs": { "a": { "$anchor": "x" }, "b": { "$anchor": "x" } } }), "the anchor `x` is declared twice"),
        (
            json!({ "$schema": "http://json-schema.org/draft-07/schema#" }),
            "/$schema: `http://json-schema.org/draft-07/schema#` is not a supported dialect",
        ),
        (json!({ "$ref": "#" }), ": this schema applies itself to the same value again"),
        (json!({ "anyOf": [{ "$ref": "#/$defs/a" }], "$defs": { "a": { "not": { "$ref": "#" } } } }), "applies itself"),
        (json!({ "$dynamicAnchor": "n", "allOf": [{ "$dynamicRef": "#n" }] }), "applies itself"),
    ] {
        let found = compile(&[("s", schema.clone())]).err().unwrap_or_default();
        assert!(found.len() == 1 && found[0].contains(expected), "{schema}: expected {expected}, found {found:?}");
    }
    let many = json!({ "type": 1, "properties": { "a": { "maximum": "x" }, "b": { "$ref": "nowhere" } } });
    assert_eq!(compile(&[("s", many)]).err().unwrap_or_default().len(), 3);
    let chain: Vec<Value> = (0..99).map(|i| json!({ "$ref": format!("#/$defs/x/prefixItems/{}", i + 1) })).collect();
    let chain = json!({ "$defs": { "x": { "prefixItems": ([chain, vec![json!({})]].concat()) } } });
    assert!(compile(&[("s", chain)]).err().unwrap_or_default().concat().contains("references follow each other"));
}

/// Each level of nesting doubles the work, so validation of forty levels would not end without a bound.
#[test]
fn validation_time_is_bounded_for_every_value() {
    let nested = |depth: usize, op: Value| (0..depth).fold(json!("x"), |inner, _| json!({ "left": inner, "op": op }));
    let form = |op: Value| json!({ "type": "object", "required": ["left", "op"], "properties": { "left": { "$ref": "#/$defs/e" }, "op": op } });
    let expression = |one: Value, two: Value| json!({ "$ref": "#/$defs/e", "$defs": { "e": { "oneOf": [{ "type": "string" }, form(one), form(two)] } } });
    // If one member decides which branch applies, the other branches fail immediately.
    let told_apart = compile(&[("s", expression(json!({ "const": "and" }), json!({ "const": "or" })))]).unwrap();
    assert_eq!(findings(&told_apart, &nested(100, json!("or"))), Vec::<String>::new());
    assert_eq!(findings(&told_apart, &nested(100, json!(1))), ["/body must have exactly one of the accepted forms"]);
    // Otherwise all branches must be tried, and validation stops at the bound.
    let alike = compile(&[("s", expression(json!(true), json!(true)))]).unwrap();
    assert_eq!(findings(&alike, &nested(100, json!(1))), ["too complex"]);
    assert_eq!(findings(&alike, &nested(3, json!(1))), ["/body must have exactly one of the accepted forms"]);
    // Many equal items and long texts with patterns are also bounded.
    let unique = compile(&[("s", json!({ "uniqueItems": true }))]).unwrap();
    assert_eq!(findings(&unique, &json!(vec![1; 100_000])), ["/body must not have the same item twice"]);
    let pattern = compile(&[("s", json!({ "pattern": "^(a|aa)+$" }))]).unwrap();
    assert_eq!(findings(&pattern, &json!(format!("{}b", "a".repeat(1 << 20)))), ["/body must have the accepted form"]);
    // A repetition of 3000 has three thousand states. Validation counts the transitions between the states.
    let counted = compile(&[("s", json!({ "pattern": "(?:a|b|ab|ba|[a-z]){3000}1" }))]).unwrap();
    assert_eq!(findings(&counted, &json!("ab".repeat(1 << 19))), ["too complex"]);
    assert_eq!(findings(&counted, &json!("ab".repeat(9))), ["/body must have the accepted form"]);
    let names = compile(&[("s", json!({ "patternProperties": { "(?:a|b|ab|ba|[a-z]){3000}1": true } }))]).unwrap();
    assert_eq!(findings(&names, &json!({ "ab".repeat(1 << 19): 1 })), ["too complex"]);
    let mail = compile(&[("s", json!({ "items": { "pattern": "^[^@]{1,64}@[^@.]{1,200}\\.[^@]{1,55}$" } }))]).unwrap();
    assert_eq!(findings(&mail, &json!(vec!["somebody@orders.example.com"; 10_000])), Vec::<String>::new());
    // A pattern is not applied to a string that exceeds `maxLength`: this pattern would visit each character 500 times.
    let long = compile(&[("s", json!({ "pattern": "x.{500}y", "maxLength": 100 }))]).unwrap();
    assert_eq!(findings(&long, &json!("x".repeat(1 << 20))), ["/body must have at most 100 characters"]);
    // Members that are not allowed also count as steps. Here, each level of nesting doubles the number of visits.
    let child = json!({ "properties": { "child": { "$ref": "#" } } });
    for only in ["additionalProperties", "unevaluatedProperties"] {
        let leaf = json!({ "properties": { "child": true }, only: false });
        let twice = compile(&[("s", json!({ "allOf": [child, child, leaf] }))]).unwrap();
        let most = Value::Object((0..50).map(|i| (format!("m{i}"), json!(1))).collect());
        let nested = |depth: usize| (0..depth).fold(most.clone(), |inner, _| json!({ "child": inner }));
        assert_eq!(findings(&twice, &nested(13)), ["too complex"], "{only}");
        assert!(findings(&twice, &nested(2))[0].ends_with("child/child has a member that is not accepted here"));
    }
}

#[test]
fn schemas_can_refer_to_the_standard() {
    assert_eq!(super::dialect::documents().len(), 8);
    let schema = compile(&[("s", json!({ "$ref": "https://json-schema.org/draft/2020-12/schema" }))]).unwrap();
    assert_eq!(findings(&schema, &json!({ "properties": { "a": { "minimum": 1 } } })), Vec::<String>::new());
    assert_eq!(
        findings(&schema, &json!({ "properties": { "a": { "minimum": "1" } } })),
        ["/body/properties/*/minimum must be a number"]
    );
}
