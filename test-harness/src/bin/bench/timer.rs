//! The stopwatch of the benchmark. Only the start-up of Envoy is measured with the wall clock.

use std::time::Instant;

/// A running stopwatch.
#[derive(Debug, Clone, Copy)]
pub struct Timer(Instant);

impl Timer {
    /// Starts it.
    #[expect(clippy::disallowed_methods, reason = "the bench measures real processes in real time")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns the milliseconds since the start.
    pub fn milliseconds(self) -> f64 {
        self.0.elapsed().as_secs_f64() * 1e3
    }
}
