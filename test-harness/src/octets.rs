//! Converts bytes to strings and back; a string contains `\xNN` for a byte that is not printable ASCII, and `\\` for a backslash.

use anyhow::{Result, bail};

/// Converts a string to bytes. `\xNN` and `\\` are escapes, and all other characters are literal. In a case file, write a string
/// with escapes in single quotes or without quotes. In double quotes, YAML itself reads `\xE9` as the character é, which is two
/// bytes.
pub fn parse(text: &str) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        match rest {
            [] => return Ok(out),
            [b'\\', b'\\', tail @ ..] => {
                out.push(b'\\');
                rest = tail;
            }
            [b'\\', b'x', high, low, tail @ ..] => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                let (Some(high), Some(low)) = (digit(high), digit(low)) else {
                    bail!("`{text}`: write two hexadecimal digits after `\\x`");
                };
                out.push(u8::try_from(high * 16 + low)?);
                rest = tail;
            }
            [b'\\', ..] => bail!("`{text}`: write `\\\\` for a backslash, or `\\xNN` for a byte"),
            [byte, tail @ ..] => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
}

/// Converts bytes to a string that [`parse`] converts back to the same bytes.
pub fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b' '..=b'~' => out.push(char::from(*byte)),
            other => out.push_str(&format!("\\x{other:02x}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_the_round_trip() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(parse(&escape(&all)).unwrap(), all);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for text in [r"\x", r"\xg0", r"\n", "\\"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
