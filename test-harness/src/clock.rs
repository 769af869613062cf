//! The clock of the harness: the current time for tokens, and deadlines for servers.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use portcullis::date::Date;

/// Returns the Unix time of the machine's clock, which a real Envoy also reads.
#[expect(clippy::disallowed_methods, reason = "a real Envoy compares the times in tokens with the real time")]
pub fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Returns [`unix_seconds`], but subtracts three days if the month ends within two days. Cases about monthly quotas advance the
/// clock by hours, and the count of a quota would start again at zero if the clock reached the next month.
pub fn within_month() -> i64 {
    const DAY: i64 = 86_400;
    let now = unix_seconds();
    let month = |day: i64| Date::of_day(u64::try_from(day).unwrap_or_default()).month;
    if month(now / DAY) == month(now / DAY + 2) { now } else { now - 3 * DAY }
}

/// Returns the current instant.
#[expect(clippy::disallowed_methods, reason = "tests measure real durations")]
pub fn now() -> Instant {
    Instant::now()
}

/// The time at which a wait times out.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// Creates a deadline that passes after `wait`.
    #[expect(clippy::disallowed_methods, reason = "processes and sockets are waited for in real time")]
    pub fn after(wait: Duration) -> Self {
        Self(Instant::now() + wait)
    }

    /// Returns whether the deadline has passed.
    #[expect(clippy::disallowed_methods, reason = "processes and sockets are waited for in real time")]
    pub fn passed(self) -> bool {
        Instant::now() >= self.0
    }

    /// Calls `ready` every 20 ms until it returns a value or the deadline passes.
    pub fn poll<T>(self, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
        loop {
            let answer = ready();
            if answer.is_some() || self.passed() {
                return answer;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
