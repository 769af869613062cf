//! The one place where the tools read the clock, and the forms in which an operator may write a time instead.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "the command line is where the core's time comes from")]
pub fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Reads `2026-03-01T10:00:00Z` (RFC 3339 §5.6, UTC) or seconds since the Unix epoch.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    rfc3339(text)
        .map(Duration::from_secs)
        .ok_or_else(|| "expected 2026-03-01T10:00:00Z or seconds since 1970".to_string())
}

/// Reads `90s`, `15m` or `1h`.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let unit = text.chars().last().unwrap_or_default();
    let number: Option<u64> = text.strip_suffix(unit).and_then(|digits| digits.parse().ok());
    let seconds = match unit {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(3_600),
        _ => None,
    };
    let span = number.zip(seconds).and_then(|(number, seconds)| number.checked_mul(seconds));
    span.map(Duration::from_secs).ok_or_else(|| "expected a span of time as 90s, 15m or 1h".to_string())
}

fn rfc3339(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix(['Z', 'z'])?.split_once(['T', 't'])?;
    let numbers =
        |text: &str, mark: char| text.split(mark).map(|n| n.parse::<u64>().ok()).collect::<Option<Vec<u64>>>();
    let ([year, month, day], [hour, minute, second]) =
        (<[u64; 3]>::try_from(numbers(date, '-')?).ok()?, <[u64; 3]>::try_from(numbers(time, ':')?).ok()?);
    let is_date = (1970..10_000).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_date || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days since the epoch with the year beginning in March, so that the leap day is its last (Howard Hinnant, chrono-dates).
    let shifted = if month > 2 { year } else { year - 1 };
    let (era, of_era) = (shifted / 400, shifted % 400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_dates_or_as_seconds() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2024-02-29T12:30:45Z", Some(1_709_209_845)),
            ("2024-03-01T10:00:00Z", Some(1_709_287_200)),
            ("2100-03-01T00:00:00z", Some(4_107_542_400)),
            ("1709287200", Some(1_709_287_200)),
            ("2024-13-01T00:00:00Z", None),
            ("2024-03-01", None),
            ("2024-03-01T10:00:00+01:00", None),
            ("yesterday", None),
        ] {
            assert_eq!(parse_time(text).ok().map(|t| t.as_secs()), expected, "{text}");
        }
    }

    #[test]
    fn spans_have_a_unit() {
        for (text, expected) in
            [("90s", Some(90)), ("15m", Some(900)), ("1h", Some(3_600)), ("1", None), ("", None), ("1d", None)]
        {
            assert_eq!(parse_span(text).ok().map(|t| t.as_secs()), expected, "{text}");
        }
    }
}
