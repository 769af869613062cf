//! Resolves a plain YAML scalar to null, a boolean, an exact number or text (YAML 1.2.2 §10.3, core schema).

use serde_json::Number;

use crate::config::node::Value;

/// Returns the value of a plain scalar. The error explains why a number cannot be a JSON number.
pub fn resolve(text: &str) -> Result<Value, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    if is_unbounded(text) {
        return Err(not_json(text));
    }
    if let Some(digits) = text.strip_prefix("0x").filter(|d| is_digits(d, 16)) {
        return integer(text, digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o").filter(|d| is_digits(d, 8)) {
        return integer(text, digits, 8);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if is_digits(unsigned, 10) {
        return integer(text, text.strip_prefix('+').unwrap_or(text), 10);
    }
    if is_float(unsigned) {
        let value = text.parse().ok().and_then(Number::from_f64);
        return value.map(Value::Number).ok_or_else(|| not_json(text));
    }
    Ok(Value::Text(text.to_string()))
}

/// The program that reads a file with an embedded document and passes the document to the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loader {
    /// Envoy's own YAML reader (observed with 1.40.0): it reads 32-bit integers as numbers, and all other numbers as strings.
    Envoy,
    /// Kubernetes, whose YAML readers partly follow YAML 1.1.
    Kubernetes,
}

/// Describes how a loader reads a plain scalar, such as `an octal number`. Returns `None` if the loader reads the scalar like
/// [`resolve`].
pub fn reading_of_loader(text: &str, loader: Loader) -> Option<&'static str> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "on" => return Some("`true`"),
        "n" | "no" | "off" => return Some("`false`"),
        _ => {}
    }
    if is_digits(unsigned, 10) && unsigned.len() > 1 && unsigned.starts_with('0') {
        return Some("an octal number");
    }
    let is_number = |text: &str| matches!(resolve(text), Ok(Value::Number(_)));
    let hexadecimal = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X"));
    if hexadecimal.is_some_and(|digits| is_digits(digits, 16)) && !is_number(text) {
        return Some("a hexadecimal number");
    }
    match loader {
        Loader::Envoy => match resolve(text) {
            Ok(Value::Number(_)) if text.starts_with("0o") => Some("text"),
            Ok(Value::Number(number)) if number.as_i64().is_none_or(|n| i32::try_from(n).is_err()) => Some("text"),
            _ => None,
        },
        Loader::Kubernetes => {
            let binary = unsigned.strip_prefix("0b").is_some_and(|digits| is_digits(digits, 2));
            let spaced = unsigned.contains('_') && !is_number(text) && is_number(&text.replace('_', ""));
            (binary || spaced || text.starts_with("0o") && is_number(text)).then_some("another number, or text")
        }
    }
}

/// Refuses a plain key that some YAML readers do not read as a string, such as `1:`, `true:` or `<<:`. Do not call this for a
/// quoted key, which every reader reads as a string.
pub fn check_key(text: &str) -> Result<(), String> {
    match resolve(text) {
        Ok(Value::Text(_)) if text != "<<" => Ok(()),
        Ok(Value::Text(_)) => Err("merge keys (`<<`) are not part of YAML 1.2; write the members out".to_string()),
        _ => Err(format!("the key `{text}` is not text; put it in quotes")),
    }
}

fn integer(text: &str, digits: &str, radix: u32) -> Result<Value, String> {
    let signed = i64::from_str_radix(digits, radix).map(Number::from);
    let number = signed.or_else(|_| u64::from_str_radix(digits, radix).map(Number::from));
    number.map(Value::Number).map_err(|_| not_json(text))
}

fn is_digits(text: &str, radix: u32) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_digit(radix))
}

/// Returns whether a number matches `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`; the sign is already
/// removed.
fn is_float(unsigned: &str) -> bool {
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => is_digits(fraction, 10),
        Some((whole, fraction)) => is_digits(whole, 10) && (fraction.is_empty() || is_digits(fraction, 10)),
        None => is_digits(mantissa, 10),
    };
    mantissa_fits && exponent.is_none_or(|e| is_digits(e.strip_prefix(['-', '+']).unwrap_or(e), 10))
}

fn is_unbounded(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
}

fn not_json(text: &str) -> String {
    format!("`{text}` cannot be written as a JSON number; put it in quotes if it is text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_resolve_as_in_the_core_schema() {
        let int = |n: i64| Value::Number(n.into());
        let float = |n: f64| Value::Number(Number::from_f64(n).unwrap());
        let word = |t: &str| Value::Text(t.to_string());
        for (text, expected) in [
            ("", Value::Null),
            ("~", Value::Null),
            ("TRUE", Value::Bool(true)),
            ("yes", word("yes")),
            ("off", word("off")),
            ("12", int(12)),
            ("-12", int(-12)),
            ("+12", int(12)),
            ("0o17", int(15)),
            ("0x10", int(16)),
            ("-0", int(0)),
            ("9007199254740993", int(9_007_199_254_740_993)),
            ("1_000", word("1_000")),
            ("12:30", word("12:30")),
            (".5", float(0.5)),
            ("017", int(17)),
            ("18446744073709551615", Value::Number(u64::MAX.into())),
            ("1.5e-3", float(0.0015)),
            ("1.0", float(1.0)),
            ("1.0.0", word("1.0.0")),
            ("1e", word("1e")),
            ("-", word("-")),
            (".", word(".")),
            ("5m", word("5m")),
        ] {
            assert_eq!(resolve(text), Ok(expected), "{text:?}");
        }
        for (text, envoy, kubernetes) in [
            ("yes", Some("`true`"), Some("`true`")),
            ("Off", Some("`false`"), Some("`false`")),
            ("N", Some("`false`"), Some("`false`")),
            ("true", None, None),
            ("null", None, None),
            ("12", None, None),
            ("-2147483648", None, None),
            ("2147483648", Some("text"), None),
            ("1.5", Some("text"), None),
            ("017", Some("an octal number"), Some("an octal number")),
            ("0o17", Some("text"), Some("another number, or text")),
            ("0x10", None, None),
            ("0X1F", Some("a hexadecimal number"), Some("a hexadecimal number")),
            ("-0xFF", Some("a hexadecimal number"), Some("a hexadecimal number")),
            ("0xg", None, None),
            ("1_000", None, Some("another number, or text")),
            ("0b11", None, Some("another number, or text")),
            ("a_b", None, None),
            ("12:30", None, None),
            ("1.0.0", None, None),
        ] {
            assert_eq!(reading_of_loader(text, Loader::Envoy), envoy, "{text}");
            assert_eq!(reading_of_loader(text, Loader::Kubernetes), kubernetes, "{text}");
        }
        assert!(resolve("18446744073709551616").is_err());
        assert!(resolve("1e999").is_err());
    }
}
