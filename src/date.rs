//! Gregorian calendar dates in UTC, and their conversion from and to a number of days since 1970-01-01.

/// A date of the Gregorian calendar in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// The year.
    pub year: u64,
    /// The month, 1 to 12.
    pub month: u64,
    /// The day, 1 to 31.
    pub day: u64,
}

impl Date {
    /// Returns the date that is `days` days after 1970-01-01.
    pub fn of_day(days: u64) -> Date {
        // Counts years from 1 March, so that a leap day is the last day of its year (Howard Hinnant, chrono-dates).
        let shifted = days + 719_468;
        let era = shifted / 146_097;
        let day_of_era = shifted % 146_097;
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Date { year: era * 400 + year_of_era + u64::from(month <= 2), month, day }
    }

    /// Returns the number of days since 1970-01-01; `None` if the date is earlier or does not exist.
    pub fn days(self) -> Option<u64> {
        let Date { year, month, day } = self;
        if year < 1970 || !(1..=12).contains(&month) || !(1..=self.days_in_month()).contains(&day) {
            return None;
        }
        let shifted = if month > 2 { year } else { year - 1 };
        let (era, year_of_era) = (shifted / 400, shifted % 400);
        let month_from_march = if month > 2 { month - 3 } else { month + 9 };
        let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
        Some(era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468)
    }

    /// Returns the number of days left in the month, including this day.
    pub fn days_left(self) -> u64 {
        self.days_in_month() - self.day + 1
    }

    fn days_in_month(self) -> u64 {
        let leap = self.year.is_multiple_of(4) && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        match self.month {
            2 => 28 + u64::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn every_month_of_four_centuries_is_followed_by_the_next() {
        let mut day = 0;
        let mut last = Date { year: 1969, month: 12, day: 1 };
        while day < 146_097 {
            let date = Date::of_day(day);
            let next = if last.month == 12 { (last.year + 1, 1) } else { (last.year, last.month + 1) };
            assert_eq!((date.year, date.month, date.day), (next.0, next.1, 1), "day {day}");
            assert_eq!(date.days(), Some(day));
            day += date.days_left();
            assert_eq!(Date::of_day(day - 1).days_left(), 1);
            last = date;
        }
    }
}
