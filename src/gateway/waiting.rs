//! Requests that wait for external results, and the choice of requests to wake.

use std::time::Duration;

use crate::policy::verdict::wait::{Await, Awaited};

/// The number that the host assigns to a request. Later requests have higher numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// The waiting requests of one worker, oldest first.
#[derive(Debug, Default)]
pub struct Waiting(Vec<(StreamId, Await)>);

impl Waiting {
    /// Adds a waiting request.
    pub fn insert(&mut self, request: StreamId, wait: Await) {
        match self.place(request) {
            Ok(at) => self.0.splice(at..=at, [(request, wait)]).for_each(drop),
            Err(at) => self.0.insert(at, (request, wait)),
        }
    }

    /// Removes a request that was decided or has ended.
    pub fn remove(&mut self, request: StreamId) {
        if let Ok(at) = self.place(request) {
            self.0.remove(at);
        }
    }

    fn place(&self, request: StreamId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&request, |(known, _)| *known)
    }

    /// Returns `true` if no more requests may wait.
    pub fn is_full(&self) -> bool {
        self.0.len() >= MAX_WAITING
    }

    /// Takes the requests that timed out or whose awaited result arrived, oldest first and at most [`MAX_WOKEN`]. With `only`, takes
    /// no other request; the others that are due remain for the next call. Also returns whether more such requests remain.
    pub fn take(
        &mut self,
        now: Duration,
        come: impl Fn(Awaited) -> bool,
        only: Option<StreamId>,
    ) -> (Vec<StreamId>, bool) {
        let mut taken = Vec::new();
        let mut more = false;
        self.0.retain_mut(|(request, wait)| {
            if now < wait.until && !come(wait.on) {
                return true;
            }
            if taken.len() < MAX_WOKEN && only.is_none_or(|only| only == *request) {
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

/// The maximum number of requests that wait in one worker at a time.
const MAX_WAITING: usize = 2_000;

/// The maximum number of requests that are woken at once. Envoy applies the decisions after the callback, and handles each
/// reply or resumed stream in a call that is nested in the previous one. About a thousand nested calls exhaust the stack, which
/// stops the worker's module.
pub const MAX_WOKEN: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::verdict::wait::PolledId;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// Envoy holds the request of a callback forever if another request is refused in that callback.
    #[test]
    fn the_callback_of_a_request_takes_no_other_request() {
        let mut waiting = Waiting::default();
        let [first, second] = [1, 2].map(StreamId);
        let now = Duration::from_secs(9);
        for request in [first, second] {
            waiting.insert(request, Await { on: Awaited::Document(PolledId(0)), until: Duration::from_secs(10) });
        }
        assert_eq!(waiting.take(now, |_| true, Some(second)), (vec![second], true));
        assert_eq!(waiting.take(now, |_| false, None), (vec![first], false), "the other request is still due");
    }
}
