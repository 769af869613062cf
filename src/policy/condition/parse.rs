//! Reads a condition by recursive descent; the grammar stands in `docs/configuration.md`.

use super::lexer::{Fault, Lexer, Token, fault};
use super::types::{Kind, fit, fit_networks, kind_of};
use super::{Comparison, Literal, Operand, Source, Test, TextTest};
use crate::config::document::ClaimPath;
use crate::config::problem::near_miss;

/// A condition and the sources it asks about, each with its place.
pub(super) fn condition(text: &str) -> Result<(Test, Vec<(Source, usize)>), Fault> {
    if text.len() > MOST_BYTES {
        return Err(fault(1, format!("a condition has at most {MOST_BYTES} bytes")));
    }
    let mut parser = Parser { lexer: Lexer::new(text)?, sources: Vec::new(), depth: 0 };
    let test = parser.any()?;
    match parser.lexer.next {
        (Token::End, _) => Ok((test, parser.sources)),
        (_, at) => Err(fault(at, "expected `and`, `or` or the end")),
    }
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    sources: Vec<(Source, usize)>,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn any(&mut self) -> Result<Test, Fault> {
        let first = self.all()?;
        let mut tests = vec![first];
        while self.takes_word("or")? {
            tests.push(self.all()?);
        }
        Ok(if tests.len() == 1 { tests.remove(0) } else { Test::Any(tests) })
    }

    fn all(&mut self) -> Result<Test, Fault> {
        let first = self.one()?;
        let mut tests = vec![first];
        while self.takes_word("and")? {
            tests.push(self.one()?);
        }
        Ok(if tests.len() == 1 { tests.remove(0) } else { Test::All(tests) })
    }

    fn one(&mut self) -> Result<Test, Fault> {
        let at = self.lexer.next.1;
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(fault(at, format!("nested more than {MOST_DEPTH} levels deep")));
        }
        let test = if self.takes_word("not")? {
            Test::Not(Box::new(self.one()?))
        } else if self.takes_sign("(")? {
            let inner = self.any()?;
            self.expect(")")?;
            inner
        } else if self.takes_word("has")? {
            self.expect("(")?;
            let source = self.source()?;
            self.expect(")")?;
            Test::Has(source)
        } else {
            self.test()?
        };
        self.depth -= 1;
        Ok(test)
    }

    fn test(&mut self) -> Result<Test, Fault> {
        for (word, test) in TEXT_TESTS {
            if self.takes_word(word)? {
                self.expect("(")?;
                let text = self.text()?;
                self.expect(",")?;
                let part = self.text()?;
                self.expect(")")?;
                return Ok(Test::Text(test, text, part));
            }
        }
        let (left, at) = self.operand()?;
        if let (Token::Sign(sign), sign_at) = self.lexer.next
            && let Some((_, comparison)) = COMPARISONS.iter().find(|(known, _)| *known == sign)
        {
            self.lexer.advance()?;
            let (right, right_at) = self.operand()?;
            if let (Operand::Literal(_), Operand::Literal(_)) = (&left, &right) {
                return Err(fault(at, "both sides are constants"));
            }
            let (left, right) = fit(left, at, (*comparison, sign_at), right, right_at)?;
            return Ok(Test::Compare(left, *comparison, right));
        }
        if self.takes_word("in")? {
            return self.membership(left, at);
        }
        match left {
            Operand::Source(source @ Source::Claim(_)) => Ok(Test::True(source)),
            _ => Err(fault(at, "this alone is no condition: compare it, or ask `has(…)`")),
        }
    }

    /// What stands behind `in`: a list of constants, networks for an address, or a claim that is a list.
    fn membership(&mut self, left: Operand, at: usize) -> Result<Test, Fault> {
        let list_at = self.lexer.next.1;
        if !self.takes_sign("[")? {
            if kind_of(&left) == Kind::Address {
                return Err(fault(list_at, "expected a list of networks, as `[\"10.0.0.0/8\"]`"));
            }
            return match self.source()? {
                source @ Source::Claim(_) => Ok(Test::Among(left, source)),
                _ => Err(fault(list_at, "expected a list, as `[\"a\", \"b\"]`, or a claim")),
            };
        }
        let mut literals = Vec::new();
        loop {
            let (literal, literal_at) = self.literal()?.ok_or_else(|| fault(list_at, "a list holds constants only"))?;
            literals.push((literal, literal_at));
            if !self.takes_sign(",")? {
                break;
            }
        }
        self.expect("]")?;
        if kind_of(&left) == Kind::Address {
            return fit_networks(&literals).map(Test::Within);
        }
        if let Operand::Literal(_) = left {
            return Err(fault(at, "both sides are constants"));
        }
        let mut fitted = Vec::new();
        for (literal, literal_at) in literals {
            let right = Operand::Literal(literal);
            let (_, right) = fit(left.clone(), at, (Comparison::Equal, literal_at), right, literal_at)?;
            if let Operand::Literal(literal) = right {
                fitted.push(literal);
            }
        }
        Ok(Test::OneOf(left, fitted))
    }

    /// An operand that is text, as far as can be known before.
    fn text(&mut self) -> Result<Operand, Fault> {
        let (operand, at) = self.operand()?;
        match kind_of(&operand) {
            Kind::Text | Kind::Method | Kind::Weekday | Kind::Any => Ok(operand),
            _ => Err(fault(at, "expected text")),
        }
    }

    fn operand(&mut self) -> Result<(Operand, usize), Fault> {
        if let Some((literal, at)) = self.literal()? {
            return Ok((Operand::Literal(literal), at));
        }
        let at = self.lexer.next.1;
        if self.takes_word("text")? {
            self.expect("(")?;
            let source = self.source()?;
            self.expect(")")?;
            return Ok((Operand::Text(source), at));
        }
        Ok((Operand::Source(self.source()?), at))
    }

    fn literal(&mut self) -> Result<Option<(Literal, usize)>, Fault> {
        let (token, at) = self.lexer.next;
        let literal = match token {
            Token::Text(text) => Literal::Text(text.into()),
            Token::Number(number) => Literal::Whole(number),
            Token::Word("true") => Literal::Flag(true),
            Token::Word("false") => Literal::Flag(false),
            _ => return Ok(None),
        };
        self.lexer.advance()?;
        Ok(Some((literal, at)))
    }

    fn source(&mut self) -> Result<Source, Fault> {
        let (token, at) = self.lexer.advance()?;
        let Token::Word(root) = token else { return Err(fault(at, format!("expected one of {}", ROOTS.join(", ")))) };
        let mut steps: Vec<&'t str> = Vec::new();
        while let Some(step) = self.step()? {
            steps.push(step);
        }
        let source = match (root, steps.as_slice()) {
            ("claims", [_, ..]) => {
                let segments = steps.iter().map(ToString::to_string).collect();
                Source::Claim(ClaimPath { text: steps.join("."), segments })
            }
            ("path", [name]) => Source::Parameter((*name).into()),
            ("header", [name]) => Source::Header(name.to_ascii_lowercase().into()),
            ("query", [name]) => Source::Query((*name).into()),
            ("request", ["method"]) => Source::Method,
            ("request", ["host"]) => Source::Host,
            ("request", ["path"]) => Source::Path,
            ("peer", ["address"]) => Source::Address,
            ("time", ["now"]) => Source::Now,
            ("time", ["hour"]) => Source::Hour,
            ("time", ["weekday"]) => Source::Weekday,
            _ => return Err(fault(at, unknown_source(root, &steps))),
        };
        self.sources.push((source.clone(), at));
        Ok(source)
    }

    /// `.name` or `["name"]`.
    fn step(&mut self) -> Result<Option<&'t str>, Fault> {
        if self.takes_sign(".")? {
            return match self.lexer.advance()? {
                (Token::Word(name), _) => Ok(Some(name)),
                (_, at) => Err(fault(at, "expected a name (others are written `[\"x-tenant\"]`)")),
            };
        }
        if self.takes_sign("[")? {
            let (Token::Text(name), _) = self.lexer.advance()? else {
                return Err(fault(self.lexer.next.1, "expected a name in quotes"));
            };
            self.expect("]")?;
            return Ok(Some(name));
        }
        Ok(None)
    }

    fn takes_word(&mut self, word: &str) -> Result<bool, Fault> {
        let is_next = self.lexer.next.0 == Token::Word(word);
        if is_next {
            self.lexer.advance()?;
        }
        Ok(is_next)
    }

    fn takes_sign(&mut self, sign: &'static str) -> Result<bool, Fault> {
        let is_next = self.lexer.next.0 == Token::Sign(sign);
        if is_next {
            self.lexer.advance()?;
        }
        Ok(is_next)
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), Fault> {
        let at = self.lexer.next.1;
        if self.takes_sign(sign)? { Ok(()) } else { Err(fault(at, format!("expected `{sign}`"))) }
    }
}

fn unknown_source(root: &str, steps: &[&str]) -> String {
    let written = [&[root], steps].concat().join(".");
    match near_miss(&written, ROOTS) {
        Some(near) => format!("`{written}` is nothing that can be asked about (did you mean `{near}`?)"),
        None => format!("`{written}` is nothing that can be asked about (known: {})", ROOTS.join(", ")),
    }
}

const ROOTS: [&str; 11] = [
    "claims.name",
    "path.name",
    "header.name",
    "query.name",
    "request.method",
    "request.host",
    "request.path",
    "peer.address",
    "time.now",
    "time.hour",
    "time.weekday",
];
const TEXT_TESTS: [(&str, TextTest); 3] =
    [("starts_with", TextTest::StartsWith), ("ends_with", TextTest::EndsWith), ("contains", TextTest::Contains)];
const COMPARISONS: [(&str, Comparison); 6] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::Unequal),
    ("<", Comparison::Less),
    ("<=", Comparison::LessOrEqual),
    (">", Comparison::Greater),
    (">=", Comparison::GreaterOrEqual),
];
/// Longer conditions belong into several.
const MOST_BYTES: usize = 4_096;
const MOST_DEPTH: usize = 32;
