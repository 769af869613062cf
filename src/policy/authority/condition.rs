//! Parses and evaluates the `when` conditions of routes, which test claims, the client, the request, the peer and the time.
//!
//! The types of compared values are checked when the document is compiled.
//!
//! Evaluation always ends and never fails: the language has no loops, and the depth and length of a condition are limited. A
//! test is *unknown* if a value is absent, repeated or unreadable, or if the two compared values have different types. `not`,
//! `and`, `or` and `in` follow Kleene's three-valued logic, and a request passes only if the condition is true. So a request
//! without a `tier` claim does not pass `not (claims.tier == "free")`. `has` is true for a value that is present, even if the
//! value is repeated or unreadable. `has` is unknown if the request has the name only in another spelling, because then only
//! some upstreams find the value.

mod attributes;
mod lexer;
mod network;
mod occurrences;
mod parse;
#[cfg(test)]
#[cfg(not(target_family = "wasm"))]
mod properties;
mod source;
#[cfg(test)]
mod tests;
mod types;
mod value;
mod weekday;

use std::net::IpAddr;
use std::sync::Arc;

use network::Network;
use value::Val;

pub use attributes::{Attributes, ClientAttributes};
pub use lexer::ConditionFault;
pub use occurrences::Occurrences;

/// A compiled condition, ready to be evaluated for each request.
#[derive(Debug)]
pub struct Condition {
    text: Arc<str>,
    test: Test,
}

