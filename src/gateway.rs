//! Runs a policy: tracks its requests, its polled documents and its outgoing calls.
//!
//! The gateway takes events and returns commands; a host performs the I/O.

pub mod body;
pub mod call;
pub mod command;
pub mod host;
pub mod metrics;
pub mod polling;
pub mod quotas;
mod response_body;
pub mod shared;
pub mod simulation;
pub mod transaction;
pub mod waiting;

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;
use std::time::Duration;

use call::{Answer, Call, CallId};
use command::{Command, Level};
use polling::Polling;
use quotas::QuotaCalls;
use shared::SharedData;
use waiting::{MAX_WOKEN, StreamId, Waiting};

use crate::policy::Policy;
use crate::policy::credentials::token_cache::TokenCache;
use crate::policy::limits::memory::ByteBound;
use crate::policy::limits::rate_limit_client::Quotas;
use crate::policy::polled::Polled;
use crate::policy::verdict::wait::Awaited;

/// A running policy in one worker. All [`transaction::Transaction`]s of the worker share the gateway.
pub struct Gateway {
    pub(crate) policy: Rc<Policy>,
    pub(crate) memory: RefCell<DecisionState>,
    calls: RefCell<Calls>,
    pub(crate) waiting: RefCell<Waiting>,
    /// Held requests whose body has not begun to arrive.
    pub(crate) awaiting_body: RefCell<Vec<StreamId>>,
    /// Counts and limits the bytes of held bodies in the proxy's memory.
    pub(crate) held: Rc<ByteBound>,
    /// Envoy's buffer limit, the same for every request; `None` if no route holds bodies for checks.
    pub(crate) raised_buffer: Option<u64>,
    /// Counts and limits the bytes of body copies for report-only checks.
    pub(crate) copied: Rc<ByteBound>,
    /// Counts and limits the bytes of headers kept for requests whose bodies are held.
    pub(crate) kept: Rc<ByteBound>,
    /// Whether more requests are due than one tick may wake.
    is_tick_fast: Cell<bool>,
    /// The tick period that the host should set.
    tick: Cell<Option<Duration>>,
}

/// The state that decisions read and change.
pub(crate) struct DecisionState {
    pub polled: Polled,
    pub tokens: TokenCache,
    pub quotas: Quotas,
}

/// The outgoing calls that are due or running.
struct Calls {
    polling: Polling,
    quotas: QuotaCalls,
}

/// The effects of an event that concerns the whole gateway.
#[derive(Debug, Default)]
pub struct GatewayEffects {
    /// Log lines to write and counters to increase.
    pub commands: Vec<Command>,
    /// Requests to decide again, with [`transaction::Transaction::on_wake`].
    pub due: Vec<StreamId>,
}

impl Gateway {
    /// Creates a gateway that runs this policy.
    pub fn new(policy: Rc<Policy>, shared: &dyn SharedData) -> Gateway {
        let polled = policy.polled();
        let polling = Polling::new(&polled, shared);
        let bounds = policy.bounds();
        Gateway {
            held: ByteBound::new(bounds.held_bodies),
            raised_buffer: policy.largest_buffered_body().map(body::buffer_limit),
            copied: ByteBound::new(bounds.copied_bodies),
            kept: ByteBound::new(MAX_KEPT_BYTES),
            memory: RefCell::new(DecisionState {
                polled,
                tokens: TokenCache::new(MAX_TOKENS, bounds.token_cache),
                quotas: Quotas::new(MAX_LEASES),
            }),
            calls: RefCell::new(Calls { polling, quotas: QuotaCalls::default() }),
            waiting: RefCell::default(),
            awaiting_body: RefCell::default(),
            is_tick_fast: Cell::default(),
            tick: Cell::new(Some(TICK)),
            policy,
        }
    }

