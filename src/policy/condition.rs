//! `when` of a route: a condition over claims, the client, the request, who sent it and the time; typed when the document is compiled.
//!
//! Evaluation always ends and never fails: there are no loops, and depth and length are bounded. What is absent, comes more than
//! once or is of another kind than what it is compared with makes a test *unknown*; `not`, `and` and `or` carry that on (Kleene's
//! three values), and only a condition that is true lets a request pass. So `not (claims.tier == "free")` does not pass without a tier.

mod lexer;
mod network;
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
use std::time::Duration;

use serde_json::Value;

use super::caller::Caller;
use super::clients::Client;
use super::guard::SafePath;
use super::peer::Peer;
use super::request::Request;
use super::route::Params;
use crate::config::document::ClaimPath;
use network::Network;
use value::Val;

pub use lexer::Fault;

/// One condition.
#[derive(Debug)]
pub struct Condition {
    text: Rc<str>,
    test: Test,
}

/// What conditions can ask about.
#[derive(Clone, Copy)]
pub struct Circumstances<'c> {
    /// The request.
    pub request: &'c Request<'c>,
    /// Its host without the port.
    pub host: &'c str,
    /// Its path and query.
    pub target: &'c SafePath<'c>,
    /// The values of the path's parameters; none on a public path that no route has.
    pub params: Option<Params<'c, 'c>>,
    /// Who sent it.
    pub peer: &'c dyn Peer,
    /// The time since the Unix epoch.
    pub now: Duration,
}

/// Something whose value is known at request time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A claim of the token.
    Claim(ClaimPath),
    /// What the directory knows of the client that calls.
    Client(ClientFact),
    /// A parameter of the path, decoded.
    Parameter(Box<str>),
    /// A header that came once.
    Header(Box<str>),
    /// A parameter of the query that came once.
    Query(Box<str>),
    /// The method.
    Method,
    /// The host, without its port.
    Host,
    /// The path in its one spelling.
    Path,
    /// The address at the other end of the connection.
    Address,
    /// Seconds since the Unix epoch.
    Now,
    /// The hour of the day in UTC, 0 to 23.
    Hour,
    /// The day of the week in UTC.
    Weekday,
}

/// What can be asked about a client. A client that the directory does not list has none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientFact {
    /// Its id.
    Id,
    /// Who answers for it.
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
    Source(Source),
    /// A number or truth value as text.
    Text(Source),
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
    Has(Source),
    True(Source),
    Compare(Operand, Comparison, Operand),
    OneOf(Operand, Vec<Literal>),
    Among(Operand, Source),
    Within(Vec<Network>),
    Text(TextTest, Operand, Operand),
}

impl Condition {
    /// Reads a condition; what it asks about comes with it, each with its place in the text, in characters from 1.
    ///
    /// # Errors
    /// The first fault of the text.
    pub fn parse(text: &str) -> Result<(Condition, Vec<(Source, usize)>), Fault> {
        let (test, sources) = parse::condition(text)?;
        Ok((Condition { text: text.into(), test }, sources))
    }

    /// The text as its author wrote it.
    pub fn text(&self) -> &Rc<str> {
        &self.text
    }

    /// Whether it holds for this caller; nothing when it depends on what is absent or of another kind.
    pub fn verdict<'c>(&'c self, caller: Option<&'c Caller>, circumstances: &'c Circumstances<'c>) -> Option<bool> {
        let claims = caller.map_or(&Value::Null, |known| &known.claims);
        self.judge(claims, caller.and_then(|known| known.client.as_deref()), circumstances)
    }

    /// The same of claims and a client that stand by themselves.
    pub fn judge<'c>(
        &'c self,
        claims: &'c Value,
        client: Option<&'c Client>,
        circumstances: &'c Circumstances<'c>,
    ) -> Option<bool> {
        Facts { claims, client, circumstances }.test(&self.test)
    }
}

/// Everything that is known about one request.
#[derive(Clone, Copy)]
struct Facts<'c> {
    claims: &'c Value,
    client: Option<&'c Client>,
    circumstances: &'c Circumstances<'c>,
}

impl<'c> Facts<'c> {
    /// As deep as the text nests, which the parser bounds.
    fn test(self, test: &'c Test) -> Option<bool> {
        match test {
            Test::All(tests) => self.all(tests, false),
            Test::Any(tests) => self.all(tests, true),
            Test::Not(test) => self.test(test).map(|holds| !holds),
            Test::Has(Source::Address) => Some(self.circumstances.peer.address().is_some()),
            Test::Has(source) => Some(self.value(source).is_some()),
            Test::True(source) => match self.value(source)? {
                Val::Flag(flag) => Some(flag),
                _ => None,
            },
            Test::Compare(left, comparison, right) => self.operand(left)?.compare(*comparison, &self.operand(right)?),
            Test::OneOf(left, literals) => {
                let left = self.operand(left)?;
                let mut known = None;
                for literal in literals {
                    match left.compare(Comparison::Equal, &Val::of(literal)) {
                        Some(true) => return Some(true),
                        Some(false) => known = Some(false),
                        None => {}
                    }
                }
                known
            }
            Test::Among(left, Source::Client(_)) => {
                let (left, client) = (self.operand(left)?, self.client?);
                let is_left = |tag: &Rc<str>| left.compare(Comparison::Equal, &Val::Text(tag.as_ref().into()));
                Some(client.tags.iter().any(|tag| is_left(tag) == Some(true)))
            }
            Test::Among(left, list) => {
                let left = self.operand(left)?;
                let Val::List(items) = self.value(list)? else { return None };
                let is_left = |item| Val::of_json(item).and_then(|item| left.compare(Comparison::Equal, &item));
                Some(items.iter().any(|item| is_left(item) == Some(true)))
            }
            Test::Within(networks) => {
                // An IPv4 address may arrive inside an IPv6 one (RFC 4291 §2.5.5.2).
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

    /// `and` ends at the first false, `or` at the first true; with neither, one unknown makes all of it unknown.
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

    fn operand(self, operand: &'c Operand) -> Option<Val<'c>> {
        match operand {
            Operand::Literal(literal) => Some(Val::of(literal)),
            Operand::Source(source) => self.value(source),
            Operand::Text(source) => self.value(source)?.into_text(),
        }
    }
}
