//! The bench's stopwatch: starting Envoy is the one thing that is timed by the wall clock.

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

    /// Milliseconds since it was started.
    pub fn milliseconds(self) -> f64 {
        self.0.elapsed().as_secs_f64() * 1e3
    }
}
