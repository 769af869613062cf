//! Runs a policy in one worker: tracks waiting requests, polled documents and outgoing calls.
//!
//! The host passes events to the gateway, such as the headers of a request. The gateway returns commands, which the host
//! performs. The gateway itself performs no I/O.

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
use std::sync::Arc;
use std::time::Duration;

use call::{Answer, Call, CallId};
use command::{Command, Level};
use polling::Polling;
use quotas::QuotaCalls;
use shared::SharedData;
use waiting::{MAX_WOKEN, StreamId, Waiting};

use crate::config::json_api::MAPS_RESPONSES;
use crate::policy::Policy;
use crate::policy::credentials::token_cache::TokenCache;
use crate::policy::limits::memory::ByteBound;
use crate::policy::limits::rate_limit_client::Quotas;
use crate::policy::polled::Polled;
use crate::policy::verdict::wait::Awaited;

/// A running policy in one worker. All requests of the worker share it; the state of one request is a
/// [`transaction::Transaction`].
pub struct Gateway {
    pub(crate) policy: Arc<Policy>,
    pub(crate) memory: RefCell<DecisionState>,
    calls: RefCell<Calls>,
    pub(crate) waiting: RefCell<Waiting>,
    /// The requests that are held for an inspection of their body, and whose body has not begun to arrive.
    pub(crate) awaiting_body: RefCell<Vec<StreamId>>,
    /// The held responses of which no part of the body has arrived, each with the time at which the gateway stops waiting for the
    /// body.
    pub(crate) awaiting_response: RefCell<Vec<(StreamId, Duration)>>,
    /// Counts and limits the bytes of held request bodies, which are in the proxy's memory.
    pub(crate) held: Rc<ByteBound>,
    /// Counts and limits the bytes of held response bodies. This bound is separate from `held`, so that uploads cannot use up the
    /// memory for responses.
    pub(crate) held_responses: Rc<ByteBound>,
    /// The buffer limit in bytes that the generated configuration sets for every request; `None` if no route holds request or
    /// response bodies.
    pub(crate) raised_buffer: Option<u64>,
    /// Counts and limits the bytes of the body copies that checks with `mode: log` inspect.
    pub(crate) copied: Rc<ByteBound>,
    /// Counts and limits the header bytes that are stored while the body of a request arrives.
    pub(crate) kept: Rc<ByteBound>,
    /// Whether the tick period is [`FAST_TICK`], because more requests or calls are due than one event may handle.
    is_tick_fast: Cell<bool>,
    /// A changed tick period that [`Gateway::next_tick`] has not reported to the host yet.
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

/// The effects of an event that does not belong to a single request: a tick, or the result of a call.
#[derive(Debug, Default)]
pub struct GatewayEffects {
    /// Log lines to write and counters to increase.
    pub commands: Vec<Command>,
    /// Requests to decide again, with [`transaction::Transaction::on_wake`].
    pub due: Vec<StreamId>,
}

impl Gateway {
    /// Creates a gateway that runs this policy. `shared` is the map through which the workers share polled documents.
    pub fn new(policy: Arc<Policy>, shared: &dyn SharedData) -> Gateway {
        Gateway::build(policy, shared, true)
    }

    /// Creates a gateway that fetches no documents, because another gateway with the same policy fetches them. For each document
    /// that a request waits for, the host calls [`Polled::mark_wanted`] of the other gateway.
    pub fn without_fetches(policy: Arc<Policy>, shared: &dyn SharedData) -> Gateway {
        Gateway::build(policy, shared, false)
    }

    fn build(policy: Arc<Policy>, shared: &dyn SharedData, fetches: bool) -> Gateway {
        let polled = policy.polled();
        let polling = Polling::new(&polled, shared, fetches);
        let bounds = policy.bounds();
        Gateway {
            held: ByteBound::new(bounds.held_bodies),
            held_responses: ByteBound::new(bounds.held_responses),
            raised_buffer: policy.largest_buffered_body().map(body::buffer_limit),
            copied: ByteBound::new(bounds.copied_bodies),
            kept: ByteBound::new(body::MAX_KEPT_BYTES),
            memory: RefCell::new(DecisionState {
                polled,
                tokens: TokenCache::new(MAX_TOKENS, bounds.token_cache),
                quotas: Quotas::new(MAX_LEASES),
            }),
            calls: RefCell::new(Calls { polling, quotas: QuotaCalls::default() }),
            waiting: RefCell::default(),
            awaiting_body: RefCell::default(),
            awaiting_response: RefCell::default(),
            is_tick_fast: Cell::default(),
            tick: Cell::new(Some(TICK)),
            policy,
        }
    }

