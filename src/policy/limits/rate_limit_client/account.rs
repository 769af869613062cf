//! One key's account with a rate limit service: prefetched hits, and how many to request next.
//!
//! Hits are requested in blocks, so that most requests need no call. A block expires when the service's window ends, because
//! hits of one window must not be spent in the next. Unspent hits are lost.

use std::time::Duration;

use super::RemainingQuota;
use super::wire::LimitAnswer;

/// How hits of one limit are requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTerms {
    /// The maximum block size; 1 means one call per request, and `None` means one twentieth of the limit that the service
    /// reports.
    pub most: Option<u32>,
    /// How long a block should last at the key's current rate.
    pub span: Duration,
    /// The timeout of one call.
    pub timeout: Duration,
}

/// The result of a check for one hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaState {
    /// A hit is available.
    Free,
    /// The service refused, and will refuse until this time.
    Over(Duration),
    /// The service must be called; the request may wait until this time.
    Wait(Duration),
    /// The service gave no usable answer.
    Failed,
    /// This worker is too busy to read the service's answer in time, or to let the request wait. It is not a failure of the
    /// service.
    Late,
}

impl QuotaState {
    /// Describes the result for the trace.
    pub fn describe(self, now: Duration) -> String {
        match self {
            QuotaState::Free => "grants it".to_string(),
            QuotaState::Over(until) => format!("refuses for {} s", until.saturating_sub(now).as_secs() + 1),
            QuotaState::Wait(_) => "is asked".to_string(),
            QuotaState::Failed => "does not answer".to_string(),
            QuotaState::Late => "cannot be asked in time, because the worker is busy".to_string(),
        }
    }
}

/// The account.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// Unspent hits that the service has counted, valid until `lapses_at`.
    left: u32,
    lapses_at: Duration,
    refused_until: Duration,
    failed_at: Option<Duration>,
    /// When a call was last abandoned because the worker was late.
    late_at: Option<Duration>,
    /// The running call.
    asking: Option<RunningCall>,
    /// The last call failed, and is retried once for the same requests.
    again: bool,
    /// The number of requests that wait for an answer.
    waiting: u32,
    /// The size of the last block, and when it was granted.
    granted: u32,
    granted_at: Duration,
    reported: ServiceReport,
}

/// A running call.
#[derive(Clone, Copy, Debug)]
struct RunningCall {
    hits: u32,
    asked_at: Duration,
    timeout: Duration,
}

/// The limit as last reported by the service.
#[derive(Clone, Copy, Debug, Default)]
struct ServiceReport {
    limit: Option<u32>,
    remaining: Option<u32>,
    /// The end of the window, measured from the start of the call: rather too early than too late.
    resets_at: Option<Duration>,
}

impl Account {
    /// Checks for a hit for a request received at `received_at`. If the request has to wait, it is counted as waiting.
    pub(super) fn standing(&mut self, received_at: Duration, now: Duration) -> QuotaState {
        if self.left > 0 && now < self.lapses_at {
            return QuotaState::Free;
        }
        if now < self.refused_until {
            return QuotaState::Over(self.refused_until);
        }
        let since = |at: Option<Duration>| at.is_some_and(|at| at >= received_at);
        // A request that cannot wait has `received_at` zero, which would match every earlier failure.
        if since(self.failed_at) && received_at > Duration::ZERO {
            return QuotaState::Failed;
        }
        // Envoy ends every call, but may be late if the worker is busy. The answer may arrive until then.
        let until = received_at + LONGEST_WAIT;
        if since(self.late_at) || now >= until {
            return QuotaState::Late;
        }
        if self.asking.is_some_and(|call| now >= call.asked_at + call.timeout + LONGEST_WAIT) {
            // The call's answer was lost.
            (self.asking, self.waiting) = (None, 0);
        }
        self.waiting = self.waiting.saturating_add(1);
        QuotaState::Wait(until.min(now + LOOK_AGAIN))
    }

