//! Tracks the health of a rate limit service.
//!
//! After repeated failures, the filter makes no calls for a while, so that requests need not wait for the timeout of every call.

use std::time::Duration;

use super::{CallFault, HealthChange};

/// The health of the service, and whether this worker seems to be busy. Both are derived from recent calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Health {
    failures: u32,
    paused_until: Duration,
    patient_until: Duration,
}

impl Health {
    /// Records a finished call, with its fault if it failed.
    pub(super) fn note(&mut self, fault: Option<CallFault>, now: Duration) -> Option<HealthChange> {
        let Some(fault) = fault else {
            let was_paused = self.failures >= MAX_FAILURES;
            (self.failures, self.paused_until) = (0, Duration::ZERO);
            return was_paused.then_some(HealthChange::Resumed);
        };
        self.failures = self.failures.saturating_add(1);
        self.patient_until = Duration::ZERO;
        if self.failures < MAX_FAILURES || now < self.paused_until {
            return None;
        }
        self.paused_until = now + PAUSE;
        Some(HealthChange::Paused(fault))
    }

    /// Returns `true` if the last call failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Returns `true` while calls are paused.
    pub(super) fn is_paused(&self, now: Duration) -> bool {
        now < self.paused_until
    }

    /// Records a call that ended without an answer, possibly because the worker was busy. The next calls get a longer timeout.
    pub(super) fn be_patient(&mut self, now: Duration) {
        self.patient_until = now + PATIENCE;
    }

    /// Returns `true` while calls get a longer timeout.
    pub(super) fn is_patient(&self, now: Duration) -> bool {
        now < self.patient_until
    }
}

/// After `MAX_FAILURES` failures in a row, the filter makes no calls for the time `PAUSE`. After a pause, a single failure starts
/// another pause.
const MAX_FAILURES: u32 = 3;
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// After a call ended without an answer, new calls get the longer timeout for this time.
const PATIENCE: Duration = Duration::from_secs(5);
