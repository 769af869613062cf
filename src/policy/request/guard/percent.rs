//! Decodes percent-escapes (RFC 3986 §2.1) to bytes or a string, without validating the result.

use std::borrow::Cow;
use std::slice;

/// Decodes the escapes of a string. Returns the string itself if it has no escapes. A sequence that is not UTF-8 becomes U+FFFD;
/// a path that the guard accepted has no such sequence.
pub fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let decoded: Vec<u8> = bytes(text).collect();
    match String::from_utf8(decoded) {
        Ok(text) => Cow::Owned(text),
        Err(fault) => Cow::Owned(String::from_utf8_lossy(fault.as_bytes()).into_owned()),
    }
}

/// Returns an iterator over the decoded bytes. It copies nothing, and keeps a `%` that is not followed by two hex digits.
pub fn bytes(text: &str) -> Bytes<'_> {
    Bytes { rest: text.as_bytes().iter() }
}

/// The iterator returned by [`bytes`].
#[derive(Clone, Debug)]
pub struct Bytes<'a> {
    rest: slice::Iter<'a, u8>,
}

impl Iterator for Bytes<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let first = *self.rest.next()?;
        if first == b'%'
            && let [high, low, ..] = *self.rest.as_slice()
            && let Some(byte) = join(high, low)
        {
            self.rest.nth(1);
            return Some(byte);
        }
        Some(first)
    }
}

/// Parses two hex digits in upper or lower case.
pub fn byte(digits: &str) -> Option<u8> {
    match *digits.as_bytes() {
        [high, low] => join(high, low),
        _ => None,
    }
}

fn join(high: u8, low: u8) -> Option<u8> {
    Some(digit(high)? << 4 | digit(low)?)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn escapes_are_decoded_and_other_text_is_kept() {
        for (text, decoded) in [
            ("", ""),
            ("plain", "plain"),
            ("a%20b", "a b"),
            ("caf%C3%a9", "café"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz%41", "%zzA"),
            ("%+1", "%+1"),
            ("100%", "100%"),
            ("%ff", "\u{fffd}"),
        ] {
            assert_eq!(decode(text), decoded, "{text:?}");
        }
    }
}
