//! Parses JSON text (RFC 8259) byte by byte, and stops if the text exceeds the bounds.

pub mod outline;

use std::borrow::Cow;

use super::number::Number;
use super::tree::{Json, Object};
use super::{Bounds, Malformed};

/// Parses a text that contains exactly one value.
pub(super) fn read(text: &str, bounds: Bounds) -> Result<Json<'_>, Malformed> {
    let mut reader = JsonReader { text, at: 0, values_left: bounds.values };
    let value = reader.value(bounds.depth.min(MAX_DEPTH))?;
    reader.skip_space();
    if reader.peek().is_none() { Ok(value) } else { Err(Malformed::Syntax) }
}

struct JsonReader<'t> {
    text: &'t str,
    at: usize,
    values_left: usize,
}

impl<'t> JsonReader<'t> {
    fn value(&mut self, depth_left: usize) -> Result<Json<'t>, Malformed> {
        self.values_left = self.values_left.checked_sub(1).ok_or(Malformed::TooMany)?;
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.object(depth_left.checked_sub(1).ok_or(Malformed::TooDeep)?),
            Some(b'[') => self.list(depth_left.checked_sub(1).ok_or(Malformed::TooDeep)?),
            Some(b'"') => self.string().map(Json::Text),
            Some(b'-' | b'0'..=b'9') => self.number().map(Json::Number),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            _ => Err(Malformed::Syntax),
        }
    }

    fn object(&mut self, depth_left: usize) -> Result<Json<'t>, Malformed> {
        self.at += 1;
        let mut members = Vec::new();
        self.skip_space();
        if !self.takes(b'}') {
            // Reserves memory for one member, because many objects in large bodies have only one. A vector would otherwise
            // reserve memory for four members.
            members.reserve_exact(1);
            loop {
                self.skip_space();
                let name = self.string()?;
                self.skip_space();
                self.expect(b':')?;
                members.push((name, self.value(depth_left)?));
                self.skip_space();
                if !self.takes(b',') {
                    break self.expect(b'}')?;
                }
            }
        }
        Object::unique(members).map(Json::Object)
    }

    fn list(&mut self, depth_left: usize) -> Result<Json<'t>, Malformed> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_space();
        if !self.takes(b']') {
            items.reserve_exact(1);
            loop {
                items.push(self.value(depth_left)?);
                self.skip_space();
                if !self.takes(b',') {
                    break self.expect(b']')?;
                }
            }
        }
        Ok(Json::List(items))
    }

    fn word<V>(&mut self, word: &str, value: V) -> Result<V, Malformed> {
        let is_here = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word));
        self.at += word.len();
        if is_here { Ok(value) } else { Err(Malformed::Syntax) }
    }

    fn number(&mut self) -> Result<Number<'t>, Malformed> {
        let start = self.at;
        self.takes(b'-');
        if !self.takes(b'0') {
            self.digits()?;
        }
        let whole = self.at;
        if self.takes(b'.') {
            self.digits()?;
        }
        if self.takes(b'e') || self.takes(b'E') {
            let _signed = self.takes(b'+') || self.takes(b'-');
            self.digits()?;
        }
        // A separator must follow the number. This check is before the check of the range, so that the parser reports a syntax
        // error even if the number is also out of range.
        if !matches!(self.peek(), None | Some(b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r')) {
            return Err(Malformed::Syntax);
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        // Rejects a number outside the range of a double, because other parsers read it in different ways: as an error, as
        // infinity, or as the exact number. An integer of at most 18 digits is always in range.
        let is_short = self.at == whole && text.len() < 19;
        if !is_short && text.parse::<serde_json::Number>().is_err() {
            return Err(Malformed::OutOfRange);
        }
        Ok(Number::from_text(text))
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Malformed::Syntax) }
    }

    fn string(&mut self) -> Result<Cow<'t, str>, Malformed> {
        self.expect(b'"')?;
        let plain = self.plain();
        if self.takes(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_string();
        while self.takes(b'\\') {
            text.push(self.escape()?);
            text.push_str(self.plain());
        }
        // The loop ends at a quote, at a control character or at the end of the text. Only the quote is valid here.
        self.expect(b'"')?;
        Ok(Cow::Owned(text))
    }

    /// Returns the characters up to the next quote, backslash or control character.
    fn plain(&mut self) -> &'t str {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
            self.at += 1;
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn escape(&mut self) -> Result<char, Malformed> {
        let byte = self.peek().ok_or(Malformed::Syntax)?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(Malformed::Syntax),
        })
    }

    /// Parses four hexadecimal digits, or both halves of a surrogate pair (RFC 8259 §7).
    fn unicode(&mut self) -> Result<char, Malformed> {
        let first = self.hexadecimal()?;
        let mut second = None;
        if (0xd800..0xdc00).contains(&first) && self.takes(b'\\') {
            if !self.takes(b'u') {
                return Err(Malformed::LoneSurrogate);
            }
            second = Some(self.hexadecimal()?);
        }
        let mut letters = char::decode_utf16([first].into_iter().chain(second));
        match (letters.next(), letters.next()) {
            (Some(Ok(letter)), None) => Ok(letter),
            _ => Err(Malformed::LoneSurrogate),
        }
    }

    fn hexadecimal(&mut self) -> Result<u16, Malformed> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(Malformed::Syntax)?;
        self.at += 4;
        let is_whole = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        u16::from_str_radix(digits, 16).ok().filter(|_| is_whole).ok_or(Malformed::Syntax)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn takes(&mut self, byte: u8) -> bool {
        let is_here = self.peek() == Some(byte);
        self.at += usize::from(is_here);
        is_here
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.takes(byte) { Ok(()) } else { Err(Malformed::Syntax) }
    }
}

/// The largest accepted [`Bounds::depth`], which protects the stack. Each level of nesting uses two stack frames.
const MAX_DEPTH: usize = 127;
