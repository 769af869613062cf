//! Health of a rate limit service. After repeated failures, calls pause for a while, so that requests do not all wait for a timeout.

use std::time::Duration;

use super::{Fault, Turn};

/// What recent calls say about the service, and about the worker that makes them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Health {
    failures: u32,
    paused_until: Duration,
    patient_until: Duration,
}

impl Health {
    /// Takes note of a call that ended, with its fault if it failed.
    pub(super) fn note(&mut self, fault: Option<Fault>, now: Duration) -> Option<Turn> {
        let Some(fault) = fault else {
            let was_paused = self.failures >= MOST_FAILURES;
            (self.failures, self.paused_until) = (0, Duration::ZERO);
            return was_paused.then_some(Turn::Resumed);
        };
        self.failures = self.failures.saturating_add(1);
        self.patient_until = Duration::ZERO;
        if self.failures < MOST_FAILURES || now < self.paused_until {
            return None;
        }
        self.paused_until = now + PAUSE;
        Some(Turn::Paused(fault))
    }

    /// True when the last call failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// True while the service is left alone.
    pub(super) fn is_paused(&self, now: Duration) -> bool {
        now < self.paused_until
    }

    /// A call ended without an answer, and the worker may be to blame: those that follow have more time.
    pub(super) fn be_patient(&mut self, now: Duration) {
        self.patient_until = now + PATIENCE;
    }

    /// True when calls have more time than usual.
    pub(super) fn is_patient(&self, now: Duration) -> bool {
        now < self.patient_until
    }
}

/// After `MOST_FAILURES` failures in a row, calls stop for `PAUSE`. After a pause, one failure starts the next.
const MOST_FAILURES: u32 = 3;
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// A worker that was busy stays so for about this long.
const PATIENCE: Duration = Duration::from_secs(5);