    /// Returns the policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Returns the polled documents. Tools and tests use this function to supply documents without fetching them.
    pub fn polled(&self) -> RefMut<'_, Polled> {
        RefMut::map(self.memory.borrow_mut(), |memory| &mut memory.polled)
    }

    /// Returns the new period of [`Gateway::on_tick`] if it changed. Returns `None` for a policy that never polls or waits,
    /// because such a policy needs no ticks.
    pub fn next_tick(&self) -> Option<Duration> {
        let period = self.tick.take()?;
        let polls = self.memory.borrow().polled.plans().next().is_some();
        let waits = polls || self.policy.asks_rate_limits() || self.policy.largest_held_body().is_some();
        waits.then_some(period)
    }

    /// Handles a tick: starts fetches that are due, and finds requests whose wait has timed out.
    pub fn on_tick(&self, now: Duration, shared: &dyn SharedData) -> GatewayEffects {
        let mut outcome = GatewayEffects::default();
        let changed = {
            let memory = &mut *self.memory.borrow_mut();
            self.calls.borrow_mut().polling.poll(&mut memory.polled, now, shared, &mut outcome.commands)
        };
        self.wake(now, |on| changed && matches!(on, Awaited::Document(_)), None, &mut outcome);
        outcome
    }

    /// Starts the due calls with `start`. If `start` returns `false`, the host could not start the call, and this function
    /// returns the requests that wait for it. The host decides these requests and calls this function again, until it returns
    /// `None`.
    ///
    /// One event wakes about [`MAX_WOKEN`] requests. `woken` counts these requests, and the remaining calls are started at the
    /// next tick. With `only`, this function returns no other request; the others are woken at the next tick.
    pub fn start_calls(
        &self,
        now: Duration,
        shared: &dyn SharedData,
        woken: &mut usize,
        only: Option<StreamId>,
        mut start: impl FnMut(&Call) -> bool,
    ) -> Option<GatewayEffects> {
        while *woken < MAX_WOKEN {
            let call = self.next_call(now)?;
            if start(&call) {
                continue;
            }
            let outcome = self.answer(call.id, Answer::NotStarted, now, shared, only);
            *woken += outcome.due.len();
            if !outcome.due.is_empty() || !outcome.commands.is_empty() {
                return Some(outcome);
            }
        }
        self.set_fast_tick(true);
        None
    }

    /// Returns the next call to start. Tools and tests answer calls instead of starting them.
    pub fn next_call(&self, now: Duration) -> Option<Call> {
        let calls = &mut *self.calls.borrow_mut();
        calls.polling.next_call().or_else(|| calls.quotas.next_call(&mut self.memory.borrow_mut().quotas, now))
    }

    /// Handles the end of a call.
    pub fn on_answer(
        &self,
        call: CallId,
        answer: Answer<'_>,
        now: Duration,
        shared: &dyn SharedData,
    ) -> GatewayEffects {
        self.answer(call, answer, now, shared, None)
    }

    fn answer(
        &self,
        call: CallId,
        answer: Answer<'_>,
        now: Duration,
        shared: &dyn SharedData,
        only: Option<StreamId>,
    ) -> GatewayEffects {
        let mut outcome = GatewayEffects::default();
        match call {
            CallId::Document(id) => {
                {
                    let memory = &mut *self.memory.borrow_mut();
                    let polling = &mut self.calls.borrow_mut().polling;
                    polling.on_answer(id, answer, &mut memory.polled, now, shared, &mut outcome.commands);
                }
                self.wake(now, |on| matches!(on, Awaited::Document(_)), only, &mut outcome);
            }
            CallId::Quota(lease) => {
                let known = {
                    let memory = &mut *self.memory.borrow_mut();
                    let quotas = &mut self.calls.borrow_mut().quotas;
                    quotas.on_answer(lease, answer, &mut memory.quotas, now, &mut outcome.commands)
                };
                if known {
                    self.wake(now, |on| on == Awaited::Quota(lease), only, &mut outcome);
                }
            }
        }
        outcome
    }

    /// Returns held requests whose body has not begun to arrive, at most [`MAX_WOKEN`]. See
    /// [`transaction::Transaction::on_awaited_body`].
    pub fn awaiting_body(&self) -> Vec<StreamId> {
        let mut awaiting_body = self.awaiting_body.borrow_mut();
        let batch: Vec<_> = awaiting_body.iter().take(MAX_WOKEN).copied().collect();
        // The next call returns other requests. Otherwise, the same requests without a body could be returned each time.
        awaiting_body.rotate_left(batch.len());
        batch
    }

    /// Finds the requests that timed out or whose awaited result has arrived. A large number of requests is spread over several
    /// ticks.
    fn wake(
        &self,
        now: Duration,
        come: impl Fn(Awaited) -> bool,
        only: Option<StreamId>,
        outcome: &mut GatewayEffects,
    ) {
        let (due, more) = self.waiting.borrow_mut().take(now, come, only);
        outcome.due = due;
        self.set_fast_tick(more);
    }

    fn set_fast_tick(&self, more: bool) {
        if self.is_tick_fast.replace(more) != more {
            self.tick.set(Some(if more { FAST_TICK } else { TICK }));
        }
    }
}

/// Returns the command that writes a log line.
fn log(level: Level, text: String) -> Command {
    Command::Log(level, text)
}

/// The period at which a worker looks for documents that other workers fetched. A request waits at most this much longer.
const TICK: Duration = Duration::from_millis(100);
/// The tick period while more requests are due than may be woken at once.
const FAST_TICK: Duration = Duration::from_millis(2);
/// The maximum number of verified tokens that each worker caches.
const MAX_TOKENS: usize = 20_000;
/// The maximum number of header bytes kept while bodies arrive. Ten thousand typical requests use a tenth of this bound.
const MAX_KEPT_BYTES: u64 = 64 << 20;
/// The maximum number of rate limit keys for which one worker stores answers of the rate limit service.
const MAX_LEASES: usize = 10_000;

#[cfg(test)]
mod tests;
