//! Numbers as JSON writes them: compared and divided exactly, not as the nearest double would have it.

use std::cmp::Ordering;

use serde_json::Number;

/// The absolute value of a number: `digits` × 10^`exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    digits: u64,
    exponent: i32,
}

impl Decimal {
    /// Reads the digits that a number is written with: a double is written with as few as tell it from every other.
    pub fn of(number: &Number) -> Decimal {
        let text = number.to_string();
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
        let mut decimal = Decimal { digits: 0, exponent: exponent.parse().unwrap_or(0) };
        let mut behind_point = false;
        for letter in mantissa.chars() {
            if let Some(digit) = letter.to_digit(10) {
                // A double has 17 digits at most, an integer 20 that fit.
                decimal.digits = decimal.digits.wrapping_mul(10).wrapping_add(u64::from(digit));
                decimal.exponent -= i32::from(behind_point);
            }
            behind_point |= letter == '.';
        }
        decimal
    }

    /// Zero, of which nothing but zero is a multiple.
    pub fn is_zero(self) -> bool {
        self.digits == 0
    }

    /// Whether this is a whole number of times `unit`.
    pub fn is_multiple_of(self, unit: Decimal) -> bool {
        if self.digits == 0 {
            return true;
        }
        let apart = self.exponent - unit.exponent;
        let step = apart.unsigned_abs();
        if apart >= 0 {
            // digits × 10^apart ≡ 0 modulo the unit's digits.
            let modulus = u128::from(unit.digits);
            modulus != 0 && (u128::from(self.digits) % modulus * power_of_ten(step, modulus)).is_multiple_of(modulus)
        } else {
            // digits ≡ 0 modulo the unit's digits × 10^-apart, which may be larger than any digits.
            let modulus = 10u128.checked_pow(step).and_then(|power| power.checked_mul(u128::from(unit.digits)));
            modulus.is_some_and(|modulus| modulus != 0 && u128::from(self.digits).is_multiple_of(modulus))
        }
    }
}

/// 10^`exponent` modulo something below 2^64, by squaring.
fn power_of_ten(mut exponent: u32, modulus: u128) -> u128 {
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

/// Compares two numbers; 1 and 1.0 are the same one (JSON Schema Core §4.2.2).
pub(super) fn compare(a: &Number, b: &Number) -> Ordering {
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(a), None) => against(a, real(b)),
        (None, Some(b)) => against(b, real(a)).reverse(),
        (None, None) => real(a).partial_cmp(&real(b)).unwrap_or(Ordering::Equal),
    }
}

/// Whether a number has no part behind the point, however it is written (JSON Schema Validation §6.1.1).
pub(super) fn is_integer(number: &Number) -> bool {
    whole(number).is_some() || real(number).fract() == 0.0
}

fn whole(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

fn real(number: &Number) -> f64 {
    number.as_f64().unwrap_or_default()
}

fn against(whole: i128, real: f64) -> Ordering {
    let floor = real.floor();
    if floor.abs() >= BEYOND_INTEGERS {
        return if real > 0.0 { Ordering::Less } else { Ordering::Greater };
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole, and within ±2^65 as just checked")]
    let below = floor as i128;
    whole.cmp(&below).then(if real > floor { Ordering::Less } else { Ordering::Equal })
}

/// 2^65.
const BEYOND_INTEGERS: f64 = 36_893_488_147_419_103_232.0;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn number(value: serde_json::Value) -> Number {
        value.as_number().unwrap().clone()
    }

    #[test]
    fn multiples_are_those_of_the_digits_written() {
        for (value, unit, is_multiple) in [
            (json!(0.0075), json!(0.0001), true),
            (json!(0.00751), json!(0.0001), false),
            (json!(19.99), json!(0.01), true),
            (json!(1.1), json!(0.1), true),
            (json!(-4.5), json!(1.5), true),
            (json!(35), json!(1.5), false),
            (json!(0), json!(7), true),
            (json!(12_391_239_123_i64), json!(1e-8), true),
            (json!(1e308), json!(0.123456789), false),
            (json!(1e308), json!(0.5), true),
            (json!(1), json!(1e300), false),
            (json!(1e-300), json!(1), false),
            (json!(u64::MAX), json!(5), true),
            (json!(u64::MAX), json!(2), false),
            (json!(i64::MIN), json!(2), true),
            (json!(1e22), json!(u64::MAX), false),
        ] {
            let found = Decimal::of(&number(value.clone())).is_multiple_of(Decimal::of(&number(unit.clone())));
            assert_eq!(found, is_multiple, "{value} of {unit}");
        }
    }

    #[test]
    fn comparison_is_exact_across_kinds() {
        for (a, b, expected) in [
            (json!(1), json!(1.0), Ordering::Equal),
            (json!(-1), json!(-0.5), Ordering::Less),
            (json!(-1), json!(-1.5), Ordering::Greater),
            (json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992.0), Ordering::Greater),
            (json!(u64::MAX), json!(18_446_744_073_709_551_616.0), Ordering::Less),
            (json!(u64::MAX), json!(1e300), Ordering::Less),
            (json!(i64::MIN), json!(-1e300), Ordering::Greater),
            (json!(i64::MIN), json!(u64::MAX), Ordering::Less),
            (json!(0.1), json!(0.2), Ordering::Less),
        ] {
            assert_eq!(compare(&number(a.clone()), &number(b.clone())), expected, "{a} {b}");
            assert_eq!(compare(&number(b.clone()), &number(a.clone())), expected.reverse(), "{b} {a}");
        }
    }
}
