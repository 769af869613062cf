//! A JSON number that is stored as written, and compared and divided without rounding.
//!
//! A comparison or a division allocates no memory. Its time is linear in the length of the texts, whatever the exponents are.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

/// A number that is stored as its JSON text (RFC 8259 §6).
#[derive(Clone, Debug)]
pub struct Number<'t>(Cow<'t, str>);

impl<'t> Number<'t> {
    /// Creates a number. The caller must have checked that the text is a JSON number.
    pub(super) fn from_text(text: &'t str) -> Number<'t> {
        Number(Cow::Borrowed(text))
    }

    /// Returns the text of the number, as written.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Returns `true` if the value is an integer. `2`, `2.0` and `20e-1` are integers (JSON Schema Validation §6.1.1).
    pub fn is_integer(&self) -> bool {
        let decimal = self.decimal();
        decimal.is_zero() || decimal.lowest_power() >= 0
    }

    /// Returns `true` if the number is greater than 0.
    pub fn is_positive(&self) -> bool {
        let decimal = self.decimal();
        !decimal.is_zero() && !decimal.negative
    }

    /// Returns `true` if the number is a multiple of `unit`. If `unit` is 0, or if its significant digits do not fit in 64 bits,
    /// returns `true` only for 0.
    pub fn is_multiple_of(&self, unit: &Number<'_>) -> bool {
        let (value, unit) = (self.decimal(), unit.decimal());
        if value.is_zero() {
            return true;
        }
        let Some(modulus) = unit.digits_as_integer().filter(|modulus| *modulus != 0) else { return false };
        // If the last digit of the unit has a higher power of ten than the last digit of the value, the value is not a multiple.
        // For example, 12 is not a multiple of 30, because the last digit of 12 is not 0.
        let Ok(shift) = u64::try_from(value.lowest_power() - unit.lowest_power()) else { return false };
        let rest = value.digits().fold(0, |rest, digit| (rest * 10 + u128::from(digit)) % modulus);
        (rest * power_of_ten(shift, modulus)).is_multiple_of(modulus)
    }

    fn decimal(&self) -> Decimal<'_> {
        Decimal::of(&self.0)
    }
}

impl From<&serde_json::Number> for Number<'static> {
    /// Keeps all digits of an integer, and of a double between 2^53 and 2^64, which is always an integer. Writes any other double
    /// with the fewest digits that parse to the same double.
    fn from(number: &serde_json::Number) -> Number<'static> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        const BEYOND_64_BITS: f64 = 18_446_744_073_709_551_616.0;
        let double =
            number.as_f64().filter(|double| number.is_f64() && (EXACT..BEYOND_64_BITS).contains(&double.abs()));
        #[expect(clippy::cast_possible_truncation, reason = "an integer within ±2^64, as just checked")]
        let text = double.map_or_else(|| number.to_string(), |double| (double as i128).to_string());
        Number(Cow::Owned(text))
    }
}

impl fmt::Display for Number<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq for Number<'_> {
    fn eq(&self, other: &Number<'_>) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Number<'_> {}

impl PartialOrd for Number<'_> {
    fn partial_cmp(&self, other: &Number<'_>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number<'_> {
    /// Compares the values, not the texts: 1, 1.0 and 10e-1 are equal (JSON Schema Core §4.2.2).
    fn cmp(&self, other: &Number<'_>) -> Ordering {
        let (a, b) = (self.decimal(), other.decimal());
        a.sign().cmp(&b.sign()).then_with(|| if a.negative { b.compare_size(&a) } else { a.compare_size(&b) })
    }
}

/// A parsed number: the sign, the digits without leading and trailing zeros, and the power of ten of the first digit.
struct Decimal<'t> {
    negative: bool,
    whole: &'t str,
    fraction: &'t str,
    highest_power: i64,
}

impl<'t> Decimal<'t> {
    fn of(text: &'t str) -> Decimal<'t> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let exponent = saturated(exponent);
        let (fraction, highest_power) = if whole.is_empty() {
            let digits = fraction.trim_start_matches('0');
            (digits, exponent.saturating_sub(length(fraction) - length(digits) + 1))
        } else {
            (fraction, exponent.saturating_add(length(whole) - 1))
        };
        let whole = if fraction.is_empty() { whole.trim_end_matches('0') } else { whole };
        Decimal { negative, whole, fraction, highest_power }
    }

    fn is_zero(&self) -> bool {
        self.whole.is_empty() && self.fraction.is_empty()
    }

    fn sign(&self) -> i8 {
        match self.negative {
            _ if self.is_zero() => 0,
            true => -1,
            false => 1,
        }
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole.bytes().chain(self.fraction.bytes()).map(|byte| byte.wrapping_sub(b'0'))
    }

    /// Returns all digits as one integer, if that integer fits in 64 bits.
    fn digits_as_integer(&self) -> Option<u128> {
        let integer = self.digits().try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit)));
        integer.map(u128::from)
    }

    /// Returns the power of ten of the last digit.
    fn lowest_power(&self) -> i64 {
        self.highest_power.saturating_sub(length(self.whole) + length(self.fraction) - 1)
    }

    /// Compares the absolute values of two numbers. The numbers must both be 0 or both differ from 0.
    fn compare_size(&self, other: &Decimal<'_>) -> Ordering {
        if self.is_zero() {
            return Ordering::Equal;
        }
        self.highest_power.cmp(&other.highest_power).then_with(|| self.digits().cmp(other.digits()))
    }
}

fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX)
}

/// Parses an exponent and limits it to ±2^40, so that adding the length of a text to it cannot overflow.
fn saturated(exponent: &str) -> i64 {
    const MOST: i64 = 1 << 40;
    let (negative, digits) = match exponent.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, exponent.strip_prefix('+').unwrap_or(exponent)),
    };
    let size = digits.bytes().fold(0, |sum, byte| MOST.min(sum * 10 + i64::from(byte.wrapping_sub(b'0'))));
    if negative { -size } else { size }
}

/// Returns the remainder of 10^`exponent` after a division by `modulus`, which must be below 2^64. Each round of the loop squares
/// `base`, so one round is enough for each bit of the exponent.
fn power_of_ten(mut exponent: u64, modulus: u128) -> u128 {
    let (mut result, mut base) = (1 % modulus, 10 % modulus);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * base % modulus;
        }
        base = base * base % modulus;
        exponent >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn multiples_use_the_digits_as_written() {
        for (value, unit, is_multiple) in [
            ("0.0075", "0.0001", true),
            ("0.00751", "0.0001", false),
            ("19.99", "0.01", true),
            ("19.990000000000000000001", "0.01", false),
            ("1.1", "0.1", true),
            ("-4.5", "1.5", true),
            ("35", "1.5", false),
            ("0", "7", true),
            ("-0.0e99", "7", true),
            ("7", "0", false),
            ("12391239123", "1e-8", true),
            ("1e308", "0.123456789", false),
            ("1e308", "0.5", true),
            ("1e1000000000", "0.5", true),
            ("1e-1000000000", "0.5", false),
            ("1e99999999999999999999", "3", false),
            ("1", "1e300", false),
            ("1e-300", "1", false),
            ("18446744073709551615", "5", true),
            ("18446744073709551615", "2", false),
            ("100000000000000000000000000000000000001", "7", false),
            ("100000000000000000000000000000000000005", "7", true),
            ("-9223372036854775808", "2", true),
            ("1e22", "18446744073709551615", false),
            ("2.50e1", "25", true),
        ] {
            let found = Number::from_text(value).is_multiple_of(&Number::from_text(unit));
            assert_eq!(found, is_multiple, "{value} of {unit}");
        }
    }

    #[test]
    fn numbers_are_compared_by_their_digits() {
        let long = format!("1{}", "0".repeat(400));
        let tiny = format!("0.{}1", "0".repeat(400));
        for (a, b, expected) in [
            ("1", "1.0", Ordering::Equal),
            ("1", "10e-1", Ordering::Equal),
            ("0", "-0.00e7", Ordering::Equal),
            ("0.00120", "12E-4", Ordering::Equal),
            ("1e+2", "100", Ordering::Equal),
            ("10.000000000000001", "10", Ordering::Greater),
            ("10.0000000000000000000000000000001", "10", Ordering::Greater),
            ("9.9999999999999999999", "10", Ordering::Less),
            ("-10.000000000000001", "-10", Ordering::Less),
            ("-1", "-0.5", Ordering::Less),
            ("-1", "1e-9", Ordering::Less),
            ("0", "1e-999999999999", Ordering::Less),
            ("0", "-1e-999999999999", Ordering::Greater),
            ("9007199254740993", "9007199254740992.0", Ordering::Greater),
            ("18446744073709551616", "18446744073709551615", Ordering::Greater),
            ("1e1000000000", "9e999999999", Ordering::Greater),
            ("1e99999999999999999999", "1e300", Ordering::Greater),
            ("-1e99999999999999999999", "1e-99999999999999999999", Ordering::Less),
            (long.as_str(), "1e400", Ordering::Equal),
            (tiny.as_str(), "1e-401", Ordering::Equal),
            ("12", "123", Ordering::Less),
            ("1.2", "1.23", Ordering::Less),
        ] {
            assert_eq!(Number::from_text(a).cmp(&Number::from_text(b)), expected, "{a} {b}");
            assert_eq!(Number::from_text(b).cmp(&Number::from_text(a)), expected.reverse(), "{b} {a}");
        }
    }

    #[test]
    fn numbers_without_a_fraction_are_integers() {
        for (text, is_integer) in [
            ("1", true),
            ("1.0", true),
            ("-0.0", true),
            ("15e-1", false),
            ("150e-1", true),
            ("1.5e1", true),
            ("1e400", true),
            ("1e-400", false),
            ("9007199254740993.5", false),
        ] {
            assert_eq!(Number::from_text(text).is_integer(), is_integer, "{text}");
        }
    }

    #[test]
    fn document_numbers_keep_the_precision_of_a_double() {
        for (value, text) in [
            (json!(1), "1"),
            (json!(-5), "-5"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(0.1), "0.1"),
            (json!(10.0), "10.0"),
            (json!(1e-8), "1e-8"),
            (json!(9_223_372_036_854_775_808.0), "9223372036854775808"),
            (json!(-9_223_372_036_854_775_808.0), "-9223372036854775808"),
        ] {
            assert_eq!(Number::from(value.as_number().unwrap()).text(), text);
        }
        assert_eq!(Number::from(json!(1e300).as_number().unwrap()), Number::from_text("1e300"));
    }
}
