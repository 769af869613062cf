//! One key's account with a rate limit service: hits taken in advance and not yet spent, and how many to take next.
//!
//! Hits are taken in blocks, so that most requests need no call. A block lasts until the service's window ends and no longer:
//! what it counted in one window is never spent in the next. What is unspent then is lost to the window.

use std::time::Duration;

use super::Rest;
use super::wire::Answer;

/// How hits are taken for one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The most hits taken at once in advance, 1 to ask for each request; none for a twentieth of the limit the service tells.
    pub most: Option<u32>,
    /// How long a block is meant to last at the key's present rate.
    pub span: Duration,
    /// How long one call may take.
    pub timeout: Duration,
}

/// What a request finds when it asks for one hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is one.
    Free,
    /// The service refused, and will until this time.
    Over(Duration),
    /// The service has to be asked; waiting may help until this time.
    Wait(Duration),
    /// The service gave no usable answer.
    Failed,
    /// This worker is too busy to hear the service's answer in time, or to wait for it. The service is not to blame.
    Late,
}

impl Standing {
    /// What the service does, in words.
    pub fn describe(self, now: Duration) -> String {
        match self {
            Standing::Free => "grants it".to_string(),
            Standing::Over(until) => format!("refuses for {} s", until.saturating_sub(now).as_secs() + 1),
            Standing::Wait(_) => "is asked".to_string(),
            Standing::Failed => "does not answer".to_string(),
            Standing::Late => "cannot be asked in time, because the worker is busy".to_string(),
        }
    }
}

/// The account.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// Hits that the service has counted and no request has spent, until `lapses_at`.
    left: u32,
    lapses_at: Duration,
    refused_until: Duration,
    failed_at: Option<Duration>,
    /// When a call was last given up because the worker was late.
    late_at: Option<Duration>,
    /// The running call.
    asking: Option<Asking>,
    /// The last call failed, and the next one is made for the same requests.
    again: bool,
    /// Requests that wait for an answer.
    waiting: u32,
    /// The last block, and when it came.
    granted: u32,
    granted_at: Duration,
    told: Told,
}

/// A call under way.
#[derive(Clone, Copy, Debug)]
struct Asking {
    hits: u32,
    asked_at: Duration,
    timeout: Duration,
}

/// What the service last said about its limit.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    limit: Option<u32>,
    remaining: Option<u32>,
    /// When the window ends, by the time of the call: rather too early than too late.
    resets_at: Option<Duration>,
}

impl Account {
    /// What a request that was received at `received_at` finds now. One that has to wait is counted among those that do.
    pub(super) fn standing(&mut self, received_at: Duration, now: Duration) -> Standing {
        if self.left > 0 && now < self.lapses_at {
            return Standing::Free;
        }
        if now < self.refused_until {
            return Standing::Over(self.refused_until);
        }
        let since = |at: Option<Duration>| at.is_some_and(|at| at >= received_at);
        // A request that cannot wait has `received_at` zero, which every earlier failure would match.
        if since(self.failed_at) && received_at > Duration::ZERO {
            return Standing::Failed;
        }
        // Envoy ends each call, late if the worker is late. Until then the answer may come.
        let until = received_at + LONGEST_WAIT;
        if since(self.late_at) || now >= until {
            return Standing::Late;
        }
        if self.asking.is_some_and(|call| now >= call.asked_at + call.timeout + LONGEST_WAIT) {
            // Nobody will hear of this call any more.
            (self.asking, self.waiting) = (None, 0);
        }
        self.waiting = self.waiting.saturating_add(1);
        Standing::Wait(until.min(now + LOOK_AGAIN))
    }

