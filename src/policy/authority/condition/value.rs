//! Reads the attributes of a request, and compares values.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::occurrences::{Occurrences, Reading};
use super::weekday::weekday;
use super::{Attributes, ClientFact, Comparison, ConditionSource, Evaluation, Literal};

/// The value of an operand at request time.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Val<'c> {
    Text(Cow<'c, str>),
    Whole(i64),
    /// A number with a fraction or an exponent.
    Real(f64),
    Flag(bool),
    List(&'c [Value]),
    /// A value that is present but cannot be compared: an object, an integer above the range of `i64`, or a repeated or
    /// unreadable header or query parameter.
    Other,
}

impl<'c, A: Attributes> Evaluation<'c, A> {
    /// Returns whether an attribute is present; `None` (unknown) if only some upstreams find the attribute.
    pub(super) fn has(&self, source: &ConditionSource) -> Option<bool> {
        match source {
            ConditionSource::Header(name) => self.attributes.header(name).is_present(),
            ConditionSource::Query(name) => self.attributes.query(name).is_present(),
            ConditionSource::Address => Some(self.attributes.address().is_some()),
            _ => Some(self.value(source).is_some()),
        }
    }

    /// Returns the value of an attribute; `None` if the attribute is absent.
    pub(super) fn value(&self, source: &ConditionSource) -> Option<Val<'c>> {
        let attributes = self.attributes;
        let text = |text: &'c str| Some(Val::Text(Cow::Borrowed(text)));
        match source {
            ConditionSource::Claim(names) => {
                let mut names = names.iter().map(|name| &**name);
                let found = names.try_fold(attributes.claims(), |value, name| value.as_object()?.get(name));
                found.and_then(Val::of_json)
            }
            ConditionSource::Client(fact) => {
                let client = attributes.client()?;
                match fact {
                    ClientFact::Id => text(client.id),
                    ClientFact::Owner => text(client.owner),
                    ClientFact::Plan => text(client.plan?),
                    ClientFact::Environment => text(client.environment?),
                    // Only `has` reads the tags here, and it needs no value. For `in`, `Evaluation::test` reads the tags.
                    ClientFact::Tags => Some(Val::Other),
                }
            }
            ConditionSource::Parameter(name) => attributes.parameter(name).map(Val::Text),
            ConditionSource::Header(name) => Val::of_occurrences(attributes.header(name)),
            ConditionSource::Query(name) => Val::of_occurrences(attributes.query(name)),
            ConditionSource::Method => text(attributes.method()),
            ConditionSource::Host => text(attributes.host()),
            ConditionSource::Path => text(attributes.path()),
            // An address is compared only with networks, in `Evaluation::test`.
            ConditionSource::Address => None,
            ConditionSource::Now => i64::try_from(attributes.now().as_secs()).ok().map(Val::Whole),
            ConditionSource::Hour => i64::try_from(attributes.now().as_secs() / 3_600 % 24).ok().map(Val::Whole),
            ConditionSource::Weekday => text(weekday(attributes.now().as_secs())),
        }
    }
}

impl<'c> Val<'c> {
    pub(super) fn of(literal: &'c Literal) -> Val<'c> {
        match literal {
            Literal::Text(text) => Val::Text(Cow::Borrowed(text)),
            Literal::Whole(number) => Val::Whole(*number),
            Literal::Flag(flag) => Val::Flag(*flag),
        }
    }

    /// Converts the occurrences of a header or query parameter to a value. Returns `None` if the name is absent.
    fn of_occurrences(occurrences: Occurrences<'c>) -> Option<Val<'c>> {
        match occurrences.reading() {
            Reading::Absent => None,
            Reading::Text(text) => Some(Val::Text(text)),
            Reading::Ambiguous => Some(Val::Other),
        }
    }

    /// Converts the value of a claim. A claim with the value null counts as absent.
    pub(super) fn of_json(value: &'c Value) -> Option<Val<'c>> {
        match value {
            Value::String(text) => Some(Val::Text(Cow::Borrowed(text))),
            Value::Bool(flag) => Some(Val::Flag(*flag)),
            Value::Number(number) if number.is_f64() => number.as_f64().map(Val::Real),
            Value::Number(number) => Some(number.as_i64().map_or(Val::Other, Val::Whole)),
            Value::Array(items) => Some(Val::List(items)),
            Value::Null => None,
            Value::Object(_) => Some(Val::Other),
        }
    }

    /// Converts a string, integer or boolean to a string. Returns `None` for other types.
    pub(super) fn into_text(self) -> Option<Val<'c>> {
        match self {
            Val::Text(text) => Some(Val::Text(text)),
            Val::Whole(number) => Some(Val::Text(Cow::Owned(number.to_string()))),
            Val::Flag(flag) => Some(Val::Text(Cow::Borrowed(if flag { "true" } else { "false" }))),
            Val::Real(_) | Val::List(_) | Val::Other => None,
        }
    }

    /// Compares two values. Returns `None` if the values have different types, where all numbers are one type. Also returns
    /// `None` if strings or booleans are compared by order, or if a conversion to a double would be inexact.
    pub(super) fn compare(&self, comparison: Comparison, other: &Val<'_>) -> Option<bool> {
        let order = match (self, other) {
            (Val::Text(a), Val::Text(b)) => unordered(a == b, comparison)?,
            (Val::Flag(a), Val::Flag(b)) => unordered(a == b, comparison)?,
            (Val::Whole(a), Val::Whole(b)) => a.cmp(b),
            (Val::Real(a), Val::Real(b)) => a.partial_cmp(b)?,
            (Val::Real(a), Val::Whole(b)) => a.partial_cmp(&exact(*b)?)?,
            (Val::Whole(a), Val::Real(b)) => exact(*a)?.partial_cmp(b)?,
            _ => return None,
        };
        Some(match comparison {
            Comparison::Equal => order.is_eq(),
            Comparison::Unequal => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        })
    }
}

/// Returns `Equal` if two strings or booleans are equal, and `Less` if they differ. Returns `None` for `<`, `<=`, `>` and `>=`,
/// because strings and booleans have no order in conditions.
fn unordered(equal: bool, comparison: Comparison) -> Option<Ordering> {
    let asks_for_order = !matches!(comparison, Comparison::Equal | Comparison::Unequal);
    let order = if equal { Ordering::Equal } else { Ordering::Less };
    (!asks_for_order).then_some(order)
}

/// Converts an integer to a double. Returns `None` if the result may be inexact.
fn exact(number: i64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "exact within ±2^53, as checked")]
    (number.unsigned_abs() <= 1 << 53).then_some(number as f64)
}