    /// Returns the policy that this gateway runs.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Returns the polled documents. Tools and tests use this function to supply documents without fetching them.
    pub fn polled(&self) -> RefMut<'_, Polled> {
        RefMut::map(self.memory.borrow_mut(), |memory| &mut memory.polled)
    }

    /// Returns the interval at which the host must call [`Gateway::on_tick`]; `None` if it has not changed since the last call.
    /// Always returns `None` if the policy polls no documents, uses no rate limit service and holds no bodies, because the
    /// gateway then needs no ticks.
    pub fn next_tick(&self) -> Option<Duration> {
        let period = self.tick.take()?;
        let polls = self.memory.borrow().polled.plans().next().is_some();
        let waits = polls || self.policy.asks_rate_limits() || self.policy.largest_buffered_body().is_some();
        waits.then_some(period)
    }

    /// Handles a tick: installs documents that other workers fetched, prepares the fetches that are due, and returns the requests
    /// whose awaited document arrived or whose wait timed out.
    pub fn on_tick(&self, now: Duration, shared: &dyn SharedData) -> GatewayEffects {
        let mut outcome = GatewayEffects::default();
        let changed = {
            let memory = &mut *self.memory.borrow_mut();
            self.calls.borrow_mut().polling.poll(&mut memory.polled, now, shared, &mut outcome.commands)
        };
        self.wake(now, |on| changed && matches!(on, Awaited::Document(_)), None, &mut outcome);
        outcome
    }

    /// Starts the outgoing calls that are due, with the function `start` of the host. If `start` returns `false`, the host could
    /// not start the call, and this function returns the requests that wait for the call. The host decides these requests and
    /// calls this function again, until it returns `None`.
    ///
    /// `woken` counts the requests that the current event has woken. When it reaches [`MAX_WOKEN`], the remaining calls are
    /// started at the next tick. If `only` is set, this function returns at most this request, and the other requests are woken
    /// at the next tick.
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

    /// Returns the next call to start. Tools and tests pass the result of the call to [`Gateway::on_answer`] without starting it.
    pub fn next_call(&self, now: Duration) -> Option<Call> {
        let calls = &mut *self.calls.borrow_mut();
        calls.polling.next_call().or_else(|| calls.quotas.next_call(&mut self.memory.borrow_mut().quotas, now))
    }

    /// Handles the result of a call, and returns the requests that can now be decided.
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

    /// Returns up to [`MAX_WOKEN`] requests that are held for an inspection of their body, and whose body has not begun to
    /// arrive. The host calls [`transaction::Transaction::on_awaited_body`] for each of them.
    pub fn awaiting_body(&self) -> Vec<StreamId> {
        let mut awaiting_body = self.awaiting_body.borrow_mut();
        let batch: Vec<_> = awaiting_body.iter().take(MAX_WOKEN).copied().collect();
        // Moves the returned requests to the end of the list, so that the next call returns other requests.
        awaiting_body.rotate_left(batch.len());
        batch
    }

    /// Removes and returns up to [`MAX_WOKEN`] held responses of which no part of the body arrived in time. The host calls
    /// [`transaction::Transaction::on_silent_response`] for each of them.
    pub fn silent_responses(&self, now: Duration) -> Vec<StreamId> {
        if !MAPS_RESPONSES {
            return Vec::new();
        }
        let mut awaiting = self.awaiting_response.borrow_mut();
        let silent = awaiting.iter().filter(|(_, until)| *until <= now).take(MAX_WOKEN);
        let silent: Vec<_> = silent.map(|(id, _)| *id).collect();
        awaiting.retain(|(id, _)| !silent.contains(id));
        silent
    }

    /// Adds up to [`MAX_WOKEN`] due requests to `outcome`. A request is due if its wait timed out, or if `come` returns `true`
    /// for its awaited result. If more requests are due, the next ticks wake them.
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

/// The normal tick period. Within this time, a worker starts to use a document that another worker has fetched.
pub const TICK: Duration = Duration::from_millis(100);
/// The tick period while more requests or calls are due than one event may handle.
const FAST_TICK: Duration = Duration::from_millis(2);
/// The maximum number of verified tokens that one worker caches.
const MAX_TOKENS: usize = 20_000;
/// The maximum number of buckets of global limits that one worker stores. For each bucket, it stores the reserved hits and the
/// last answer of the rate limit service.
const MAX_LEASES: usize = 10_000;

#[cfg(test)]
mod tests;
