//! The lease of one descriptor: hits that the service has granted in advance, and how many hits to request next.
//!
//! The filter requests hits in blocks, so that most requests need no call. A block expires when the service's window ends,
//! because hits of one window must not be spent in the next. Unspent hits are lost.

use std::time::Duration;

use super::RemainingQuota;
use super::wire::LimitAnswer;

/// How the filter asks the service for hits of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTerms {
    /// The maximum block size. With 1, each request needs a call. `None` means one twentieth of the limit that the service
    /// reports.
    pub most: Option<u32>,
    /// The time for which a block should last at the current rate of the descriptor.
    pub span: Duration,
    /// The time after which Envoy ends a call.
    pub timeout: Duration,
}

/// The result of checking whether a request may spend a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaState {
    /// A hit is available to spend.
    Free,
    /// The service refused the hits. Requests are refused until this time.
    Over(Duration),
    /// The request must wait for a call to the service, at most until this time.
    Wait(Duration),
    /// The service gave no usable answer.
    Failed,
    /// The worker is too busy to read the service's answer in time, or the request has waited too long. The service did not fail.
    Late,
}

impl QuotaState {
    /// Describes the result for the trace, as the predicate of a sentence about the service.
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

/// The state of one descriptor at a rate limit service.
#[derive(Debug, Default)]
pub(super) struct Lease {
    /// The number of unspent hits. The service has already counted them, and they expire at `expires_at`.
    left: u32,
    expires_at: Duration,
    refused_until: Duration,
    failed_at: Option<Duration>,
    /// The time when the filter last abandoned a call because the worker was late.
    late_at: Option<Duration>,
    /// The call that is running for this lease.
    asking: Option<RunningCall>,
    /// Whether a call for the waiting requests has already failed once and is retried.
    again: bool,
    /// The number of requests that wait for the next answer.
    waiting: u32,
    /// The size of the last block, and the time when the service granted it.
    granted: u32,
    granted_at: Duration,
    reported: ServiceReport,
}

/// A call that has no answer yet.
#[derive(Clone, Copy, Debug)]
struct RunningCall {
    hits: u32,
    asked_at: Duration,
    timeout: Duration,
}

/// The limit as the service last reported it.
#[derive(Clone, Copy, Debug, Default)]
struct ServiceReport {
    limit: Option<u32>,
    remaining: Option<u32>,
    /// The end of the window, measured from the start of the call. The service measures from a later time, so the true end may be
    /// slightly later.
    resets_at: Option<Duration>,
}

impl Lease {
    /// Returns whether a hit is available for a request that was received at `received_at`. If the request has to wait, adds it
    /// to the waiting requests.
    pub(super) fn check(&mut self, received_at: Duration, now: Duration) -> QuotaState {
        if self.left > 0 && now < self.expires_at {
            return QuotaState::Free;
        }
        if now < self.refused_until {
            return QuotaState::Over(self.refused_until);
        }
        let since = |at: Option<Duration>| at.is_some_and(|at| at >= received_at);
        // The filter sets `received_at` to zero for a request that cannot wait. Every failure, however old, is later than zero,
        // so this check skips such a request. The next check returns `Late` for it.
        if since(self.failed_at) && received_at > Duration::ZERO {
            return QuotaState::Failed;
        }
        // Envoy always ends a call, with an answer or after the timeout. A busy worker learns of the end late, so the request may
        // wait for longer than the timeout.
        let until = received_at + LONGEST_WAIT;
        if since(self.late_at) || now >= until {
            return QuotaState::Late;
        }
        if self.asking.is_some_and(|call| now >= call.asked_at + call.timeout + LONGEST_WAIT) {
            // The answer of the running call was lost.
            (self.asking, self.waiting) = (None, 0);
        }
        self.waiting = self.waiting.saturating_add(1);
        QuotaState::Wait(until.min(now + RECHECK_AFTER))
    }

