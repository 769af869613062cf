//! Masks of permissions in documents and tokens: every accepted string means exactly one set of bits.
//!
//! | Form | Meaning |
//! |---|---|
//! | `0`, or digits that do not start with `0` | decimal |
//! | `0x` and hexadecimal digits | hexadecimal |
//! | `b64:` and base64url without padding | the big-endian bytes, without leading zeros (RFC 7518 §2, Base64urlUInt) |

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// A set of permission bits. The lowest bit has the number 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mask(Vec<u64>);

/// The reason why a value is not a mask. It does not contain the value, because the value may come from a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskFault {
    /// The string is not a decimal, hexadecimal or base64url mask.
    Form,
    /// The decimal number starts with zeros, as in `007`, or the base64url form starts with zero bytes. Another parser could read
    /// a different number, or refuse the value.
    LeadingZero,
    /// The mask has more than [`MAX_BITS`] bits.
    TooLarge,
    /// The value is a JSON number above 2^53 - 1, which some JSON parsers round (RFC 8259 §6).
    Inexact,
    /// The value is a JSON number with a sign, a fraction or an exponent.
    NotWhole,
    /// The value is neither a number nor a string.
    Kind,
}

impl Mask {
    /// Returns the mask that contains only the bit with this number.
    pub fn of_bit(bit: u16) -> Mask {
        let mut mask = Mask::default();
        mask.set(bit);
        mask
    }

    /// Adds the bit with this number to the mask.
    pub fn set(&mut self, bit: u16) {
        let word = usize::from(bit / 64);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(bits) = self.0.get_mut(word) {
            *bits |= 1 << (bit % 64);
        }
    }

    /// Returns the mask with these bits: 64 bits in each word, the lowest word first.
    pub fn from_words(words: &[u64]) -> Mask {
        let used = words.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
        Mask(words.get(..used).unwrap_or_default().to_vec())
    }

    /// Returns the bits of the mask: 64 bits in each word, the lowest word first. The last word is never zero.
    pub fn words(&self) -> &[u64] {
        &self.0
    }

    /// Returns the numbers of the bits in the mask, in ascending order.
    pub fn bits(&self) -> impl Iterator<Item = u16> {
        let has = |bit: &u16| self.0.get(usize::from(bit / 64)).is_some_and(|word| word >> (bit % 64) & 1 == 1);
        (0..MAX_BITS).filter(has)
    }

    /// Returns the number of the bit if the mask contains exactly one bit.
    pub fn single_bit(&self) -> Option<u16> {
        let mut bits = self.bits();
        bits.next().filter(|_| bits.next().is_none())
    }

    /// Parses a string in decimal, hexadecimal or base64url form. The table at the start of `mask.rs` defines the forms.
    pub fn parse(text: &str) -> Result<Mask, MaskFault> {
        if let Some(digits) = text.strip_prefix("0x") {
            return Mask::from_digits(digits, 16);
        }
        if let Some(encoded) = text.strip_prefix("b64:") {
            return Mask::from_base64url(encoded);
        }
        if text.len() > 1 && text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(MaskFault::LeadingZero);
        }
        Mask::from_digits(text, 10)
    }

    /// Reads a JSON value: a string that [`Mask::parse`] accepts, or a whole number up to 2^53 - 1.
    pub fn from_json(value: &Value) -> Result<Mask, MaskFault> {
        match value {
            Value::String(text) => Mask::parse(text),
            Value::Number(number) => match number.as_u64() {
                Some(exact) if exact <= MAX_EXACT => Ok(Mask::from_words(&[exact])),
                Some(_) => Err(MaskFault::Inexact),
                None => Err(MaskFault::NotWhole),
            },
            _ => Err(MaskFault::Kind),
        }
    }

    fn from_digits(digits: &str, radix: u32) -> Result<Mask, MaskFault> {
        if digits.is_empty() {
            return Err(MaskFault::Form);
        }
        let mut words: Vec<u64> = Vec::with_capacity(1);
        for digit in digits.chars() {
            let mut carry = u128::from(digit.to_digit(radix).ok_or(MaskFault::Form)?);
            for word in &mut words {
                let product = u128::from(*word) * u128::from(radix) + carry;
                *word = low(product);
                carry = product >> 64;
            }
            if carry > 0 {
                words.push(low(carry));
            }
            if words.len() > MAX_WORDS {
                return Err(MaskFault::TooLarge);
            }
        }
        Ok(Mask(words))
    }

    fn from_base64url(encoded: &str) -> Result<Mask, MaskFault> {
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| MaskFault::Form)?;
        match bytes.as_slice() {
            [] => return Err(MaskFault::Form),
            [0, _, ..] => return Err(MaskFault::LeadingZero),
            _ if bytes.len() > MAX_WORDS * 8 => return Err(MaskFault::TooLarge),
            _ => {}
        }
        let word = |chunk: &[u8]| chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        let words: Vec<u64> = bytes.rchunks(8).map(word).collect();
        Ok(Mask::from_words(&words))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the function returns only the low half")]
fn low(wide: u128) -> u64 {
    wide as u64
}

/// Writes decimal digits for a mask up to 2^53 - 1, and `0x` with hexadecimal digits for a larger mask. [`Mask::parse`] reads
/// both forms.
impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("0"),
            [word] if *word <= MAX_EXACT => write!(f, "{word}"),
            [lower @ .., highest] => {
                write!(f, "0x{highest:x}")?;
                lower.iter().rev().try_for_each(|word| write!(f, "{word:016x}"))
            }
        }
    }
}

