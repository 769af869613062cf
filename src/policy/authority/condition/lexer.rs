//! Splits the text of a condition into words, strings, numbers and operators, each with a position.

/// A fault in a condition, and its position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConditionFault {
    /// The character position of the fault in the condition, starting at 1.
    pub at: usize,
    /// A description of the fault for the author of the condition.
    pub message: String,
}

/// A token of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    Word(&'t str),
    Text(&'t str),
    Number(i64),
    Sign(&'static str),
    End,
}

/// Reads the tokens of a condition, with one token of lookahead.
#[derive(Debug)]
pub(super) struct Lexer<'t> {
    rest: &'t str,
    read: usize,
    /// The next token and its position.
    pub(super) next: (Token<'t>, usize),
    /// The first fault found so far.
    pub(super) fault: Option<ConditionFault>,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Lexer<'t> {
        let mut lexer = Lexer { rest: text, read: 0, next: (Token::End, 1), fault: None };
        lexer.advance();
        lexer
    }

    /// Returns the token in `next`, and reads the following token into `next`. Returns `None` if the lexer has found a fault,
    /// now or before.
    pub(super) fn advance(&mut self) -> Option<(Token<'t>, usize)> {
        if self.fault.is_some() {
            return None;
        }
        let blank = self.rest.len() - self.rest.trim_start().len();
        self.take(blank);
        let at = self.read + 1;
        let found = (self.token(at)?, at);
        Some(std::mem::replace(&mut self.next, found))
    }

    fn token(&mut self, at: usize) -> Option<Token<'t>> {
        let Some(first) = self.rest.chars().next() else { return Some(Token::End) };
        if first.is_ascii_alphabetic() || first == '_' {
            let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
            return Some(Token::Word(self.take(end)));
        }
        if matches!(first, '"' | '\'') {
            let inside = self.rest.get(1..).unwrap_or_default();
            let Some(end) = inside.find(first) else {
                return self.fail(at, format!("the text has no closing {first}"));
            };
            let text = self.take(end + 2);
            return Some(Token::Text(text.get(1..=end).unwrap_or_default()));
        }
        if first.is_ascii_digit() || first == '-' {
            let digits = self.rest.get(1..).unwrap_or_default();
            let end = 1 + digits.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(digits.len());
            let text = self.take(end);
            let number = text.parse::<i64>().ok().filter(|number| number.unsigned_abs() < 1 << 53);
            let is_plain = number.is_some_and(|number| number.to_string() == text);
            return match number.filter(|_| is_plain) {
                Some(number) => Some(Token::Number(number)),
                None => self.fail(at, format!("`{text}` is not a whole number between -2^53 and 2^53")),
            };
        }
        let sign = SIGNS.iter().find(|sign| self.rest.starts_with(**sign));
        match sign {
            Some(sign) => {
                self.take(sign.len());
                Some(Token::Sign(sign))
            }
            None => self.fail(at, unknown(self.rest)),
        }
    }

    fn fail(&mut self, at: usize, message: String) -> Option<Token<'t>> {
        self.fault = Some(ConditionFault { at, message });
        None
    }

    fn take(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        self.read += taken.chars().count();
        taken
    }
}

pub(super) fn fault(at: usize, message: impl Into<String>) -> ConditionFault {
    ConditionFault { at, message: message.into() }
}

/// Returns the message for a character that cannot start a token. For an operator of another language, such as `&`, the message
/// suggests the operator to use.
fn unknown(rest: &str) -> String {
    let others = [("&", "and"), ("|", "or"), ("!", "not"), ("=", "==")];
    let meant = others.iter().find(|(other, _)| rest.starts_with(other));
    let sign = rest.chars().next().unwrap_or_default();
    match meant {
        Some((_, ours)) => format!("unexpected `{sign}` (did you mean `{ours}`?)"),
        None => format!("unexpected `{sign}`"),
    }
}

/// All operators and punctuation characters, each of which is a [`Token::Sign`]. `<=` comes before `<`, because the lexer uses
/// the first entry that matches.
const SIGNS: [&str; 12] = ["==", "!=", "<=", ">=", "<", ">", "(", ")", "[", "]", ",", "."];
