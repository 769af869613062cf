//! Runs a policy in one worker: tracks waiting requests, polled documents and outgoing calls.
//!
//! The gateway handles events and returns commands. It performs no I/O; the host performs the commands.

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

use crate::config::json_api::MAPS_RESPONSES;
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
    /// The requests that are held for an inspection of their body, and whose body has not begun to arrive.
    pub(crate) awaiting_body: RefCell<Vec<StreamId>>,
    /// The held responses of which no part of the body has arrived, each with the time when the wait ends.
    pub(crate) awaiting_response: RefCell<Vec<(StreamId, Duration)>>,
    /// Counts and limits the bytes of held bodies in the proxy's memory.
    pub(crate) held: Rc<ByteBound>,
    /// Counts and limits the bytes of held response bodies. This bound is separate from `held`, so that uploads cannot use up the
    /// memory for responses.
    pub(crate) held_responses: Rc<ByteBound>,
    /// Envoy's buffer limit, the same for every request; `None` if no route holds bodies for checks.
    pub(crate) raised_buffer: Option<u64>,
    /// Counts and limits the bytes of the body copies that checks with `mode: log` inspect.
    pub(crate) copied: Rc<ByteBound>,
    /// Counts and limits the header bytes that are stored while the body of a request arrives.
    pub(crate) kept: Rc<ByteBound>,
    /// Whether the tick period is [`FAST_TICK`], because more requests are due than one event may wake.
    is_tick_fast: Cell<bool>,
    /// The new tick period, until [`Gateway::next_tick`] reports it to the host.
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
    pub fn new(policy: Rc<Policy>, shared: &dyn SharedData) -> Gateway {
        let polled = policy.polled();
        let polling = Polling::new(&polled, shared);
        let bounds = policy.bounds();
        Gateway {
            held: ByteBound::new(bounds.held_bodies),
            held_responses: ByteBound::new(bounds.held_responses),
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
            awaiting_response: RefCell::default(),
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

    /// Returns the period with which the host must call [`Gateway::on_tick`], if it changed since the last call. Returns `None`
    /// for a policy without polled documents, rate limit service and held bodies, because such a policy needs no ticks.
    pub fn next_tick(&self) -> Option<Duration> {
        let period = self.tick.take()?;
        let polls = self.memory.borrow().polled.plans().next().is_some();
        let waits = polls || self.policy.asks_rate_limits() || self.policy.largest_buffered_body().is_some();
        waits.then_some(period)
    }

    /// Handles a tick: reads documents that other workers fetched, prepares fetches that are due, and returns the requests whose
    /// wait ended or timed out.
    pub fn on_tick(&self, now: Duration, shared: &dyn SharedData) -> GatewayEffects {
        let mut outcome = GatewayEffects::default();
        let changed = {
            let memory = &mut *self.memory.borrow_mut();
            self.calls.borrow_mut().polling.poll(&mut memory.polled, now, shared, &mut outcome.commands)
        };
        self.wake(now, |on| changed && matches!(on, Awaited::Document(_)), None, &mut outcome);
        outcome
    }

    /// Starts the calls that are due: calls `start` for each of them. If `start` returns `false`, the host could not start the
    /// call, and this function returns the requests that wait for the call. The host decides them and calls this function again,
    /// until the function returns `None`.
    ///
    /// `woken` counts the requests that the current event has woken. When it reaches [`MAX_WOKEN`], the remaining calls are
    /// started at the next tick. If `only` is set, this function returns no other request, and the other requests are woken at
    /// the next tick.
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

    /// Takes the held responses of which no part of the body arrived in time, at most [`MAX_WOKEN`]. See
    /// [`transaction::Transaction::on_silent_response`].
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

/// The normal tick period. A document that another worker fetched is used after this time at most.
const TICK: Duration = Duration::from_millis(100);
/// The tick period while more requests are due than one event may wake.
const FAST_TICK: Duration = Duration::from_millis(2);
/// The maximum number of verified tokens that one worker caches.
const MAX_TOKENS: usize = 20_000;
/// The maximum number of header bytes that one worker stores while bodies arrive. Ten thousand typical requests use a tenth of
/// it.
const MAX_KEPT_BYTES: u64 = 64 << 20;
/// The maximum number of buckets for which one worker stores reserved hits and answers of the rate limit service.
const MAX_LEASES: usize = 10_000;

#[cfg(test)]
mod tests;
