//! The arithmetic of one window: what is left, what a request takes, how long until there is enough. Integers only.
//!
//! A rate is kept by the generic cell rate algorithm (ITU-T I.371, the virtual scheduling form): all there is to know of a
//! bucket is the moment when it will be full again. A quota keeps the number of its period and a count.

use crate::config::limit::Period;
use crate::policy::verdict::date::Date;

/// One window as compiled. Times are nanoseconds since the Unix epoch, which 64 bits hold until the year 2554.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// What was used comes back evenly.
    Rate {
        /// The time in which one request comes back, rounded up: never more than was written.
        interval: u64,
        /// The time in which all of them come back.
        room: u64,
    },
    /// All of it comes back at once, when the next period begins.
    Quota {
        /// How many in a period.
        most: u32,
        /// The period.
        period: Period,
    },
}

/// What a window remembers of one caller; zero is that of somebody who has used nothing.
pub type State = u64;

/// What is left of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// How many requests could come now.
    pub requests: u64,
    /// How many nanoseconds until all of it is there again.
    pub until_full: u64,
}

impl Window {
    /// The state after a request of this cost; or how long it would have to wait. A request that has to wait changes nothing.
    pub fn take(self, state: State, cost: u32, now: u64) -> Result<State, u64> {
        match self {
            Window::Rate { interval, room } => {
                let full_at = full_at(state, room, now).saturating_add(interval.saturating_mul(u64::from(cost)));
                let most = now.saturating_add(room);
                if full_at > most { Err(full_at - most) } else { Ok(full_at) }
            }
            Window::Quota { most, period } => {
                let (number, ends) = numbered(period, now);
                let count = count(state, number).saturating_add(cost);
                if count > most { Err(ends.saturating_sub(now)) } else { Ok(packed(number, count)) }
            }
        }
    }

    /// The state when nothing is left.
    pub fn exhausted(self, now: u64) -> State {
        match self {
            Window::Rate { room, .. } => now.saturating_add(room),
            Window::Quota { most, period } => packed(numbered(period, now).0, most),
        }
    }

    /// What is left.
    pub fn left(self, state: State, now: u64) -> Left {
        match self {
            Window::Rate { interval, room } => {
                let until_full = full_at(state, room, now).saturating_sub(now);
                Left { requests: (room - until_full) / interval.max(1), until_full }
            }
            Window::Quota { most, period } => {
                let (number, ends) = numbered(period, now);
                let requests = u64::from(most.saturating_sub(count(state, number)));
                Left { requests, until_full: ends.saturating_sub(now) }
            }
        }
    }

    /// How much of the window is used, from 0 to `u32::MAX`; zero only when the state might as well be forgotten.
    pub fn used(self, state: State, now: u64) -> u32 {
        let (used, all) = match self {
            Window::Rate { room, .. } => (full_at(state, room, now).saturating_sub(now), room),
            Window::Quota { most, period } => (u64::from(count(state, numbered(period, now).0)), u64::from(most)),
        };
        let share = u128::from(used) * u128::from(u32::MAX) / u128::from(all.max(1));
        u32::try_from(share).unwrap_or(u32::MAX).max(u32::from(used > 0))
    }
}

/// When the bucket is full again. What lies further ahead than a whole bucket, and than workers' readings of one clock differ, was
/// written before the clock was set back, or by a slower limit: it says nothing about now. Were the bucket taken for empty, which
/// nobody would write down for a request that is refused, it would be empty until the clock comes by again.
fn full_at(state: State, room: u64, now: u64) -> u64 {
    let most = now.saturating_add(room);
    if state > most.saturating_add(MOST_SKEW) { now } else { state.clamp(now, most) }
}

/// What was counted in this period, or in the next one, which another worker may have seen begin. A count of a later one is from
/// before the clock was set back.
fn count(state: State, number: u32) -> u32 {
    let [a, b, c, d, counted @ ..] = state.to_be_bytes();
    let ahead = u32::from_be_bytes([a, b, c, d]).checked_sub(number);
    if ahead.is_some_and(|periods| periods <= 1) { u32::from_be_bytes(counted) } else { 0 }
}

