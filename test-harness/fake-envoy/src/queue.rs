//! The queue of a thread, as the dispatcher of an Envoy thread.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::module::Handle;

/// Work for a thread.
#[derive(Debug)]
pub enum Event {
    /// Scheduled work of a stream or a configuration, with the number that the module passed.
    Scheduled(Handle, u64),
}

/// The queue of a thread. Every thread may add events.
#[derive(Clone, Debug, Default)]
pub struct Sender(Arc<(Mutex<VecDeque<Event>>, Condvar)>);

impl Sender {
    /// Adds an event.
    pub fn send(&self, event: Event) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(event);
        self.0.1.notify_one();
    }

    /// Takes the next event. Waits at most `time` for it.
    pub fn take(&self, time: Duration) -> Option<Event> {
        let events = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if time.is_zero() {
            return { events }.pop_front();
        }
        let waited = self.0.1.wait_timeout_while(events, time, |events| events.is_empty());
        waited.unwrap_or_else(PoisonError::into_inner).0.pop_front()
    }
}