    /// Spends one hit.
    pub(super) fn spend(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// Returns `true` if requests wait and no call is running.
    pub(super) fn wants(&self) -> bool {
        self.waiting > 0 && self.asking.is_none()
    }

    /// Returns `true` while a call runs.
    pub(super) fn is_asking(&self) -> bool {
        self.asking.is_some()
    }

    /// Returns the number of hits to request now, and the timeout of the call. The hits are the larger of two numbers:
    /// the waiting requests, and a block sized by the recent rate and a share of the remaining limit. They never exceed that limit.
    pub(super) fn ask(&mut self, terms: &LeaseTerms, is_patient: bool, now: Duration) -> (u32, Duration) {
        let remaining = self.reported.remaining.filter(|_| self.reported.resets_at.is_some_and(|at| now < at));
        let share = remaining.map_or(u32::MAX, |rest| rest / SHARE_OF_REST);
        let hits = self.block(terms, now).min(share).max(self.waiting);
        let hits = hits.min(remaining.unwrap_or(u32::MAX)).max(1);
        let timeout = if is_patient { terms.timeout.max(PATIENT_TIMEOUT) } else { terms.timeout };
        self.left = 0;
        self.asking = Some(RunningCall { hits, asked_at: now, timeout });
        (hits, timeout)
    }

    /// Records that the call could not be started yet.
    pub(super) fn put_off(&mut self) {
        self.asking = None;
    }

    /// Returns the block size that lasts for the span at the rate of the last block. It is at most twice the last block, and
    /// never more than the terms allow. If the service does not report the end of its window, nothing is prefetched: the hits
    /// might be spent in the next window.
    fn block(&self, terms: &LeaseTerms, now: Duration) -> u32 {
        if self.reported.resets_at.is_none() {
            return 1;
        }
        let most = terms.most.or(self.reported.limit.map(|limit| limit / SHARE_OF_LIMIT)).unwrap_or(1);
        let spent = self.granted.saturating_sub(self.left);
        let micros = now.saturating_sub(self.granted_at).as_micros().max(1);
        let lasting = u128::from(spent) * terms.span.as_micros() / micros;
        u32::try_from(lasting).unwrap_or(u32::MAX).min(self.granted.saturating_mul(2)).min(most)
    }

    /// Handles the service's answer to the running call.
    pub(super) fn answered(&mut self, answer: &LimitAnswer, now: Duration) {
        let Some(RunningCall { hits, asked_at, .. }) = self.asking.take() else { return };
        let waiting = std::mem::take(&mut self.waiting);
        let resets_at = answer.reset.map(|reset| asked_at + reset);
        (self.failed_at, self.again) = (None, false);
        self.reported = ServiceReport { limit: answer.limit, remaining: answer.remaining, resets_at };
        (self.granted, self.granted_at) = (0, now);
        if !answer.over {
            (self.left, self.granted, self.lapses_at) = (hits, hits, resets_at.unwrap_or_default());
            if self.lapses_at < now + GRACE {
                self.left = hits.min(waiting.max(1));
                self.lapses_at = now + GRACE;
            }
        } else if hits > 1 && answer.remaining != Some(0) {
            // Fewer hits may still be available, so the waiting requests ask once more for at most that number.
            self.reported.remaining = Some(answer.remaining.map_or(hits / 2, |rest| rest.min(hits - 1)));
            self.reported.resets_at = Some(resets_at.unwrap_or_default().max(now + GRACE));
        } else {
            self.reported.remaining = Some(0);
            self.refused_until = now + answer.reset.unwrap_or(UNTOLD_RESET).max(GRACE);
        }
    }

    /// Handles a call that ended without an answer. Returns `true` if it may be retried for the waiting requests. If the worker
    /// was busy for longer than the timeout, Envoy ends the call before the worker reads the answer.
    pub(super) fn try_again(&mut self) -> bool {
        if self.asking.is_none() || std::mem::replace(&mut self.again, true) {
            return false;
        }
        (self.asking, self.waiting) = (None, 0);
        true
    }

    /// Returns `true` if the running call exceeded its timeout so far that the worker must have been late.
    pub(super) fn is_late(&self, now: Duration) -> bool {
        self.asking.is_some_and(|call| now > call.asked_at + call.timeout + LATENESS)
    }

    /// Abandons the running call. The service's answer is unknown.
    pub(super) fn give_up(&mut self, now: Duration) {
        (self.asking, self.waiting, self.again) = (None, 0, false);
        self.late_at = Some(now);
    }

    /// Records that the running call failed. Requests that wait now get no answer.
    pub(super) fn failed(&mut self, now: Duration) {
        (self.asking, self.waiting, self.again) = (None, 0, false);
        self.failed_at = Some(now);
    }

    /// Returns the limit as reported by the service, and what remains for this key, including unspent hits.
    pub(super) fn rest(&self, now: Duration) -> RemainingQuota {
        let left = if now < self.lapses_at { self.left } else { 0 };
        let remaining = self.reported.remaining.map(|rest| rest.saturating_add(left));
        let reset = self.reported.resets_at.filter(|at| now < *at).map(|at| at - now);
        RemainingQuota { limit: self.reported.limit, remaining, reset }
    }

    /// Returns `true` if the account can be removed without loss.
    pub(super) fn is_idle(&self, now: Duration) -> bool {
        let holds = self.left > 0 && now < self.lapses_at;
        !holds && self.asking.is_none() && self.waiting == 0 && now >= self.refused_until
    }
}

/// The divisor for the block size, as a share of the limit, unless configured.
const SHARE_OF_LIMIT: u32 = 20;

/// The divisor for prefetched hits, as a share of what remains. Near the end of the limit nothing is prefetched.
const SHARE_OF_REST: u32 = 8;

/// The minimum timeout while the worker may be busy; it is longer than a worker is usually late.
const PATIENT_TIMEOUT: Duration = Duration::from_millis(500);

/// Envoy ends a call on time, unless the worker is busy. This is the tolerated delay.
const LATENESS: Duration = Duration::from_millis(250);

/// The maximum wait of a request.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A waiting request is decided again after this long, because its account may have been evicted.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// If hits arrive when their window is about to end, waiting requests may still spend them for this long.
const GRACE: Duration = Duration::from_millis(50);

/// How long a refusal applies if the service reports no reset time.
const UNTOLD_RESET: Duration = Duration::from_secs(1);
