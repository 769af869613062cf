//! Reads points in time such as `2026-03-01T10:00:00Z` (RFC 3339 §5.6). Only UTC is accepted.

use std::time::Duration;

use super::reader::Field;
use crate::date::Date;

impl Field<'_> {
    /// Reads a point in time and returns it as the time since the Unix epoch. Any other value is reported as a problem.
    pub fn moment(&self) -> Option<Duration> {
        let text = self.text()?;
        let found = rfc3339(&text).map(Duration::from_secs);
        if found.is_none() {
            self.problem(format!("`{text}` is not a time in UTC (accepted: 2026-03-01T10:00:00Z)"));
        }
        found
    }
}

/// Parses a point in time such as `2026-03-01T10:00:00Z` and returns the seconds since the Unix epoch. Returns `None` if the
/// string is not a time in UTC, or if the time is before 1970.
pub fn rfc3339(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix(['Z', 'z'])?.split_once(['T', 't'])?;
    let ([year, month, day], [hour, minute, second]) = (numbers(date, '-', [4, 2, 2])?, numbers(time, ':', [2, 2, 2])?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(Date { year, month, day }.days()? * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// Parses three numbers that the character `mark` separates. Each must have exactly the given number of digits.
fn numbers(text: &str, mark: char, digits: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(mark);
    let mut next = |digits: usize| {
        let part = parts.next()?;
        let is_number = part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
        part.parse().ok().filter(|_| is_number)
    };
    let [first, second, third] = digits;
    let read = [next(first)?, next(second)?, next(third)?];
    parts.next().is_none().then_some(read)
}

#[cfg(test)]
mod tests {
    use super::rfc3339;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn moments_are_dates_with_a_time_in_utc() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2024-02-29T12:30:45Z", Some(1_709_209_845)),
            ("2024-03-01T10:00:00Z", Some(1_709_287_200)),
            ("2100-03-01T00:00:00z", Some(4_107_542_400)),
            ("2024-12-31T23:59:60Z", Some(1_735_689_600)),
            ("2000-02-29T00:00:00Z", Some(951_782_400)),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799)),
            ("1969-12-31T23:59:59Z", None),
            ("2024-13-01T00:00:00Z", None),
            ("2024-00-01T00:00:00Z", None),
            ("2024-04-31T00:00:00Z", None),
            ("2024-01-00T00:00:00Z", None),
            ("2023-02-29T00:00:00Z", None),
            ("2100-02-29T00:00:00Z", None),
            ("2024-03-01T24:00:00Z", None),
            ("2024-03-01T10:60:00Z", None),
            ("2024-03-01T10:00:61Z", None),
            ("2024-3-1T10:00:00Z", None),
            ("2024-03-01T+9:00:00Z", None),
            ("2024-03-01T10:00Z", None),
            ("2024-03-01-01T10:00:00Z", None),
            ("2024-03-01", None),
            ("2024-03-01T10:00:00+01:00", None),
            ("yesterday", None),
        ] {
            assert_eq!(rfc3339(text), expected, "{text}");
        }
    }
}
