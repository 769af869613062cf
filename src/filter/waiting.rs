//! Requests that wait for something outside, and which of them to decide again when it has come or time is up.

use std::rc::{Rc, Weak};
use std::time::Duration;

use super::exchange::Exchange;
use crate::policy::decision::{Await, Awaited};

/// The requests that one worker holds back. A request that its client gives up is forgotten by itself.
#[derive(Default)]
pub struct Waiting {
    requests: Vec<(Await, Weak<Exchange>)>,
}

impl Waiting {
    /// Holds a request back.
    pub fn push(&mut self, wait: Await, request: &Rc<Exchange>) {
        self.requests.push((wait, Rc::downgrade(request)));
    }

    /// True when no more should be held back.
    pub fn is_full(&self) -> bool {
        self.requests.len() >= MOST_WAITING
    }

    /// The requests whose time is up, or that wait for what has `come`; so many at the most, and whether there are more.
    pub fn take(&mut self, now: Duration, come: impl Fn(Awaited) -> bool) -> (Vec<Rc<Exchange>>, bool) {
        let mut taken = Vec::new();
        let mut more = false;
        self.requests.retain_mut(|(wait, request)| {
            if now < wait.until && !come(wait.on) {
                return request.strong_count() > 0;
            }
            let Some(request) = request.upgrade() else { return false };
            if taken.len() < MOST_WOKEN {
                taken.push(request);
                return false;
            }
            wait.until = Duration::ZERO;
            more = true;
            true
        });
        (taken, more)
    }

    /// Lets all who wait for a rate limit service be decided at the next opportunity.
    pub fn hurry(&mut self) {
        let calls = self.requests.iter_mut().filter(|(wait, _)| matches!(wait.on, Awaited::Quota(_)));
        calls.for_each(|(wait, _)| wait.until = Duration::ZERO);
    }
}

/// Requests that may wait at one time in one worker.
const MOST_WAITING: usize = 2_000;

/// How many requests are woken in one go. The host applies what was decided after the callback, each reply or resumed stream
/// within the one before: some thousand of them, one in the other, exhaust the stack and take the worker's module down.
pub(super) const MOST_WOKEN: usize = 50;
