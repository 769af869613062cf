//! One plugin in one worker thread: its gateway, and the work that it passes to other threads.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use super::clock::now;
use super::commands::perform_outside;
use super::envoy::EnvoyStream;
use super::mailbox::Mailbox;
use super::shared::SharedCells;
use super::shared_plugin::SharedPlugin;
use crate::gateway::call::Call;
use crate::gateway::metrics::Count;
use crate::gateway::waiting::StreamId;
use crate::gateway::{Gateway, GatewayEffects, TICK};
use crate::policy::verdict::wait::Awaited;

/// Returns the stream of the current hook; `None` after Envoy has destroyed it. Before version 1.40, Envoy destroys a stream inside
/// of the function that sends its reply. This can happen whenever a waiting request is decided.
pub type CurrentStream<'s> = &'s dyn Fn() -> Option<EnvoyStream>;

/// One plugin in one worker thread.
pub struct Plugin {
    /// The configuration, which all threads share.
    pub shared: Arc<SharedPlugin>,
    /// The gateway of this thread. The main thread fetches its documents.
    pub gateway: Gateway,
    /// The buckets of local limits.
    pub limits: RefCell<SharedCells>,
    /// What other threads pass to this thread.
    pub mailbox: Arc<Mailbox>,
    last_id: Cell<u64>,
    /// The value of [`super::shared::ProcessState::changes`] that this thread has handled.
    seen: Cell<u64>,
}

impl Plugin {
    /// Creates the state of this thread for a plugin.
    pub fn new(shared: &Arc<SharedPlugin>) -> Plugin {
        Plugin {
            gateway: Gateway::without_fetches(shared.policy.clone(), &*shared.state),
            limits: RefCell::new(SharedCells::of(&shared.state)),
            mailbox: shared.open_mailbox(),
            last_id: Cell::new(0),
            // The documents that other threads have fetched already are read at the first request.
            seen: Cell::new(u64::MAX),
            shared: shared.clone(),
        }
    }

    /// Returns the id of a new stream.
    pub fn next_id(&self) -> StreamId {
        self.last_id.set(self.last_id.get() + 1);
        StreamId(self.last_id.get())
    }

    /// Returns `true` if other threads have passed something to this thread, or have changed a document, since the last tick.
    pub fn has_news(&self) -> bool {
        self.seen.get() != self.shared.state.changes() || !self.mailbox.is_empty()
    }

    /// Handles the results of calls, new documents, and the waits that have ended. `stream` is the stream of the current hook, and
    /// `wake` decides a waiting request again.
    pub fn tick(&self, stream: CurrentStream<'_>, wake: &dyn Fn(StreamId)) {
        self.seen.set(self.shared.state.changes());
        let inbox = self.mailbox.take();
        inbox.counts.iter().for_each(|count| self.count(stream, count));
        let mut woken = 0;
        for (call, answer) in inbox.answers {
            let effects = answer.with(|answer| self.gateway.on_answer(call, answer, now(), &*self.shared.state));
            woken += self.apply(effects, stream, wake);
        }
        woken += self.apply(self.gateway.on_tick(now(), &*self.shared.state), stream, wake);
        self.start_calls(woken, None, stream, wake);
    }

    /// Passes the calls that are due to the main thread, in the hook of `request`. `on` is the result that the request waits for, and
    /// `seen_at` is the time of the documents with which it was decided.
    pub fn start_calls_of(
        &self,
        request: StreamId,
        on: Option<Awaited>,
        seen_at: Duration,
        stream: CurrentStream<'_>,
        wake: &dyn Fn(StreamId),
    ) {
        if let Some(Awaited::Document(document)) = on {
            self.shared.want(document, seen_at);
        }
        // Without a rate limit service, no other call can be due.
        if self.shared.policy.asks_rate_limits() {
            self.start_calls(0, Some(request), stream, wake);
        }
    }

    fn start_calls(
        &self,
        mut woken: usize,
        only: Option<StreamId>,
        stream: CurrentStream<'_>,
        wake: &dyn Fn(StreamId),
    ) {
        let start = |call: &Call| {
            self.shared.start_call(&self.mailbox, call.clone());
            true
        };
        while let Some(effects) = self.gateway.start_calls(now(), &*self.shared.state, &mut woken, only, start) {
            self.apply(effects, stream, wake);
        }
        // More requests are due than one hook may wake.
        if self.gateway.next_tick().is_some_and(|period| period < TICK) {
            self.mailbox.wake();
        }
    }

    fn apply(&self, effects: GatewayEffects, stream: CurrentStream<'_>, wake: &dyn Fn(StreamId)) -> usize {
        perform_outside(effects.commands, |count| self.count(stream, count));
        let woken = effects.due.len();
        effects.due.into_iter().for_each(wake);
        woken
    }

    /// Counts an event. If Envoy has destroyed the stream of the current hook, the next hook of this worker counts it.
    fn count(&self, stream: CurrentStream<'_>, count: &Count) {
        match stream() {
            Some(stream) => self.shared.count(stream, count),
            None => self.mailbox.count(count.clone()),
        }
    }
}
