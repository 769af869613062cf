//! Equality of JSON values as JSON Schema has it (Core §4.2.2), and an order in which equal ones stand together.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::decimal;

/// Whether two values are the same one: members in any order, 1 and 1.0 alike.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    order(a, b) == Ordering::Equal
}

/// Whether no two of these are equal. Sorting looks at each item a few times, comparing all pairs would let a body of ten thousand
/// items take a hundred million looks.
pub(super) fn all_differ(items: &[Value]) -> bool {
    let mut sorted: Vec<&Value> = items.iter().collect();
    sorted.sort_unstable_by(|a, b| order(a, b));
    sorted.windows(2).all(|pair| !matches!(pair, [a, b] if equal(a, b)))
}

/// Values nest as deep as a body may, which is not deep.
fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => decimal::compare(a, b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let pairs = a.iter().zip(b);
            a.len().cmp(&b.len()).then_with(|| first_difference(pairs.map(|(a, b)| order(a, b))))
        }
        (Value::Object(a), Value::Object(b)) => a.len().cmp(&b.len()).then_with(|| {
            let (a, b) = (by_name(a), by_name(b));
            let pairs = a.iter().zip(&b);
            first_difference(pairs.map(|((name, a), (other, b))| name.cmp(other).then_with(|| order(a, b))))
        }),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn first_difference(mut parts: impl Iterator<Item = Ordering>) -> Ordering {
    parts.find(|part| *part != Ordering::Equal).unwrap_or(Ordering::Equal)
}

/// A map may keep the order of its text, depending on what else is built.
fn by_name(members: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut members: Vec<_> = members.iter().collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    members
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}
