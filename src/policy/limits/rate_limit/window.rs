//! The arithmetic of one window: counts a request, and computes the remaining requests and the wait until the next is allowed.
//!
//! All calculations use integers.
//!
//! A rate uses the generic cell rate algorithm (ITU-T I.371, virtual scheduling). Its state is the time when the bucket will be
//! full again. The state of a quota is the number of the period and the count in this period.

use crate::config::limit::QuotaPeriod;
use crate::date::Date;

/// A compiled window. Times are nanoseconds since the Unix epoch, which fit in 64 bits until the year 2554.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// A rate: used requests are refilled evenly over time.
    Rate {
        /// The time to refill one request, rounded up so that the rate never exceeds the configured one.
        interval: u64,
        /// The time to refill the whole bucket.
        capacity: u64,
    },
    /// A quota: the whole quota is refilled when the next period begins.
    Quota {
        /// The number of requests per period.
        most: u32,
        /// The calendar period in UTC.
        period: QuotaPeriod,
    },
}

/// The state of a caller in a window. Zero means that the caller has used nothing.
pub type WindowState = u64;

/// The number of requests that a window still allows, and the time until it allows its full number of requests again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowLeft {
    /// The number of requests that the window allows now.
    pub requests: u64,
    /// The number of nanoseconds until the window allows its full number of requests again.
    pub until_full: u64,
}

impl Window {
    /// Returns the state after a request of this cost. If too little is left, returns the necessary wait in nanoseconds, and the
    /// state does not change.
    pub fn take(self, state: WindowState, cost: u32, now: u64) -> Result<WindowState, u64> {
        match self {
            Window::Rate { interval, capacity } => {
                let full_at = full_at(state, capacity, now).saturating_add(interval.saturating_mul(u64::from(cost)));
                let most = now.saturating_add(capacity);
                if full_at > most { Err(full_at - most) } else { Ok(full_at) }
            }
            Window::Quota { most, period } => {
                let (number, ends) = numbered(period, now);
                let count = count(state, number).saturating_add(cost);
                if count > most { Err(ends.saturating_sub(now)) } else { Ok(packed(number, count)) }
            }
        }
    }

    /// Returns the state of a window that has nothing left.
    pub fn exhausted(self, now: u64) -> WindowState {
        match self {
            Window::Rate { capacity, .. } => now.saturating_add(capacity),
            Window::Quota { most, period } => packed(numbered(period, now).0, most),
        }
    }

    /// Returns the remaining requests of the window.
    pub fn left(self, state: WindowState, now: u64) -> WindowLeft {
        match self {
            Window::Rate { interval, capacity } => {
                let until_full = full_at(state, capacity, now).saturating_sub(now);
                WindowLeft { requests: (capacity - until_full) / interval.max(1), until_full }
            }
            Window::Quota { most, period } => {
                let (number, ends) = numbered(period, now);
                let requests = u64::from(most.saturating_sub(count(state, number)));
                WindowLeft { requests, until_full: ends.saturating_sub(now) }
            }
        }
    }

    /// Returns the used fraction of the window as a number from 0 to `u32::MAX`. If it is zero, the state need not be stored.
    pub fn used(self, state: WindowState, now: u64) -> u32 {
        let (used, all) = match self {
            Window::Rate { capacity, .. } => (full_at(state, capacity, now).saturating_sub(now), capacity),
            Window::Quota { most, period } => (u64::from(count(state, numbered(period, now).0)), u64::from(most)),
        };
        let share = u128::from(used) * u128::from(u32::MAX) / u128::from(all.max(1));
        u32::try_from(share).unwrap_or(u32::MAX).max(u32::from(used > 0))
    }
}

/// Returns the time when the bucket is completely refilled, at most `capacity` after `now`. A state that is more than `MAX_SKEW`
/// later than this is stale: it was written before the clock was set back, or before a reload shortened the time to refill the
/// bucket. A stale state counts as a refilled bucket. Otherwise, requests would be refused until the clock reached the time in
/// the state.
fn full_at(state: WindowState, capacity: u64, now: u64) -> u64 {
    let most = now.saturating_add(capacity);
    if state > most.saturating_add(MAX_SKEW) { now } else { state.clamp(now, most) }
}

/// Returns the count in `state` if it belongs to the period `number` or to the next period, which another worker may already have
/// started. Returns zero for all other periods: an earlier period is over, and a later period was stored before the clock was set
/// back.
fn count(state: WindowState, number: u32) -> u32 {
    let [a, b, c, d, counted @ ..] = state.to_be_bytes();
    let ahead = u32::from_be_bytes([a, b, c, d]).checked_sub(number);
    if ahead.is_some_and(|periods| periods <= 1) { u32::from_be_bytes(counted) } else { 0 }
}

