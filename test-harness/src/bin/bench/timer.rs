//! The stopwatch of the benchmark, for the start-up time of Envoy and the total time of a run.

use std::time::Instant;

/// A running stopwatch.
#[derive(Debug, Clone, Copy)]
pub struct Timer(Instant);

impl Timer {
    /// Starts a stopwatch.
    #[expect(clippy::disallowed_methods, reason = "the bench measures real processes in real time")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns the milliseconds since the start.
    pub fn milliseconds(self) -> f64 {
        self.0.elapsed().as_secs_f64() * 1e3
    }
}