    /// Spends one hit.
    pub(super) fn spend(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// True when somebody waits and nobody asks.
    pub(super) fn wants(&self) -> bool {
        self.waiting > 0 && self.asking.is_none()
    }

    /// True while a call runs.
    pub(super) fn is_asking(&self) -> bool {
        self.asking.is_some()
    }

    /// The number of hits to request now, and the timeout of the call. Requests hits for all waiting requests, plus hits in
    /// advance according to the recent rate and the remaining limit.
    pub(super) fn ask(&mut self, terms: &Terms, is_patient: bool, now: Duration) -> (u32, Duration) {
        let remaining = self.told.remaining.filter(|_| self.told.resets_at.is_some_and(|at| now < at));
        let share = remaining.map_or(u32::MAX, |rest| rest / SHARE_OF_REST);
        let hits = self.block(terms, now).min(share).max(self.waiting);
        let hits = hits.min(remaining.unwrap_or(u32::MAX)).max(1);
        let timeout = if is_patient { terms.timeout.max(PATIENT_TIMEOUT) } else { terms.timeout };
        self.left = 0;
        self.asking = Some(Asking { hits, asked_at: now, timeout });
        (hits, timeout)
    }

    /// The call that was asked for cannot be made yet.
    pub(super) fn put_off(&mut self) {
        self.asking = None;
    }

    /// What lasts for the span at the rate at which the last block was spent, at most twice as much as that was, and never
    /// more than the terms allow. A service that does not say when its window ends gets nothing taken in advance: it might
    /// be spent in the next window.
    fn block(&self, terms: &Terms, now: Duration) -> u32 {
        if self.told.resets_at.is_none() {
            return 1;
        }
        let most = terms.most.or(self.told.limit.map(|limit| limit / SHARE_OF_LIMIT)).unwrap_or(1);
        let spent = self.granted.saturating_sub(self.left);
        let micros = now.saturating_sub(self.granted_at).as_micros().max(1);
        let lasting = u128::from(spent) * terms.span.as_micros() / micros;
        u32::try_from(lasting).unwrap_or(u32::MAX).min(self.granted.saturating_mul(2)).min(most)
    }

    /// The service's answer to the running call.
    pub(super) fn answered(&mut self, answer: &Answer, now: Duration) {
        let Some(Asking { hits, asked_at, .. }) = self.asking.take() else { return };
        let waiting = std::mem::take(&mut self.waiting);
        let resets_at = answer.reset.map(|reset| asked_at + reset);
        (self.failed_at, self.again) = (None, false);
        self.told = Told { limit: answer.limit, remaining: answer.remaining, resets_at };
        (self.granted, self.granted_at) = (0, now);
        if !answer.over {
            (self.left, self.granted, self.lapses_at) = (hits, hits, resets_at.unwrap_or_default());
            if self.lapses_at < now + GRACE {
                self.left = hits.min(waiting.max(1));
                self.lapses_at = now + GRACE;
            }
        } else if hits > 1 && answer.remaining != Some(0) {
            // Fewer may still be there: those that wait ask once more, for no more than that.
            self.told.remaining = Some(answer.remaining.map_or(hits / 2, |rest| rest.min(hits - 1)));
            self.told.resets_at = Some(resets_at.unwrap_or_default().max(now + GRACE));
        } else {
            self.told.remaining = Some(0);
            self.refused_until = now + answer.reset.unwrap_or(UNTOLD_RESET).max(GRACE);
        }
    }

    /// The running call ended without an answer. Returns whether it may be made once more for those that wait. A worker that was
    /// busy for longer than the call may take ends it before it reads the answer.
    pub(super) fn try_again(&mut self) -> bool {
        if self.asking.is_none() || std::mem::replace(&mut self.again, true) {
            return false;
        }
        (self.asking, self.waiting) = (None, 0);
        true
    }

    /// Whether the running call took so much longer than it may that the worker itself was late.
    pub(super) fn is_late(&self, now: Duration) -> bool {
        self.asking.is_some_and(|call| now > call.asked_at + call.timeout + LATENESS)
    }

    /// The running call is given up, and nobody knows what the service would have said.
    pub(super) fn give_up(&mut self, now: Duration) {
        (self.asking, self.waiting, self.again) = (None, 0, false);
        self.late_at = Some(now);
    }

    /// The running call brought no usable answer. Requests that wait now get none.
    pub(super) fn failed(&mut self, now: Duration) {
        (self.asking, self.waiting, self.again) = (None, 0, false);
        self.failed_at = Some(now);
    }

    /// The limit as the service told it, and what of it the holder of this key may still use: the unspent hits are his too.
    pub(super) fn rest(&self, now: Duration) -> Rest {
        let left = if now < self.lapses_at { self.left } else { 0 };
        let remaining = self.told.remaining.map(|rest| rest.saturating_add(left));
        let reset = self.told.resets_at.filter(|at| now < *at).map(|at| at - now);
        Rest { limit: self.told.limit, remaining, reset }
    }

    /// True when forgetting the account loses nothing.
    pub(super) fn is_idle(&self, now: Duration) -> bool {
        let holds = self.left > 0 && now < self.lapses_at;
        !holds && self.asking.is_none() && self.waiting == 0 && now >= self.refused_until
    }
}

/// A block is at most one in so many hits of the limit, unless the operator says otherwise.
const SHARE_OF_LIMIT: u32 = 20;

/// In advance at most one in so many hits of what the limit has left is taken: near its end, none.
const SHARE_OF_REST: u32 = 8;

/// While a worker may be busy its calls have at least this long, which is more than a worker is usually late.
const PATIENT_TIMEOUT: Duration = Duration::from_millis(500);

/// Envoy ends a call on time, unless its worker has something else to do.
const LATENESS: Duration = Duration::from_millis(250);

/// A request waits no longer than this, whatever for.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A request that waits is decided again after this long, because its account may have been given up to another key.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Hits that come when their window is about to end are for those who waited for them, and for this long.
const GRACE: Duration = Duration::from_millis(50);

/// How long a refusal is remembered when the service does not say for how long it holds.
const UNTOLD_RESET: Duration = Duration::from_secs(1);
