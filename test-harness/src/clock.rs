//! The harness's only clock: tokens are minted for now, and waiting for a server ends at a deadline.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use portcullis::policy::verdict::date::Date;

/// Seconds since 1970 by the machine's clock, which a real Envoy also reads.
#[expect(clippy::disallowed_methods, reason = "a real Envoy judges tokens by the real time")]
pub fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// [`unix_seconds`], or three days earlier if the month ends within two days: cases about monthly quotas let hours pass.
pub fn within_month() -> i64 {
    const DAY: i64 = 86_400;
    let now = unix_seconds();
    let month = |day: i64| Date::of_day(u64::try_from(day).unwrap_or_default()).month;
    if month(now / DAY) == month(now / DAY + 2) { now } else { now - 3 * DAY }
}

/// Now, to be compared with other moments.
#[expect(clippy::disallowed_methods, reason = "what happened to a process is told by when it happened")]
pub fn now() -> Instant {
    Instant::now()
}

/// A point in time after which waiting is given up.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline that lies `wait` ahead.
    #[expect(clippy::disallowed_methods, reason = "processes and sockets are waited for in real time")]
    pub fn after(wait: Duration) -> Self {
        Self(Instant::now() + wait)
    }

    /// Whether it has passed.
    #[expect(clippy::disallowed_methods, reason = "processes and sockets are waited for in real time")]
    pub fn passed(self) -> bool {
        Instant::now() >= self.0
    }

    /// Asks `ready` every 20 ms until it answers, or the deadline passes.
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
