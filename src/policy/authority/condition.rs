//! `when` of a route: a condition over claims, the client, the request, the peer and the time.
//!
//! Types are checked when the document is compiled.
//!
//! Evaluation always ends and never fails: there are no loops, and depth and length are bounded. A test is *unknown* if a value
//! is absent, repeated, unreadable or of another kind than the value it is compared with. `not`, `and`, `or` and `in` follow
//! Kleene's three-valued logic, and a request passes only if the condition is true. So `not (claims.tier == "free")` does not
//! pass without a tier. `has` is true for a value that is present at least once, even if it is repeated or unreadable.

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
use std::rc::Rc;

use network::Network;
use value::Val;

pub use attributes::{Attributes, ClientAttributes};
pub use lexer::ConditionFault;
pub use occurrences::Occurrences;

/// A compiled condition.
#[derive(Debug)]
pub struct Condition {
    text: Rc<str>,
    test: Test,
}

/// The parts of the syntax that conditions share with the rest of a document.
#[derive(Clone, Copy, Debug)]
pub struct SharedSyntax {
    /// Parses a time in UTC, such as `2026-03-01T10:00:00Z`, to seconds since the Unix epoch.
    pub moment: fn(&str) -> Option<u64>,
    /// Returns the known word that the written one is probably meant to be.
    pub near_miss: fn(&str, &[&'static str]) -> Option<&'static str>,
}

/// An attribute that is known at request time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConditionSource {
    /// A claim of the token, by the names from the top level down.
    Claim(Box<[Box<str>]>),
    /// An attribute of the client's entry in the client directory.
    Client(ClientFact),
    /// A parameter of the path, decoded.
    Parameter(Box<str>),
    /// A header. Its value is known if it occurs once.
    Header(Box<str>),
    /// A query parameter. Its value is known if it occurs once.
    Query(Box<str>),
    /// The method.
    Method,
    /// The host, without its port.
    Host,
    /// The normalized path.
    Path,
    /// The peer's address.
    Address,
    /// Seconds since the Unix epoch.
    Now,
    /// The hour of the day in UTC, 0 to 23.
    Hour,
    /// The day of the week in UTC.
    Weekday,
}

/// The attributes of a client. An unlisted client has none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientFact {
    /// Its id.
    Id,
    /// The owner of the client.
    Owner,
    /// Its plan.
    Plan,
    /// The environment in which it calls.
    Environment,
    /// Its tags, a list.
    Tags,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Literal(Literal),
    Source(ConditionSource),
    /// A number or boolean converted to text.
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
    /// Parses a condition. Also returns the attributes that it reads, each with its character position, starting at 1.
    ///
    /// # Errors
    /// The first fault of the text.
    pub fn parse(
        text: &str,
        syntax: SharedSyntax,
    ) -> Result<(Condition, Vec<(ConditionSource, usize)>), ConditionFault> {
        let (test, sources) = parse::condition(text, syntax)?;
        Ok((Condition { text: text.into(), test }, sources))
    }

    /// Returns the text as written by the author.
    pub fn text(&self) -> &Rc<str> {
        &self.text
    }

    /// Evaluates the condition for a request. Returns `None` if it is unknown.
    pub fn verdict(&self, attributes: &impl Attributes) -> Option<bool> {
        Evaluation { attributes }.test(&self.test)
    }
}

/// The evaluation of a condition for one request.
struct Evaluation<'c, A> {
    attributes: &'c A,
}

impl<'c, A: Attributes> Evaluation<'c, A> {
    /// The recursion is as deep as the nesting of the text, which the parser bounds.
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
                // An IPv4 address may be embedded in an IPv6 one (RFC 4291 §2.5.5.2).
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

    /// `and` ends at the first false, `or` at the first true. Otherwise, one unknown test makes the result unknown.
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

    /// `in` is `==` with each item, joined by `or`. An item that cannot be compared makes the result unknown unless another one
    /// matches.
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

    /// Returns a value that can be compared; `None` makes the test unknown.
    fn operand(&self, operand: &'c Operand) -> Option<Val<'c>> {
        let value = match operand {
            Operand::Literal(literal) => Some(Val::of(literal)),
            Operand::Source(source) => self.value(source),
            Operand::Text(source) => self.value(source)?.into_text(),
        };
        value.filter(|value| !matches!(value, Val::List(_) | Val::Other))
    }
}