    /// Spends one hit, if there is one.
    pub(super) fn spend(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// Returns `true` if requests wait for a call and no call is running.
    pub(super) fn wants(&self) -> bool {
        self.waiting > 0 && self.asking.is_none()
    }

    /// Returns `true` while a call runs.
    pub(super) fn is_asking(&self) -> bool {
        self.asking.is_some()
    }

    /// Returns the number of hits to request now, and the timeout of the call. The number is the block size for the recent rate,
    /// limited to a share of the remaining hits. It is at least the number of waiting requests, but not more than the remaining
    /// hits. It is never 0.
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

    /// Records that the call could not start yet.
    pub(super) fn put_off(&mut self) {
        self.asking = None;
    }

    /// Returns the block size that lasts for [`LeaseTerms::span`] at the rate of the last block. The size is at most twice that
    /// of the last block, and at most the maximum block size of `terms`. If the service does not report the end of its window,
    /// the size is 1, because hits that are left over could be spent in the next window.
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

    /// Handles the answer of the service to the running call.
    pub(super) fn answered(&mut self, answer: &LimitAnswer, now: Duration) {
        let Some(RunningCall { hits, asked_at, .. }) = self.asking.take() else { return };
        let waiting = std::mem::take(&mut self.waiting);
        let resets_at = answer.reset.map(|reset| asked_at + reset);
        (self.failed_at, self.again) = (None, false);
        self.reported = ServiceReport { limit: answer.limit, remaining: answer.remaining, resets_at };
        (self.granted, self.granted_at) = (0, now);
        if !answer.over {
            (self.left, self.granted, self.expires_at) = (hits, hits, resets_at.unwrap_or_default());
            if self.expires_at < now + GRACE {
                self.left = hits.min(waiting.max(1));
                self.expires_at = now + GRACE;
            }
        } else if hits > 1 && answer.remaining != Some(0) {
            // Fewer hits may still be available. The waiting requests start one more call, for at most the remaining hits.
            self.reported.remaining = Some(answer.remaining.map_or(hits / 2, |rest| rest.min(hits - 1)));
            self.reported.resets_at = Some(resets_at.unwrap_or_default().max(now + GRACE));
        } else {
            self.reported.remaining = Some(0);
            self.refused_until = now + answer.reset.unwrap_or(DEFAULT_RESET).max(GRACE);
        }
    }

    /// Handles a call that ended without an answer. Returns `true` if the waiting requests may retry the call, which is allowed
    /// only once. A retry helps if the worker was busy for longer than the timeout: Envoy then ends the call although the service
    /// has answered.
    pub(super) fn try_again(&mut self) -> bool {
        if self.asking.is_none() || std::mem::replace(&mut self.again, true) {
            return false;
        }
        (self.asking, self.waiting) = (None, 0);
        true
    }

    /// Returns `true` if the running call is so late that the worker must have been busy.
    pub(super) fn is_late(&self, now: Duration) -> bool {
        self.asking.is_some_and(|call| now > call.asked_at + call.timeout + LATENESS)
    }

    /// Abandons the running call without knowing its answer.
    pub(super) fn abandon(&mut self, now: Duration) {
        (self.asking, self.waiting, self.again) = (None, 0, false);
        self.late_at = Some(now);
    }

    /// Records that the running call failed. Requests that wait for the call get [`QuotaState::Failed`].
    pub(super) fn failed(&mut self, now: Duration) {
        (self.asking, self.waiting, self.again) = (None, 0, false);
        self.failed_at = Some(now);
    }

    /// Returns the limit as the service reported it. The remaining hits include the unspent hits of this lease.
    pub(super) fn remaining(&self, now: Duration) -> RemainingQuota {
        let left = if now < self.expires_at { self.left } else { 0 };
        let remaining = self.reported.remaining.map(|rest| rest.saturating_add(left));
        let reset = self.reported.resets_at.filter(|at| now < *at).map(|at| at - now);
        RemainingQuota { limit: self.reported.limit, remaining, reset }
    }

    /// Returns `true` if evicting the lease loses nothing.
    pub(super) fn is_idle(&self, now: Duration) -> bool {
        let holds = self.left > 0 && now < self.expires_at;
        !holds && self.asking.is_none() && self.waiting == 0 && now >= self.refused_until
    }
}

/// The default maximum block size is the limit divided by this number.
const SHARE_OF_LIMIT: u32 = 20;

/// A block is at most the remaining hits divided by this number. If few hits remain, the filter therefore requests no hits in
/// advance.
const SHARE_OF_REST: u32 = 8;

/// The minimum timeout of calls while the worker may be busy. A worker is usually busy for less time.
const PATIENT_TIMEOUT: Duration = Duration::from_millis(500);

/// The tolerated delay of a call. Envoy ends a call on time unless the worker is busy.
const LATENESS: Duration = Duration::from_millis(250);

/// The longest time that a request waits.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The time after which a waiting request is decided again, because its lease may have been evicted.
const RECHECK_AFTER: Duration = Duration::from_secs(2);

/// The minimum time for which waiting requests may spend granted hits, even if the window ends earlier. A refusal also lasts for
/// at least this time.
const GRACE: Duration = Duration::from_millis(50);

/// The duration of a refusal if the service reports no reset time.
const DEFAULT_RESET: Duration = Duration::from_secs(1);
