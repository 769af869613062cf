//! Type checks at compile time.
//!
//! A comparison that can never be true is an error.

use super::lexer::{Fault, fault};
use super::network::Network;
use super::weekday::DAYS;
use super::{ClientFact, Comparison, Literal, Operand, Source};
use crate::config::problem::near_miss;
use crate::config::time::rfc3339;

/// The kind of a value, as far as it is known at compile time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Method,
    Weekday,
    Whole,
    Flag,
    Moment,
    Address,
    /// A list of strings.
    Words,
    /// A claim: its kind depends on the token.
    Any,
}

pub(super) fn kind_of(operand: &Operand) -> Kind {
    match operand {
        Operand::Literal(Literal::Text(_)) | Operand::Text(_) => Kind::Text,
        Operand::Literal(Literal::Whole(_)) => Kind::Whole,
        Operand::Literal(Literal::Flag(_)) => Kind::Flag,
        Operand::Source(source) => match source {
            Source::Claim(_) => Kind::Any,
            Source::Client(ClientFact::Tags) => Kind::Words,
            Source::Client(_)
            | Source::Parameter(_)
            | Source::Header(_)
            | Source::Query(_)
            | Source::Host
            | Source::Path => Kind::Text,
            Source::Method => Kind::Method,
            Source::Address => Kind::Address,
            Source::Now => Kind::Moment,
            Source::Hour => Kind::Whole,
            Source::Weekday => Kind::Weekday,
        },
    }
}

/// Converts both sides of a comparison to the form in which they are compared: a time written as text becomes a number.
pub(super) fn fit(
    left: Operand,
    left_at: usize,
    (comparison, at): (Comparison, usize),
    right: Operand,
    right_at: usize,
) -> Result<(Operand, Operand), Fault> {
    let (of_left, of_right) = (kind_of(&left), kind_of(&right));
    let left = convert(left, left_at, of_right)?;
    let right = convert(right, right_at, of_left)?;
    let (of_left, of_right) = (class(&left, of_right), class(&right, of_left));
    if of_left == Kind::Address || of_right == Kind::Address {
        return Err(fault(at, "an address is tested by `peer.address in [\"10.0.0.0/8\"]`"));
    }
    if of_left == Kind::Words || of_right == Kind::Words {
        return Err(fault(at, WORDS));
    }
    if of_left != of_right && of_left != Kind::Any && of_right != Kind::Any {
        return Err(fault(at, format!("{} is never {}", name(of_left), name(of_right))));
    }
    let has_order = |kind: Kind| matches!(kind, Kind::Whole | Kind::Any | Kind::Moment);
    let asks_for_order = !matches!(comparison, Comparison::Equal | Comparison::Unequal);
    if asks_for_order && !(has_order(of_left) && has_order(of_right)) {
        return Err(fault(at, "only numbers and times are less or greater than others"));
    }
    Ok((left, right))
}

/// Parses the networks of a list.
pub(super) fn fit_networks(literals: &[(Literal, usize)]) -> Result<Vec<Network>, Fault> {
    let network = |(literal, at): &(Literal, usize)| match literal {
        Literal::Text(text) => Network::parse(text).map_err(|message| fault(*at, message)),
        _ => Err(fault(*at, "expected a network, as `\"10.0.0.0/8\"`")),
    };
    literals.iter().map(network).collect()
}

/// Checks a constant against the kind it is compared with, and converts it.
fn convert(operand: Operand, at: usize, other: Kind) -> Result<Operand, Fault> {
    if let (Operand::Literal(Literal::Whole(_)), Kind::Moment) = (&operand, other) {
        return Err(fault(at, "a time is written as text in UTC, as `\"2026-03-01T10:00:00Z\"`"));
    }
    let Operand::Literal(Literal::Text(text)) = &operand else { return Ok(operand) };
    match other {
        Kind::Moment => {
            let wrong = || fault(at, format!("`{text}` is no time in UTC, as `2026-03-01T10:00:00Z`"));
            let seconds = rfc3339(text).and_then(|seconds| i64::try_from(seconds).ok());
            seconds.map(|seconds| Operand::Literal(Literal::Whole(seconds))).ok_or_else(wrong)
        }
        Kind::Weekday if !DAYS.contains(&&**text) => Err(fault(
            at,
            match near_miss(text, DAYS) {
                Some(near) => format!("`{text}` is no day of the week (did you mean `{near}`?)"),
                None => format!("`{text}` is no day of the week ({})", DAYS.join(", ")),
            },
        )),
        Kind::Method if text.bytes().any(|b| b.is_ascii_lowercase()) => {
            Err(fault(at, format!("methods have case: write `{}`", text.to_ascii_uppercase())))
        }
        _ => Ok(operand),
    }
}

/// Returns the kind for comparisons: methods and days are text, and a time is a number that is compared only with times.
fn class(operand: &Operand, other: Kind) -> Kind {
    match (kind_of(operand), other) {
        (Kind::Method | Kind::Weekday, _) => Kind::Text,
        (Kind::Whole, Kind::Moment) if matches!(operand, Operand::Literal(_)) => Kind::Moment,
        (kind, _) => kind,
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Method | Kind::Weekday => "text",
        Kind::Whole => "a number",
        Kind::Flag => "true or false",
        Kind::Moment => "a time",
        Kind::Address => "an address",
        Kind::Words => "a list",
        Kind::Any => "a claim",
    }
}

/// The error for wrong uses of a list of strings.
pub(super) const WORDS: &str = "tags are tested by `\"word\" in client.tags`";
