//! Reads the clock for all commands, and parses the times and durations in their arguments.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::config::reader::parse_any_duration;
use crate::config::time::rfc3339;

/// Returns the current time, as a duration since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "the core reads no clock, so the command line passes the time to it")]
pub fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Parses `2026-03-01T10:00:00Z` (RFC 3339 §5.6, UTC) or seconds since the Unix epoch.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    rfc3339(text)
        .map(Duration::from_secs)
        .ok_or_else(|| "expected 2026-03-01T10:00:00Z or seconds since 1970".to_string())
}

/// Parses a time in the formats of [`parse_time`], or a duration from now.
pub fn parse_end(text: &str) -> Result<Duration, String> {
    let fault = "expected 2026-03-01T10:00:00Z, seconds since 1970, or a duration from now such as 90d";
    parse_time(text).or_else(|_| parse_span(text).map(|span| now().saturating_add(span))).map_err(|_| fault.to_string())
}

/// Parses a duration such as `90s`, `15m`, `1h` or `7d`. Milliseconds are refused, because the commands print and write times in
/// whole seconds.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let span = parse_any_duration(text).filter(|_| !text.ends_with("ms"));
    span.ok_or_else(|| "expected a duration in whole seconds or longer units, such as 90s, 15m, 1h or 7d".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_dates_or_as_seconds() {
        for (text, expected) in
            [("2024-03-01T10:00:00Z", Some(1_709_287_200)), ("1709287200", Some(1_709_287_200)), ("yesterday", None)]
        {
            assert_eq!(parse_time(text).ok().map(|t| t.as_secs()), expected, "{text}");
        }
    }

    #[test]
    fn spans_have_a_unit() {
        for (text, expected) in [
            ("90s", Some(90)),
            ("15m", Some(900)),
            ("1h", Some(3_600)),
            ("7d", Some(604_800)),
            ("1", None),
            ("", None),
            ("1w", None),
            ("500ms", None),
            ("7300d", Some(630_720_000)),
        ] {
            assert_eq!(parse_span(text).ok().map(|t| t.as_secs()), expected, "{text}");
        }
    }
}
