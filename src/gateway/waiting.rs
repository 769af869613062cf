//! The requests that wait for polled documents or rate limit services, and the selection of those to decide next.

use std::time::Duration;

use crate::policy::verdict::wait::{Await, Awaited};

/// The number that the host assigns to a request. A later request has a higher number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// The waiting requests of one worker, sorted by their numbers, so that the oldest request is first.
#[derive(Debug, Default)]
pub struct Waiting(Vec<(StreamId, Await)>);

impl Waiting {
    /// Adds a waiting request. If the request already waits, changes the result that it waits for.
    pub fn insert(&mut self, request: StreamId, wait: Await) {
        match self.place(request) {
            Ok(at) => self.0.splice(at..=at, [(request, wait)]).for_each(drop),
            Err(at) => self.0.insert(at, (request, wait)),
        }
    }

    /// Removes a request, because it was decided or has ended.
    pub fn remove(&mut self, request: StreamId) {
        if let Ok(at) = self.place(request) {
            self.0.remove(at);
        }
    }

    fn place(&self, request: StreamId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&request, |(known, _)| *known)
    }

    /// Returns `true` if the maximum number of requests is waiting, so that no other request may wait.
    pub fn is_full(&self) -> bool {
        self.0.len() >= MAX_WAITING
    }

    /// Removes and returns up to [`MAX_WOKEN`] requests that are due, oldest first. A request is due if it timed out, or if
    /// `come` returns `true` for its awaited result. If `only` is set, removes at most this request. The second value is `true`
    /// if other requests are due too; they stay due until a later call removes them.
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

/// The maximum number of requests that wait in one worker at the same time.
const MAX_WAITING: usize = 2_000;

/// The maximum number of requests that the gateway decides again in one callback of Envoy. Envoy sends the replies and resumes
/// the requests after the callback, each in a function call that is nested in the previous one. About a thousand nested calls
/// would exhaust the stack and stop the wasm module of the worker.
pub const MAX_WOKEN: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::verdict::wait::PolledId;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// If the callback of a request refuses another request, Envoy holds the first request forever.
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