fn packed(number: u32, count: u32) -> State {
    u64::from(number) << 32 | u64::from(count)
}

/// The number of the period that holds this moment, and when the next one begins.
fn numbered(period: Period, now: u64) -> (u32, u64) {
    let (number, ends) = match period {
        Period::Hour => (now / HOUR, (now / HOUR + 1).saturating_mul(HOUR)),
        Period::Day => (now / DAY, (now / DAY + 1).saturating_mul(DAY)),
        Period::Month => {
            let date = Date::of_day(now / DAY);
            (date.year * 12 + date.month, (now / DAY + date.days_left()).saturating_mul(DAY))
        }
    };
    (u32::try_from(number).unwrap_or(u32::MAX), ends)
}

/// Two workers read the same clock at slightly different times.
const MOST_SKEW: u64 = 10_000_000_000;
const HOUR: u64 = 3_600_000_000_000;
const DAY: u64 = 24 * HOUR;

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const SECOND: u64 = 1_000_000_000;
    /// 2024-02-29 23:59:58 UTC.
    const LATE: u64 = 1_709_251_198 * SECOND;
    const RATE: Window = Window::Rate { interval: SECOND / 10, room: 2 * SECOND };

    #[test]
    fn a_burst_passes_and_then_one_for_each_interval() {
        let mut state = 0;
        for left in (0..20).rev() {
            state = RATE.take(state, 1, LATE).unwrap();
            assert_eq!(RATE.left(state, LATE).requests, left);
        }
        assert_eq!(RATE.take(state, 1, LATE), Err(SECOND / 10));
        assert_eq!(RATE.take(state, 1, LATE + SECOND / 10 - 1), Err(1));
        let state = RATE.take(state, 1, LATE + SECOND / 10).unwrap();
        assert_eq!(RATE.take(state, 1, LATE + SECOND / 10), Err(SECOND / 10));
        assert_eq!(RATE.left(state, LATE + 3 * SECOND), Left { requests: 20, until_full: 0 });
        assert_eq!(RATE.used(state, LATE + 3 * SECOND), 0, "it might as well be forgotten");
    }

    #[test]
    fn a_quota_is_whole_again_when_its_period_begins() {
        for (period, ends_in) in [(Period::Hour, 2), (Period::Day, 2), (Period::Month, 2)] {
            let quota = Window::Quota { most: 2, period };
            let state = quota.take(quota.take(0, 1, LATE).unwrap(), 1, LATE).unwrap();
            assert_eq!(quota.take(state, 1, LATE), Err(ends_in * SECOND), "{period:?}");
            assert_eq!(quota.take(state, 1, LATE + 2 * SECOND - 1), Err(1), "{period:?}");
            let state = quota.take(state, 1, LATE + 2 * SECOND).unwrap();
            assert_eq!(quota.left(state, LATE + 2 * SECOND).requests, 1, "{period:?}");
        }
        let month = Window::Quota { most: 1, period: Period::Month };
        assert_eq!(
            month.take(month.take(0, 1, LATE + 3 * SECOND).unwrap(), 1, LATE + 3 * SECOND),
            Err(31 * DAY - SECOND)
        );
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out_and_workers_who_read_it_in_turn_give_nothing_away() {
        let empty = RATE.exhausted(LATE);
        assert_eq!(RATE.left(empty, LATE - 40 * DAY).requests, 20, "what was written then says nothing about now");
        for earlier in [1, SECOND, 10 * SECOND] {
            assert_eq!(RATE.take(empty, 1, LATE - earlier), Err(SECOND / 10), "{earlier} ns earlier");
        }
        let quota = Window::Quota { most: 5, period: Period::Day };
        let state = quota.take(0, 3, LATE).unwrap();
        assert_eq!(quota.left(state, LATE - DAY).requests, 2, "the day may have begun for another worker");
        assert_eq!(quota.left(state, LATE - 40 * DAY).requests, 5);
    }

    #[test]
    fn no_number_overflows() {
        let wide = Window::Rate { interval: u64::MAX, room: u64::MAX };
        let quota = Window::Quota { most: u32::MAX, period: Period::Month };
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
