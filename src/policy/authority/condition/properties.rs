//! Property tests: parsing and evaluation never panic, and the three truth values follow the tables of Kleene's logic.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::tests::verdict;
use crate::policy::compile::conditions::parse;

/// Fragments of conditions. Random sequences of fragments reach more of the parser than random characters.
const PIECES: [&str; 44] = [
    "claims",
    "client",
    ".tags",
    ".plan",
    ".environment",
    "path",
    "header",
    "query",
    "request",
    "peer",
    "time",
    ".a",
    ".id",
    ".method",
    ".host",
    ".path",
    ".address",
    ".now",
    ".hour",
    ".weekday",
    "[\"a\"]",
    "[",
    "]",
    "(",
    ")",
    ",",
    "==",
    "!=",
    "<",
    ">=",
    "in",
    "and",
    "or",
    "not",
    "has",
    "text",
    "contains",
    "starts_with",
    "'x'",
    "\"monday\"",
    "42",
    "-1",
    "true",
    "é",
];

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[abc]", inner, 0..4).prop_map(|members| json!(members)),
        ]
    })
}

/// Generates valid conditions with tests of every kind.
fn condition() -> impl Strategy<Value = String> {
    let tests = vec![
        "claims.a == 1",
        "claims.a != claims.b",
        "claims.a < 3",
        "claims.a.b == 'x'",
        "claims.a in [1, 2]",
        "claims.a in ['x']",
        "'x' in claims.a",
        "claims.b in claims.a",
        "claims.a",
        "has(claims.a)",
        "has(header['x-twice'])",
        "has(query.list)",
        "header['x-twice'] != claims.b",
        "header['x-bytes'] in claims.a",
        "query.tag in ['x', 'y']",
        "starts_with(query.bytes, claims.b)",
        "text(claims.a) == path.id",
        "starts_with(claims.a, claims.b)",
        "claims.a >= claims.c",
        "query.page == claims.a",
        "header.x == claims.c",
        "time.hour < 24",
        "client.plan == claims.a",
        "claims.b in client.tags",
        "claims.c == time.now",
        "peer.address in ['192.0.2.0/24']",
        "time.weekday == claims.b",
    ];
    let leaf = select(tests).prop_map(str::to_string);
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|test| format!("not ({test})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) and ({b})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("({a}) or ({b})")),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,60}", pieces in proptest::collection::vec(select(PIECES.to_vec()), 0..24)) {
        for text in [text, pieces.join(" "), pieces.concat()] {
            match parse(&text) {
                Ok((condition, _)) => prop_assert_eq!(&**condition.text(), text.as_str()),
                Err(fault) => prop_assert!(fault.at >= 1 && fault.at <= text.chars().count() + 1, "{}: {:?}", text, fault),
            }
        }
    }

    #[test]
    fn no_token_makes_a_condition_panic(text in condition(), a in json_value(), b in json_value(), c in json_value()) {
        let claims = json!({ "a": a, "b": b, "c": c });
        prop_assert_eq!(verdict(&text, &claims), verdict(&text, &claims));
        let _ = verdict(&text, &Value::Null);
        let _ = verdict(&text, &claims["a"]);
    }

    #[test]
    fn three_values_follow_the_tables(p in condition(), q in condition(), a in json_value(), b in json_value()) {
        let claims = json!({ "a": a, "b": b });
        let said = |text: String| verdict(&text, &claims);
        let (left, right) = (said(p.clone()), said(q.clone()));
        let and = match (left, right) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        };
        prop_assert_eq!(said(format!("({p}) and ({q})")), and);
        prop_assert_eq!(said(format!("not (not ({p}) or not ({q}))")), and);
        prop_assert_eq!(said(format!("not ({p})")), left.map(|holds| !holds));
        prop_assert_eq!(said(format!("({p}) or ({q})")), said(format!("({q}) or ({p})")));
    }

    #[test]
    fn membership_is_equality_joined_by_or(a in json_value(), items in proptest::collection::vec(json_value(), 0..4)) {
        let names: Vec<_> = (0..items.len()).map(|i| format!("i{i}")).collect();
        let mut claims = json!({ "a": a, "list": items });
        for (name, item) in names.iter().zip(&items) {
            claims[name] = item.clone();
        }
        let equal: Vec<_> = names.iter().map(|name| format!("claims.a == claims.{name}")).collect();
        let expected = if names.is_empty() { None } else { verdict(&equal.join(" or "), &claims) };
        if !names.is_empty() {
            prop_assert_eq!(verdict("claims.a in claims.list", &claims), expected);
        }
        prop_assert_eq!(verdict("claims.a in ['x', 1, true]", &claims), verdict("claims.a == 'x' or claims.a == 1 or claims.a == true", &claims));
    }

    /// Kleene's logic is monotone: if an unknown value becomes known, a verdict of true or false stays the same.
    #[test]
    fn a_verdict_never_depends_on_an_unknown_value(p in condition(), a in json_value(), b in json_value()) {
        let with = |a: &Value| verdict(&p, &json!({ "a": a, "b": b, "c": 1 }));
        // In this test, an object represents an unknown value, because an object cannot be compared. `has(claims.a)` is true
        // for the object and for each value that replaces it. The test excludes lists and objects, and conditions that read
        // items or members of `claims.a`.
        let known = !matches!(a, Value::Null | Value::Array(_) | Value::Object(_));
        if let (true, Some(verdict)) = (known && !p.contains("in claims.a") && !p.contains("a.b"), with(&json!({ "o": 1 }))) {
            prop_assert_eq!(with(&a), Some(verdict), "{}", p);
        }
    }

    #[test]
    fn a_repeated_or_unreadable_value_is_never_compared(
        source in select(vec!["header['x-twice']", "header['x-bytes']", "query.tag", "query.bytes", "query.escape", "query.cut"]),
        test in select(vec![
            "S == 'a'", "S != 'b'", "S in ['a', 'b']", "'a' == S", "S in claims.list", "S in claims.empty", "text(S) != 'b'",
            "starts_with(S, 'b')", "ends_with('b', S)", "contains(S, 'b')", "S == claims.b", "S in client.tags", "S == path.id",
        ]),
        negations in 0_usize..4,
        b in json_value(),
    ) {
        let text = format!("{}({})", "not ".repeat(negations), test.replace('S', source));
        let claims = json!({ "b": b, "list": ["a", "b"], "empty": [] });
        prop_assert_eq!(verdict(&text, &claims), None, "{}", text);
        prop_assert_eq!(verdict(&format!("has({source})"), &claims), Some(true));
        prop_assert_eq!(verdict(&format!("{text} or has({source})"), &claims), Some(true));
        prop_assert_eq!(verdict(&format!("{text} and not has({source})"), &claims), Some(false));
    }

    #[test]
    fn a_condition_without_has_over_an_absent_claim_is_never_true(p in select(vec![
        "claims.a == 1", "claims.a != 1", "claims.a < 3", "not (claims.a == 'x')", "'x' in claims.a", "not ('x' in claims.a)", "claims.a",
        "not claims.a", "claims.a in ['x']", "not (claims.a in ['x'])", "not (starts_with(claims.a, 'x'))", "not (text(claims.a) == path.id)",
    ]), b in json_value()) {
        prop_assert_eq!(verdict(p, &json!({ "b": b })), None);
    }
}
