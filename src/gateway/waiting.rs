//! Requests that wait for something outside, and which of them to decide again when it has come or time is up.

use std::time::Duration;

use crate::policy::verdict::wait::{Await, Awaited};

/// A request, by the number that the host gives it. Later requests have higher numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// The requests that one worker holds back, the oldest first.
#[derive(Debug, Default)]
pub struct Waiting(Vec<(StreamId, Await)>);

impl Waiting {
    /// Holds a request back.
    pub fn insert(&mut self, request: StreamId, wait: Await) {
        match self.place(request) {
            Ok(at) => self.0.splice(at..=at, [(request, wait)]).for_each(drop),
            Err(at) => self.0.insert(at, (request, wait)),
        }
    }

    /// Forgets a request that was decided or has ended.
    pub fn remove(&mut self, request: StreamId) {
        if let Ok(at) = self.place(request) {
            self.0.remove(at);
        }
    }

    fn place(&self, request: StreamId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&request, |(known, _)| *known)
    }

    /// True when no more should be held back.
    pub fn is_full(&self) -> bool {
        self.0.len() >= MAX_WAITING
    }

    /// The requests whose time is up, or that wait for something that has `come`, the oldest first and at most [`MAX_WOKEN`]. Also
    /// returns whether there are more.
    pub fn take(&mut self, now: Duration, come: impl Fn(Awaited) -> bool) -> (Vec<StreamId>, bool) {
        let mut taken = Vec::new();
        let mut more = false;
        self.0.retain_mut(|(request, wait)| {
            if now < wait.until && !come(wait.on) {
                return true;
            }
            if taken.len() < MAX_WOKEN {
                taken.push(*request);
                return false;
            }
            wait.until = Duration::ZERO;
            more = true;
            true
        });
        (taken, more)
    }
}

/// Requests that may wait at one time in one worker.
const MAX_WAITING: usize = 2_000;

/// How many requests are woken at once. Envoy applies what was decided after the callback, each reply or resumed stream within the
/// one before: some thousand of them, nested, exhaust the stack and stop the worker's module.
pub const MAX_WOKEN: usize = 50;
