//! The days of the week for conditions.

/// The names of the days of the week, starting with Monday (ISO 8601 §5.2.3).
pub(super) const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Returns the day of the week for a time in seconds since the Unix epoch. 1970-01-01 was a Thursday.
pub(super) fn weekday(seconds: u64) -> &'static str {
    let day = usize::try_from((seconds / 86_400 + 3) % 7).unwrap_or_default();
    DAYS.get(day).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn days_of_the_week_follow_each_other() {
        assert_eq!(weekday(0), "thursday");
        assert_eq!(weekday(1_709_287_200), "friday");
        assert_eq!(weekday(1_709_287_200 + 3 * 86_400), "monday");
        let week: Vec<_> = (4..11).map(|day| weekday(day * 86_400 + 86_399)).collect();
        assert_eq!(week, DAYS);
    }
}