fn packed(number: u32, count: u32) -> WindowState {
    u64::from(number) << 32 | u64::from(count)
}

/// Returns the number of the current period, and the start of the next one.
fn numbered(period: QuotaPeriod, now: u64) -> (u32, u64) {
    let (number, ends) = match period {
        QuotaPeriod::Hour => (now / HOUR, (now / HOUR + 1).saturating_mul(HOUR)),
        QuotaPeriod::Day => (now / DAY, (now / DAY + 1).saturating_mul(DAY)),
        QuotaPeriod::Month => {
            let date = Date::of_day(now / DAY);
            (date.year * 12 + date.month, (now / DAY + date.days_left()).saturating_mul(DAY))
        }
    };
    (u32::try_from(number).unwrap_or(u32::MAX), ends)
}

/// The tolerated clock difference in nanoseconds. Workers read the same clock at slightly different times.
const MAX_SKEW: u64 = 10_000_000_000;
const HOUR: u64 = 3_600_000_000_000;
const DAY: u64 = 24 * HOUR;

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const SECOND: u64 = 1_000_000_000;
    /// 2024-02-29 23:59:58 UTC, shortly before the end of a leap day.
    const LATE: u64 = 1_709_251_198 * SECOND;
    const RATE: Window = Window::Rate { interval: SECOND / 10, capacity: 2 * SECOND };

    #[test]
    fn a_burst_passes_and_then_one_request_per_interval() {
        let mut state = 0;
        for left in (0..20).rev() {
            state = RATE.take(state, 1, LATE).unwrap();
            assert_eq!(RATE.left(state, LATE).requests, left);
        }
        assert_eq!(RATE.take(state, 1, LATE), Err(SECOND / 10));
        assert_eq!(RATE.take(state, 1, LATE + SECOND / 10 - 1), Err(1));
        let state = RATE.take(state, 1, LATE + SECOND / 10).unwrap();
        assert_eq!(RATE.take(state, 1, LATE + SECOND / 10), Err(SECOND / 10));
        assert_eq!(RATE.left(state, LATE + 3 * SECOND), WindowLeft { requests: 20, until_full: 0 });
        assert_eq!(RATE.used(state, LATE + 3 * SECOND), 0, "the state can be dropped");
    }

    #[test]
    fn a_quota_is_full_again_when_its_period_begins() {
        for (period, ends_in) in [(QuotaPeriod::Hour, 2), (QuotaPeriod::Day, 2), (QuotaPeriod::Month, 2)] {
            let quota = Window::Quota { most: 2, period };
            let state = quota.take(quota.take(0, 1, LATE).unwrap(), 1, LATE).unwrap();
            assert_eq!(quota.take(state, 1, LATE), Err(ends_in * SECOND), "{period:?}");
            assert_eq!(quota.take(state, 1, LATE + 2 * SECOND - 1), Err(1), "{period:?}");
            let state = quota.take(state, 1, LATE + 2 * SECOND).unwrap();
            assert_eq!(quota.left(state, LATE + 2 * SECOND).requests, 1, "{period:?}");
        }
        let month = Window::Quota { most: 1, period: QuotaPeriod::Month };
        assert_eq!(
            month.take(month.take(0, 1, LATE + 3 * SECOND).unwrap(), 1, LATE + 3 * SECOND),
            Err(31 * DAY - SECOND)
        );
    }

    #[test]
    fn a_clock_set_back_neither_locks_callers_out_nor_grants_extra_requests() {
        let empty = RATE.exhausted(LATE);
        assert_eq!(RATE.left(empty, LATE - 40 * DAY).requests, 20, "a state from the future is ignored");
        for earlier in [1, SECOND, 10 * SECOND] {
            assert_eq!(RATE.take(empty, 1, LATE - earlier), Err(SECOND / 10), "{earlier} ns earlier");
        }
        let quota = Window::Quota { most: 5, period: QuotaPeriod::Day };
        let state = quota.take(0, 3, LATE).unwrap();
        assert_eq!(quota.left(state, LATE - DAY).requests, 2, "another worker may have seen the day begin");
        assert_eq!(quota.left(state, LATE - 40 * DAY).requests, 5);
    }

    #[test]
    fn no_number_overflows() {
        let wide = Window::Rate { interval: u64::MAX, capacity: u64::MAX };
        let quota = Window::Quota { most: u32::MAX, period: QuotaPeriod::Month };
        for window in [wide, RATE, quota] {
            for state in [0, 1, u64::MAX / 2, u64::MAX] {
                for now in [0, LATE, u64::MAX] {
                    for cost in [0, 1, u32::MAX] {
                        let after = window.take(state, cost, now).unwrap_or_else(|_| window.exhausted(now));
                        let (_, _) = (window.left(after, now), window.used(after, now));
                    }
                }
            }
        }
    }
}
