//! Checks the types of a condition when the document is compiled.
//!
//! A comparison of values whose types never match is an error, because it could never be true.

use super::lexer::{ConditionFault, fault};
use super::network::Network;
use super::weekday::DAYS;
use super::{ClientFact, Comparison, ConditionSource, Literal, Operand, SharedSyntax};

/// The kind of an operand, as known at compile time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueKind {
    Text,
    Method,
    Weekday,
    Whole,
    Flag,
    Moment,
    Address,
    /// A list of strings, such as `client.tags`.
    Words,
    /// A claim. The kind of its value depends on the token.
    Any,
}

pub(super) fn kind_of(operand: &Operand) -> ValueKind {
    match operand {
        Operand::Literal(Literal::Text(_)) | Operand::Text(_) => ValueKind::Text,
        Operand::Literal(Literal::Whole(_)) => ValueKind::Whole,
        Operand::Literal(Literal::Flag(_)) => ValueKind::Flag,
        Operand::Source(source) => match source {
            ConditionSource::Claim(_) => ValueKind::Any,
            ConditionSource::Client(ClientFact::Tags) => ValueKind::Words,
            ConditionSource::Client(_)
            | ConditionSource::Parameter(_)
            | ConditionSource::Header(_)
            | ConditionSource::Query(_)
            | ConditionSource::Host
            | ConditionSource::Path => ValueKind::Text,
            ConditionSource::Method => ValueKind::Method,
            ConditionSource::Address => ValueKind::Address,
            ConditionSource::Now => ValueKind::Moment,
            ConditionSource::Hour => ValueKind::Whole,
            ConditionSource::Weekday => ValueKind::Weekday,
        },
    }
}

/// Checks that both sides of a comparison can be compared, and converts constants: a time in quotes becomes a number of seconds.
pub(super) fn fit(
    left: Operand,
    left_at: usize,
    (comparison, at): (Comparison, usize),
    right: Operand,
    right_at: usize,
    syntax: SharedSyntax,
) -> Result<(Operand, Operand), ConditionFault> {
    let (of_left, of_right) = (kind_of(&left), kind_of(&right));
    let left = convert(left, left_at, of_right, syntax)?;
    let right = convert(right, right_at, of_left, syntax)?;
    let (of_left, of_right) = (class(&left, of_right), class(&right, of_left));
    if of_left == ValueKind::Address || of_right == ValueKind::Address {
        return Err(fault(at, "write `peer.address in [\"10.0.0.0/8\"]` to test an address"));
    }
    if of_left == ValueKind::Words || of_right == ValueKind::Words {
        return Err(fault(at, WORDS));
    }
    if of_left != of_right && of_left != ValueKind::Any && of_right != ValueKind::Any {
        return Err(fault(at, format!("{} cannot be compared with {}", name(of_left), name(of_right))));
    }
    let has_order = |kind: ValueKind| matches!(kind, ValueKind::Whole | ValueKind::Any | ValueKind::Moment);
    let asks_for_order = !matches!(comparison, Comparison::Equal | Comparison::Unequal);
    if asks_for_order && !(has_order(of_left) && has_order(of_right)) {
        return Err(fault(at, "only numbers and times can be compared with `<`, `<=`, `>` and `>=`"));
    }
    Ok((left, right))
}

/// Parses the constants in a list as networks, because the list follows `peer.address in`.
pub(super) fn fit_networks(literals: &[(Literal, usize)]) -> Result<Vec<Network>, ConditionFault> {
    let network = |(literal, at): &(Literal, usize)| match literal {
        Literal::Text(text) => Network::parse(text).map_err(|message| fault(*at, message)),
        _ => Err(fault(*at, "expected a network, such as `\"10.0.0.0/8\"`")),
    };
    literals.iter().map(network).collect()
}

/// Checks that a constant can be compared with a value of the kind `other`, and converts a time to seconds.
fn convert(operand: Operand, at: usize, other: ValueKind, syntax: SharedSyntax) -> Result<Operand, ConditionFault> {
    if let (Operand::Literal(Literal::Whole(_)), ValueKind::Moment) = (&operand, other) {
        return Err(fault(at, "write a time as text in UTC, such as `\"2026-03-01T10:00:00Z\"`"));
    }
    let Operand::Literal(Literal::Text(text)) = &operand else { return Ok(operand) };
    match other {
        ValueKind::Moment => {
            let wrong = || fault(at, format!("`{text}` is not a time in UTC, such as `2026-03-01T10:00:00Z`"));
            let seconds = (syntax.moment)(text).and_then(|seconds| i64::try_from(seconds).ok());
            seconds.map(|seconds| Operand::Literal(Literal::Whole(seconds))).ok_or_else(wrong)
        }
        ValueKind::Weekday if !DAYS.contains(&&**text) => Err(fault(
            at,
            match (syntax.near_miss)(text, &DAYS) {
                Some(near) => format!("`{text}` is not a day of the week (did you mean `{near}`?)"),
                None => format!("`{text}` is not a day of the week ({})", DAYS.join(", ")),
            },
        )),
        ValueKind::Method if text.bytes().any(|b| b.is_ascii_lowercase()) => {
            Err(fault(at, format!("methods are case-sensitive: write `{}`", text.to_ascii_uppercase())))
        }
        _ => Ok(operand),
    }
}

/// Returns the kind of `operand` for the comparison with an operand of the kind `other`. Methods and weekdays count as strings.
/// A time constant counts as a time, although `convert` has made it a number.
fn class(operand: &Operand, other: ValueKind) -> ValueKind {
    match (kind_of(operand), other) {
        (ValueKind::Method | ValueKind::Weekday, _) => ValueKind::Text,
        (ValueKind::Whole, ValueKind::Moment) if matches!(operand, Operand::Literal(_)) => ValueKind::Moment,
        (kind, _) => kind,
    }
}

fn name(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Text | ValueKind::Method | ValueKind::Weekday => "text",
        ValueKind::Whole => "a number",
        ValueKind::Flag => "true or false",
        ValueKind::Moment => "a time",
        ValueKind::Address => "an address",
        ValueKind::Words => "a list",
        ValueKind::Any => "a claim",
    }
}

/// The error for a use of `client.tags` other than `in` and `has`.
pub(super) const WORDS: &str = "write `\"word\" in client.tags` to test tags";
