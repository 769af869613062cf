//! Equality of JSON values as JSON Schema defines it (Core §4.2.2), and a total order, with which `uniqueItems` sorts the items.

use std::cmp::Ordering;

use crate::strict_json::tree::Json;

/// Returns `true` if two values are equal. The order of members does not matter, and 1 equals 1.0.
pub(super) fn equal(a: &Json<'_>, b: &Json<'_>) -> bool {
    order(a, b) == Ordering::Equal
}

/// Returns `true` if no two items are equal. The items are sorted first, because comparing all pairs of ten thousand items would
/// take fifty million comparisons.
pub(super) fn all_differ(items: &[Json<'_>]) -> bool {
    let mut sorted: Vec<&Json<'_>> = items.iter().collect();
    sorted.sort_unstable_by(|a, b| order(a, b));
    sorted.windows(2).all(|pair| !matches!(pair, [a, b] if equal(a, b)))
}

/// Compares two values. The parser limits the nesting of values, so the recursion is limited too.
fn order(a: &Json<'_>, b: &Json<'_>) -> Ordering {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a.cmp(b),
        (Json::Text(a), Json::Text(b)) => a.cmp(b),
        (Json::Bool(a), Json::Bool(b)) => a.cmp(b),
        (Json::List(a), Json::List(b)) => {
            let pairs = a.iter().zip(b);
            a.len().cmp(&b.len()).then_with(|| first_difference(pairs.map(|(a, b)| order(a, b))))
        }
        (Json::Object(a), Json::Object(b)) => a.count().cmp(&b.count()).then_with(|| {
            let pairs = a.iter().zip(b.iter());
            first_difference(pairs.map(|((name, a), (other, b))| name.cmp(other).then_with(|| order(a, b))))
        }),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn first_difference(mut parts: impl Iterator<Item = Ordering>) -> Ordering {
    parts.find(|part| *part != Ordering::Equal).unwrap_or(Ordering::Equal)
}

fn rank(value: &Json<'_>) -> u8 {
    match value {
        Json::Null => 0,
        Json::Bool(_) => 1,
        Json::Number(_) => 2,
        Json::Text(_) => 3,
        Json::List(_) => 4,
        Json::Object(_) => 5,
    }
}
