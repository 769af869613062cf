//! Parses a condition by recursive descent.
//!
//! `docs/configuration.md` contains the grammar.

use super::lexer::{ConditionFault, Lexer, Token};
use super::source::ROOTS;
use super::types::{ValueKind, WORDS, fit, fit_networks, kind_of};
use super::{ClientFact, Comparison, ConditionSource, Literal, Operand, SharedSyntax, Test, TextTest, source};

/// Parses a condition. Also returns each attribute that the condition reads, with the position of the attribute.
pub(super) fn condition(
    text: &str,
    syntax: SharedSyntax,
) -> Result<(Test, Vec<(ConditionSource, usize)>), ConditionFault> {
    if text.len() > MAX_BYTES {
        return Err(ConditionFault {
            at: 1,
            message: format!("a condition has at most {MAX_BYTES} bytes: split it into several entries of `when`"),
        });
    }
    let mut parser = Parser { lexer: Lexer::new(text), syntax, sources: Vec::new(), depth: 0 };
    let test = parser.whole();
    // There is at most one fault, because parsing stops at the first.
    match (test, parser.lexer.fault) {
        (Some(test), None) => Ok((test, parser.sources)),
        (_, fault) => Err(fault.unwrap_or_default()),
    }
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    syntax: SharedSyntax,
    sources: Vec<(ConditionSource, usize)>,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn whole(&mut self) -> Option<Test> {
        let test = self.any()?;
        match self.lexer.next {
            (Token::End, _) => Some(test),
            (_, at) => self.fail(at, "expected `and`, `or` or the end of the condition"),
        }
    }

    fn any(&mut self) -> Option<Test> {
        let first = self.all()?;
        let mut tests = vec![first];
        while self.takes_word("or")? {
            tests.push(self.all()?);
        }
        Some(if tests.len() == 1 { tests.remove(0) } else { Test::Any(tests) })
    }

    fn all(&mut self) -> Option<Test> {
        let first = self.one()?;
        let mut tests = vec![first];
        while self.takes_word("and")? {
            tests.push(self.one()?);
        }
        Some(if tests.len() == 1 { tests.remove(0) } else { Test::All(tests) })
    }

    fn one(&mut self) -> Option<Test> {
        let at = self.lexer.next.1;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.fail(at, &format!("the condition is nested more than {MAX_DEPTH} levels deep"));
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
        Some(test)
    }

    fn test(&mut self) -> Option<Test> {
        for (word, test) in TEXT_TESTS {
            if self.takes_word(word)? {
                self.expect("(")?;
                let text = self.text()?;
                self.expect(",")?;
                let part = self.text()?;
                self.expect(")")?;
                return Some(Test::Text(test, text, part));
            }
        }
        let (left, at) = self.operand()?;
        if let (Token::Sign(sign), sign_at) = self.lexer.next
            && let Some((_, comparison)) = COMPARISONS.iter().find(|(known, _)| *known == sign)
        {
            self.lexer.advance()?;
            let (right, right_at) = self.operand()?;
            if let (Operand::Literal(_), Operand::Literal(_)) = (&left, &right) {
                return self.fail(at, "both sides are constants: compare an attribute");
            }
            let (left, right) = self.accept(fit(left, at, (*comparison, sign_at), right, right_at, self.syntax))?;
            return Some(Test::Compare(left, *comparison, right));
        }
        if self.takes_word("in")? {
            return self.membership(left, at);
        }
        match left {
            Operand::Source(source @ ConditionSource::Claim(_)) => Some(Test::True(source)),
            _ => self.fail(at, "this is not a condition: compare it with a value, or write `has(…)`"),
        }
    }

    /// Parses the right side of `in`: a list of constants, a list of networks (after `peer.address`), a claim or `client.tags`.
    fn membership(&mut self, left: Operand, at: usize) -> Option<Test> {
        let list_at = self.lexer.next.1;
        if !self.takes_sign("[")? {
            if kind_of(&left) == ValueKind::Address {
                return self.fail(list_at, "expected a list of networks, such as `[\"10.0.0.0/8\"]`");
            }
            return match self.source()? {
                source @ ConditionSource::Claim(_) => Some(Test::Among(left, source)),
                source @ ConditionSource::Client(ClientFact::Tags) => match kind_of(&left) {
                    ValueKind::Text | ValueKind::Any => Some(Test::Among(left, source)),
                    _ => self.fail(at, "only text can be in `client.tags`"),
                },
                _ => self.fail(list_at, "expected a list, such as `[\"a\", \"b\"]`, a claim or `client.tags`"),
            };
        }
        let mut literals = Vec::new();
        loop {
            let Some(literal) = self.literal()? else { return self.fail(list_at, "a list can contain only constants") };
            literals.push(literal);
            if !self.takes_sign(",")? {
                break;
            }
        }
        self.expect("]")?;
        if kind_of(&left) == ValueKind::Address {
            return self.accept(fit_networks(&literals)).map(Test::Within);
        }
        if let Operand::Literal(_) = left {
            return self.fail(at, "both sides are constants: compare an attribute");
        }
        let mut fitted = Vec::new();
        for (literal, literal_at) in literals {
            let right = Operand::Literal(literal);
            let equal = (Comparison::Equal, literal_at);
            let (_, right) = self.accept(fit(left.clone(), at, equal, right, literal_at, self.syntax))?;
            if let Operand::Literal(literal) = right {
                fitted.push(literal);
            }
        }
        Some(Test::OneOf(left, fitted))
    }

    /// Parses an operand that is a string or a claim. The type of a claim is known only when a request is evaluated.
    fn text(&mut self) -> Option<Operand> {
        let (operand, at) = self.operand()?;
        match kind_of(&operand) {
            ValueKind::Text | ValueKind::Method | ValueKind::Weekday | ValueKind::Any => Some(operand),
            _ => self.fail(at, "expected text"),
        }
    }

    fn operand(&mut self) -> Option<(Operand, usize)> {
        if let Some((literal, at)) = self.literal()? {
            return Some((Operand::Literal(literal), at));
        }
        let at = self.lexer.next.1;
        if self.takes_word("text")? {
            self.expect("(")?;
            let source = self.source()?;
            if source == ConditionSource::Client(ClientFact::Tags) {
                return self.fail(at, WORDS);
            }
            self.expect(")")?;
            return Some((Operand::Text(source), at));
        }
        Some((Operand::Source(self.source()?), at))
    }

    fn literal(&mut self) -> Option<Option<(Literal, usize)>> {
        let (token, at) = self.lexer.next;
        let literal = match token {
            Token::Text(text) => Literal::Text(text.into()),
            Token::Number(number) => Literal::Whole(number),
            Token::Word("true") => Literal::Flag(true),
            Token::Word("false") => Literal::Flag(false),
            _ => return Some(None),
        };
        self.lexer.advance()?;
        Some(Some((literal, at)))
    }

    fn source(&mut self) -> Option<ConditionSource> {
        let (token, at) = self.lexer.advance()?;
        let Token::Word(root) = token else { return self.fail(at, &format!("expected one of {}", ROOTS.join(", "))) };
        let mut steps: Vec<&'t str> = Vec::new();
        while let Some(step) = self.step()? {
            steps.push(step);
        }
        let source = match source::named(root, &steps, self.syntax) {
            Ok(source) => source,
            Err(unknown) => return self.fail(at, &unknown),
        };
        self.sources.push((source.clone(), at));
        Some(source)
    }

    /// Parses `.name` or `["name"]`. Returns `Some(None)` if neither comes next.
    fn step(&mut self) -> Option<Option<&'t str>> {
        if self.takes_sign(".")? {
            return match self.lexer.advance()? {
                (Token::Word(name), _) => Some(Some(name)),
                (_, at) => self.fail(at, "expected a name (write a name with other characters as `[\"x-tenant\"]`)"),
            };
        }
        if self.takes_sign("[")? {
            let (Token::Text(name), _) = self.lexer.advance()? else {
                return self.fail(self.lexer.next.1, "expected a name in quotes");
            };
            self.expect("]")?;
            return Some(Some(name));
        }
        Some(None)
    }

    /// Records a fault, and returns `None`, so that parsing stops.
    fn fail<T>(&mut self, at: usize, message: &str) -> Option<T> {
        self.lexer.fault = Some(ConditionFault { at, message: message.to_string() });
        None
    }

    fn accept<T>(&mut self, checked: Result<T, ConditionFault>) -> Option<T> {
        checked.map_err(|fault| self.lexer.fault = Some(fault)).ok()
    }

    fn takes_word(&mut self, word: &str) -> Option<bool> {
        let is_next = self.lexer.next.0 == Token::Word(word);
        if is_next {
            self.lexer.advance()?;
        }
        Some(is_next)
    }

    fn takes_sign(&mut self, sign: &'static str) -> Option<bool> {
        let is_next = self.lexer.next.0 == Token::Sign(sign);
        if is_next {
            self.lexer.advance()?;
        }
        Some(is_next)
    }

    fn expect(&mut self, sign: &'static str) -> Option<()> {
        let at = self.lexer.next.1;
        if self.takes_sign(sign)? { Some(()) } else { self.fail(at, &format!("expected `{sign}`")) }
    }
}

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
/// The maximum length of a condition in bytes. A longer condition can be split into several entries of `when`, which must all be
/// true.
const MAX_BYTES: usize = 4_096;
const MAX_DEPTH: usize = 32;