/// Functions that the caller passes in, because the condition language imports no other module of the crate.
#[derive(Clone, Copy, Debug)]
pub struct SharedSyntax {
    /// Parses a time in UTC, such as `2026-03-01T10:00:00Z`, to seconds since the Unix epoch.
    pub moment: fn(&str) -> Option<u64>,
    /// Returns the known word that the author of an unknown word probably meant.
    pub near_miss: fn(&str, &[&'static str]) -> Option<&'static str>,
}

/// An attribute that is known at request time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConditionSource {
    /// A claim of the token, identified by member names from the top level down.
    Claim(Box<[Box<str>]>),
    /// An attribute of the client's entry in the client directory.
    Client(ClientFact),
    /// A path parameter, percent-decoded.
    Parameter(Box<str>),
    /// A request header. The value is known only if the header occurs exactly once.
    Header(Box<str>),
    /// A query parameter. The value is known only if the parameter occurs exactly once.
    Query(Box<str>),
    /// The request's method.
    Method,
    /// The request's host, without the port.
    Host,
    /// The request's path, normalized.
    Path,
    /// The peer's IP address.
    Address,
    /// The current time, in seconds since the Unix epoch.
    Now,
    /// The current hour of the day in UTC, 0 to 23.
    Hour,
    /// The current day of the week in UTC.
    Weekday,
}

/// An attribute of a client's entry in the client directory. A client without an entry has none of these attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientFact {
    /// The client's id, which is always present.
    Id,
    /// The client's owner, which is always present.
    Owner,
    /// The client's plan; absent if the client has none.
    Plan,
    /// The gateway's environment, from `environment` in the document.
    Environment,
    /// The list of the client's tags.
    Tags,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Literal(Literal),
    Source(ConditionSource),
    /// An attribute whose value is converted to a string before it is compared.
    Text(ConditionSource),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Literal {
    Text(Box<str>),
    Whole(i64),
    Flag(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TextTest {
    StartsWith,
    EndsWith,
    Contains,
}

#[derive(Debug)]
enum Test {
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
    Has(ConditionSource),
    True(ConditionSource),
    Compare(Operand, Comparison, Operand),
    OneOf(Operand, Vec<Literal>),
    Among(Operand, ConditionSource),
    Within(Vec<Network>),
    Text(TextTest, Operand, Operand),
}

impl Condition {
    /// Parses a condition. Also returns each attribute that the condition reads, with the character position of the attribute,
    /// starting at 1.
    ///
    /// # Errors
    /// Returns the first fault in `text`.
    pub fn parse(
        text: &str,
        syntax: SharedSyntax,
    ) -> Result<(Condition, Vec<(ConditionSource, usize)>), ConditionFault> {
        let (test, sources) = parse::condition(text, syntax)?;
        Ok((Condition { text: text.into(), test }, sources))
    }

    /// Returns the source text of the condition.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Evaluates the condition for a request. Returns `None` if the result is unknown.
    pub fn verdict(&self, attributes: &impl Attributes) -> Option<bool> {
        Evaluation { attributes }.test(&self.test)
    }
}

/// The evaluation of a condition for one request.
struct Evaluation<'c, A> {
    attributes: &'c A,
}

impl<'c, A: Attributes> Evaluation<'c, A> {
    /// Evaluates a test. The recursion depth is limited, because the parser limits the nesting of a condition.
    fn test(&self, test: &'c Test) -> Option<bool> {
        match test {
            Test::All(tests) => self.all(tests, false),
            Test::Any(tests) => self.all(tests, true),
            Test::Not(test) => self.test(test).map(|holds| !holds),
            Test::Has(source) => self.has(source),
            Test::True(source) => match self.value(source)? {
                Val::Flag(flag) => Some(flag),
                _ => None,
            },
            Test::Compare(left, comparison, right) => self.operand(left)?.compare(*comparison, &self.operand(right)?),
            Test::OneOf(left, literals) => self.is_among(left, literals.iter().map(|literal| Some(Val::of(literal)))),
            Test::Among(left, ConditionSource::Client(_)) => self
                .is_among(left, self.attributes.client()?.tags.iter().map(|tag| Some(Val::Text(tag.as_ref().into())))),
            Test::Among(left, list) => {
                let Val::List(items) = self.value(list)? else { return None };
                self.is_among(left, items.iter().map(Val::of_json))
            }
            Test::Within(networks) => {
                // An IPv4 address that is embedded in an IPv6 address must match IPv4 networks (RFC 4291 §2.5.5.2).
                let address: IpAddr = self.attributes.address()?.to_canonical();
                Some(networks.iter().any(|network| network.contains(address)))
            }
            Test::Text(test, text, part) => {
                let (Val::Text(text), Val::Text(part)) = (self.operand(text)?, self.operand(part)?) else {
                    return None;
                };
                Some(match test {
                    TextTest::StartsWith => text.starts_with(part.as_ref()),
                    TextTest::EndsWith => text.ends_with(part.as_ref()),
                    TextTest::Contains => text.contains(part.as_ref()),
                })
            }
        }
    }

    /// Evaluates `and` if `ends_at` is `false`, and `or` if `ends_at` is `true`. Stops at the first test whose result is
    /// `ends_at`. If there is no such test, one unknown test makes the whole result unknown.
    fn all(&self, tests: &'c [Test], ends_at: bool) -> Option<bool> {
        let mut all = Some(!ends_at);
        for test in tests {
            match self.test(test) {
                Some(holds) if holds == ends_at => return Some(ends_at),
                Some(_) => {}
                None => all = None,
            }
        }
        all
    }

    /// Evaluates `in`: compares the operand with each item. If one item is equal, the result is true. If no item is equal, an
    /// item that cannot be compared makes the result unknown.
    fn is_among(&self, left: &'c Operand, items: impl Iterator<Item = Option<Val<'c>>>) -> Option<bool> {
        let left = self.operand(left)?;
        let mut found = Some(false);
        for item in items {
            match item.and_then(|item| left.compare(Comparison::Equal, &item)) {
                Some(true) => return Some(true),
                Some(false) => {}
                None => found = None,
            }
        }
        found
    }

    /// Returns the value of an operand. Returns `None` if the value is absent or cannot be compared; the test is then unknown.
    fn operand(&self, operand: &'c Operand) -> Option<Val<'c>> {
        let value = match operand {
            Operand::Literal(literal) => Some(Val::of(literal)),
            Operand::Source(source) => self.value(source),
            Operand::Text(source) => self.value(source)?.into_text(),
        };
        value.filter(|value| !matches!(value, Val::List(_) | Val::Other))
    }
}
