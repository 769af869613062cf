//! Times in conditions: written as RFC 3339 in UTC, asked about as seconds, hours and days of the week.

/// Days of the week as conditions name them, from Monday (ISO 8601 §5.2.3).
pub(super) const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// The day of the week; 1970-01-01 was a Thursday.
pub(super) fn weekday(seconds: u64) -> &'static str {
    let day = usize::try_from((seconds / 86_400 + 3) % 7).unwrap_or_default();
    DAYS.get(day).copied().unwrap_or_default()
}

/// Seconds from 1970 to `2026-03-01T10:00:00Z`.
pub(super) fn parse(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_month = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year < 1970 || !(1..=days_of_month).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Years begin in March here, so that the leap day is their last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// Three numbers of these many digits.
fn numbers(text: &str, mark: char, digits: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(mark);
    let mut found = [0; 3];
    for (slot, digits) in found.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()))?;
        *slot = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn times_are_dates_that_exist() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2024-02-29T12:30:45Z", Some(1_709_209_845)),
            ("2024-03-01T10:00:00Z", Some(1_709_287_200)),
            ("2100-03-01T00:00:00Z", Some(4_107_542_400)),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799)),
            ("2023-02-29T00:00:00Z", None),
            ("2024-04-31T00:00:00Z", None),
            ("2024-13-01T00:00:00Z", None),
            ("1969-12-31T00:00:00Z", None),
            ("2024-03-01T24:00:00Z", None),
            ("2024-03-01T10:00:00+01:00", None),
            ("2024-3-1T10:00:00Z", None),
            ("2024-03-01", None),
            ("2000-02-29T00:00:00Z", Some(951_782_400)),
            ("2100-02-29T00:00:00Z", None),
            ("2024-03-01T+1:00:00Z", None),
            ("", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn days_of_the_week_follow_each_other() {
        assert_eq!(weekday(0), "thursday");
        assert_eq!(weekday(1_709_287_200), "friday");
        assert_eq!(weekday(1_709_287_200 + 3 * 86_400), "monday");
        let week: Vec<_> = (4..11).map(|day| weekday(day * 86_400 + 86_399)).collect();
        assert_eq!(week, DAYS);
    }
}
