//! `when` of a route: a condition over claims, the client, the request, the peer and the time.
//!
//! Types are checked when the document is compiled.
//!
//! Evaluation always ends and never fails: there are no loops, and depth and length are bounded. A test is *unknown* if a value
//! is absent, repeated, unreadable or of another kind than the value it is compared with. `not`, `and`, `or` and `in` follow
//! Kleene's three-valued logic, and a request passes only if the condition is true. So `not (claims.tier == "free")` does not
//! pass without a tier. `has` is true for a value that is present at least once, even if it is repeated or unreadable.

mod lexer;
mod network;
mod parse;
#[cfg(test)]
#[cfg(not(target_family = "wasm"))]
mod properties;
mod said;
mod source;
#[cfg(test)]
mod tests;
mod types;
mod value;
mod weekday;

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use crate::config::claim::ClaimPath;
use crate::policy::credentials::caller::Caller;
use crate::policy::credentials::client::Client;
use crate::policy::request::Request;
use crate::policy::request::guard::SafePath;
use crate::policy::request::peer::Peer;
use crate::policy::request::route::Params;
use network::Network;
use value::Val;

pub use lexer::ConditionFault;

/// A compiled condition.
#[derive(Debug)]
pub struct Condition {
    text: Rc<str>,
    test: Test,
}

/// The data that conditions can read.
#[derive(Clone, Copy)]
pub struct Circumstances<'c> {
    /// The request.
    pub request: &'c Request<'c>,
    /// Its host without the port.
    pub host: &'c str,
    /// Its path and query.
    pub target: &'c SafePath<'c>,
    /// The values of the path's parameters; `None` on a public path without a route.
    pub params: Option<Params<'c, 'c>>,
    /// The peer of the connection.
    pub peer: &'c dyn Peer,
    /// The time since the Unix epoch.
    pub now: Duration,
}

/// An attribute that is known at request time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConditionSource {
    /// A claim of the token.
    Claim(ClaimPath),
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
    pub fn parse(text: &str) -> Result<(Condition, Vec<(ConditionSource, usize)>), ConditionFault> {
        let (test, sources) = parse::condition(text)?;
        Ok((Condition { text: text.into(), test }, sources))
    }

    /// Returns the text as written by the author.
    pub fn text(&self) -> &Rc<str> {
        &self.text
    }

    /// Evaluates the condition for this caller. Returns `None` if it is unknown.
    pub fn verdict<'c>(&'c self, caller: Option<&'c Caller>, circumstances: &'c Circumstances<'c>) -> Option<bool> {
        let claims = caller.map_or(&Value::Null, |known| &known.claims);
        self.judge(claims, caller.and_then(|known| known.client.as_deref()), circumstances)
    }

    /// Evaluates the condition for separate claims and a client.
    pub fn judge<'c>(
        &'c self,
        claims: &'c Value,
        client: Option<&'c Client>,
        circumstances: &'c Circumstances<'c>,
    ) -> Option<bool> {
        Facts { claims, client, circumstances }.test(&self.test)
    }
}

/// The data of one request.
#[derive(Clone, Copy)]
struct Facts<'c> {
    claims: &'c Value,
    client: Option<&'c Client>,
    circumstances: &'c Circumstances<'c>,
}

impl<'c> Facts<'c> {
    /// The recursion is as deep as the nesting of the text, which the parser bounds.
    fn test(self, test: &'c Test) -> Option<bool> {
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
            Test::Among(left, ConditionSource::Client(_)) => {
                self.is_among(left, self.client?.tags.iter().map(|tag| Some(Val::Text(tag.as_ref().into()))))
            }
            Test::Among(left, list) => {
                let Val::List(items) = self.value(list)? else { return None };
                self.is_among(left, items.iter().map(Val::of_json))
            }
            Test::Within(networks) => {
                // An IPv4 address may be embedded in an IPv6 one (RFC 4291 §2.5.5.2).
                let address: IpAddr = self.circumstances.peer.address()?.to_canonical();
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
    fn all(self, tests: &'c [Test], ends_at: bool) -> Option<bool> {
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
    fn is_among(self, left: &'c Operand, items: impl Iterator<Item = Option<Val<'c>>>) -> Option<bool> {
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
    fn operand(self, operand: &'c Operand) -> Option<Val<'c>> {
        let value = match operand {
            Operand::Literal(literal) => Some(Val::of(literal)),
            Operand::Source(source) => self.value(source),
            Operand::Text(source) => self.value(source)?.into_text(),
        };
        value.filter(|value| !matches!(value, Val::List(_) | Val::Other))
    }
}
