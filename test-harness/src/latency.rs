//! Measures how long other callers wait for responses while a test attacks the gateway.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::clock;

/// Calls `send` 300 times and returns the 99th percentile of the durations.
///
/// # Errors
/// Returns the error of the first call of `send` that fails.
pub fn p99(mut send: impl FnMut() -> Result<()>) -> Result<Duration> {
    let times: Vec<_> = (0..SAMPLES).map(|_| timed(&mut send)).collect::<Result<_>>()?;
    percentile(times)
}

/// Calls `send` repeatedly while `attack` runs, and at least 300 times. Returns the result of `attack` and the 99th percentile
/// of the durations of `send`.
///
/// # Errors
/// Returns the error of `attack`, or the error of the first call of `send` that fails.
pub fn p99_during<T>(
    mut send: impl FnMut() -> Result<()> + Send,
    attack: impl FnOnce() -> Result<T>,
) -> Result<(T, Duration)> {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let caller = scope.spawn(|| {
            let mut times = Vec::new();
            while !ended.load(Ordering::Relaxed) || times.len() < SAMPLES {
                times.push(timed(&mut send)?);
            }
            anyhow::Ok(times)
        });
        let attacked = attack();
        ended.store(true, Ordering::Relaxed);
        let times = caller.join().map_err(|_| anyhow!("the caller panicked"))?;
        Ok((attacked?, percentile(times?)?))
    })
}

/// Prints the 99th percentile before and during an attack, and their ratio. Tests do not check these values, because other tests
/// on the same cores change them.
pub fn report(attack: &str, before: Duration, during: Duration) {
    let ratio = during.as_secs_f64() / before.as_secs_f64();
    eprintln!("p99 of another caller: {before:?} alone, {during:?} during {attack}: {ratio:.2} times as long");
}

fn timed(send: &mut impl FnMut() -> Result<()>) -> Result<Duration> {
    let start = clock::now();
    send()?;
    Ok(start.elapsed())
}

fn percentile(mut times: Vec<Duration>) -> Result<Duration> {
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().context("no request was sent")
}

const SAMPLES: usize = 300;