impl MaskFault {
    /// Describes the fault for error messages and audit records. The text completes a sentence that starts with the value.
    pub fn words(self) -> &'static str {
        match self {
            MaskFault::Form => "is not a mask: digits, `0x` and hexadecimal digits, or `b64:` and base64url",
            MaskFault::LeadingZero => "has a leading zero",
            MaskFault::TooLarge => "has more than 1024 bits",
            MaskFault::Inexact => "is a number above 2^53 - 1; write such a mask as text",
            MaskFault::NotWhole => "is a number with a sign, a fraction or an exponent",
            MaskFault::Kind => "is neither a whole number nor text",
        }
    }
}

/// The largest number that no JSON parser rounds (RFC 8259 §6).
pub const MAX_EXACT: u64 = (1 << 53) - 1;
/// The maximum number of permissions in a domain. The largest mask has 16 words, or 256 hexadecimal digits.
pub const MAX_BITS: u16 = 1024;
const MAX_WORDS: usize = MAX_BITS as usize / 64;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn every_text_has_one_meaning_or_is_refused() {
        let words = |words: &[u64]| Ok(words.to_vec());
        for (text, expected) in [
            ("0", words(&[])),
            ("3", words(&[3])),
            ("9007199254740993", words(&[9_007_199_254_740_993])),
            ("18446744073709551615", words(&[u64::MAX])),
            ("18446744073709551616", words(&[0, 1])),
            ("340282366920938463463374607431768211456", words(&[0, 0, 1])),
            ("0x0", words(&[])),
            ("0xff", words(&[255])),
            ("0x00FF", words(&[255])),
            ("0x10000000000000000", words(&[0, 1])),
            ("b64:AA", words(&[])),
            ("b64:Aw", words(&[3])),
            ("b64:AQAAAAAAAAAA", words(&[0, 1])),
            ("b64:AAE", Err(MaskFault::LeadingZero)),
            ("b64:AAA", Err(MaskFault::LeadingZero)),
            ("b64:", Err(MaskFault::Form)),
            ("b64:Aw==", Err(MaskFault::Form)),
            ("b64:A+/w", Err(MaskFault::Form)),
            ("Aw", Err(MaskFault::Form)),
            ("007", Err(MaskFault::LeadingZero)),
            ("00", Err(MaskFault::LeadingZero)),
            ("0X1", Err(MaskFault::Form)),
            ("0x", Err(MaskFault::Form)),
            ("0xg", Err(MaskFault::Form)),
            ("", Err(MaskFault::Form)),
            (" 1", Err(MaskFault::Form)),
            ("1 ", Err(MaskFault::Form)),
            ("+1", Err(MaskFault::Form)),
            ("-1", Err(MaskFault::Form)),
            ("1.0", Err(MaskFault::Form)),
            ("1e3", Err(MaskFault::Form)),
            ("1_000", Err(MaskFault::Form)),
            ("٣", Err(MaskFault::Form)),
        ] {
            assert_eq!(Mask::parse(text).map(|mask| mask.0), expected, "{text:?}");
        }
        let widest = format!("0x{}", "f".repeat(256));
        assert_eq!(Mask::parse(&widest).map(|mask| mask.to_string()), Ok(widest.clone()));
        assert_eq!(Mask::parse(&format!("{widest}0")), Err(MaskFault::TooLarge));
        assert_eq!(Mask::parse(&"9".repeat(100_000)), Err(MaskFault::TooLarge));
        let bytes = |count| format!("b64:{}", URL_SAFE_NO_PAD.encode(vec![1; count]));
        assert!(Mask::parse(&bytes(128)).is_ok());
        assert_eq!(Mask::parse(&bytes(129)), Err(MaskFault::TooLarge));
    }

    #[test]
    fn numbers_are_whole_and_exact() {
        for (value, expected) in [
            (json!(0), Ok("0")),
            (json!(3), Ok("3")),
            (json!(MAX_EXACT), Ok("9007199254740991")),
            (json!(MAX_EXACT + 1), Err(MaskFault::Inexact)),
            (json!("9007199254740992"), Ok("0x20000000000000")),
            (json!(-1), Err(MaskFault::NotWhole)),
            (json!(3.0), Err(MaskFault::NotWhole)),
            (json!(1e3), Err(MaskFault::NotWhole)),
            (json!(1.5), Err(MaskFault::NotWhole)),
            (json!(true), Err(MaskFault::Kind)),
            (json!([3]), Err(MaskFault::Kind)),
            (json!(null), Err(MaskFault::Kind)),
        ] {
            let read = Mask::from_json(&value).map(|mask| mask.to_string());
            assert_eq!(read, expected.map(str::to_string), "{value}");
        }
    }

    #[test]
    fn bits_have_numbers() {
        let mask = Mask::parse("0x10000000000000005").unwrap();
        assert_eq!(mask.bits().collect::<Vec<_>>(), [0, 2, 64]);
        assert_eq!(mask.single_bit(), None);
        assert_eq!(Mask::of_bit(70).single_bit(), Some(70));
        assert_eq!(Mask::default().single_bit(), None);
    }
}
