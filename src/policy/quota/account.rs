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
}

impl Standing {
    /// What the service does, in words.
    pub fn describe(self, now: Duration) -> String {
        match self {
            Standing::Free => "grants it".to_string(),
            Standing::Over(until) => format!("refuses for {} s", until.saturating_sub(now).as_secs() + 1),
            Standing::Wait(_) => "is asked".to_string(),
            Standing::Failed => "does not answer".to_string(),
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
    /// The running call: its hits, and when it was made.
    asking: Option<(u32, Duration)>,
    /// Requests that wait for an answer.
    waiting: u32,
    /// The last block, and when it came.
    granted: u32,
    granted_at: Duration,
    told: Told,
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
    pub(super) fn standing(&mut self, terms: &Terms, received_at: Duration, now: Duration) -> Standing {
        if self.left > 0 && now < self.lapses_at {
            return Standing::Free;
        }
        if now < self.refused_until {
            return Standing::Over(self.refused_until);
        }
        let in_vain = self.failed_at.is_some_and(|at| at >= received_at);
        let asked_at = self.asking.map_or(now, |(_, at)| at);
        let until = asked_at + terms.timeout;
        if in_vain || now > until || now >= received_at + LONGEST_WAIT {
            return Standing::Failed;
        }
        self.waiting = self.waiting.saturating_add(1);
        Standing::Wait(until)
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

    /// How many hits to ask for now: what is waited for, and in advance what the rate suggests and the limit's rest allows.
    pub(super) fn ask(&mut self, terms: &Terms, now: Duration) -> u32 {
        let remaining = self.told.remaining.filter(|_| self.told.resets_at.is_some_and(|at| now < at));
        let share = remaining.map_or(u32::MAX, |rest| rest / SHARE_OF_REST);
        let hits = self.block(terms, now).min(share).max(self.waiting);
        let hits = hits.min(remaining.unwrap_or(u32::MAX)).max(1);
        self.left = 0;
        self.asking = Some((hits, now));
        hits
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
        let Some((hits, asked_at)) = self.asking.take() else { return };
        let waiting = std::mem::take(&mut self.waiting);
        let resets_at = answer.reset.map(|reset| asked_at + reset);
        self.failed_at = None;
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

    /// The running call brought no usable answer: whoever waits now has waited in vain.
    pub(super) fn failed(&mut self, now: Duration) {
        self.asking = None;
        self.waiting = 0;
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

/// A request waits no longer than this, whatever for.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Hits that come when their window is about to end are for those who waited for them, and for this long.
const GRACE: Duration = Duration::from_millis(50);

/// How long a refusal is remembered when the service does not say for how long it holds.
const UNTOLD_RESET: Duration = Duration::from_secs(1);
