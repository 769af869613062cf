//! One plugin in one worker: takes the configuration, keeps polled documents fresh, and wakes requests that wait.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

use proxy_wasm::types::LogLevel;

use super::exchange::Exchange;
use super::host;
use super::limits::SharedCells;
use super::polling::Polling;
use super::quotas::Ledger;
use super::waiting::Waiting;
use crate::config::source;
use crate::policy::Policy;
use crate::policy::bounds::ByteBound;
use crate::policy::decision::Awaited;
use crate::policy::polled::Polled;
use crate::policy::token_cache::TokenCache;

/// The root context: what all requests of one plugin in one worker share.
#[derive(Default)]
pub struct Root {
    gateway: Option<Rc<Gateway>>,
}

/// A policy at work.
pub struct Gateway {
    /// What decides.
    pub policy: Policy,
    /// What decisions need and change.
    pub memory: RefCell<Memory>,
    /// Requests that wait for something outside.
    pub waiting: RefCell<Waiting>,
    /// Requests that are held for a body of which nothing was shown yet.
    pub unseen: RefCell<Vec<Weak<Exchange>>>,
    /// Bytes of held bodies, in Envoy's memory.
    pub held: Rc<ByteBound>,
    /// Bytes of body copies, for checks with `mode: log`.
    pub copied: Rc<ByteBound>,
    /// Bytes of headers kept for requests whose bodies are held.
    pub kept: Rc<ByteBound>,
    /// More requests are due than one tick may wake.
    hurried: Cell<bool>,
}

/// What a worker remembers between requests.
pub struct Memory {
    /// Key sets and whatever else is polled.
    pub polled: Polled,
    /// Verified callers.
    pub tokens: TokenCache,
    /// What was counted, by all workers together.
    pub limits: SharedCells,
    polling: Polling,
    /// What rate limit services said.
    pub ledger: Ledger,
}

impl Root {
    /// The policy at work; none before the first configuration.
    pub fn gateway(&self) -> Option<Rc<Gateway>> {
        self.gateway.clone()
    }

    /// Takes the answer to a call that this root made.
    pub fn handle_answer(&mut self, call: u32) {
        let Some(gateway) = &self.gateway else { return };
        {
            let memory = &mut *gateway.memory.borrow_mut();
            memory.polling.handle_answer(call, &mut memory.polled, host::now());
        }
        gateway.wake(host::now(), |on| matches!(on, Awaited::Document(_)));
    }

    /// Takes what a rate limit service said to a call that this root made.
    pub fn handle_quota(&mut self, call: u32, answer: Result<usize, u32>) {
        let Some(gateway) = &self.gateway else { return };
        let now = host::now();
        let account = gateway.memory.borrow_mut().ledger.handle_answer(call, answer, now);
        if let Some(account) = account {
            gateway.wake(now, |on| on == Awaited::Quota(account));
        }
    }

    /// Depends on nothing but the configuration and the VM's variables: were it to fail on one worker only, Envoy would skip the
    /// filter there (envoy-facts §0.1). A configuration with any problem is refused, and Envoy keeps the one before.
    pub fn configure(&mut self) -> bool {
        let bytes = host::plugin_configuration();
        match load(&bytes) {
            Ok(policy) => {
                let polled = policy.polled();
                let polling = Polling::of(&polled);
                let holds_bodies = policy.largest_held_body().is_some();
                let (documents, routes) = (polled.plans().count(), policy.routes().len());
                let asks = policy.asks_rate_limits();
                let fingerprint = fingerprint(&bytes);
                host::log(
                    LogLevel::Info,
                    &format!("policy {fingerprint:016x} is active: {routes} routes, {documents} polled documents"),
                );
                let memory = Memory {
                    polled,
                    tokens: TokenCache::new(MOST_TOKENS, policy.bounds().token_cache),
                    limits: SharedCells::open(),
                    polling,
                    ledger: Ledger::new(),
                };
                self.gateway = Some(Rc::new(Gateway {
                    held: ByteBound::new(policy.bounds().held_bodies),
                    copied: ByteBound::new(policy.bounds().copied_bodies),
                    kept: ByteBound::new(MOST_KEPT_BYTES),
                    policy,
                    memory: RefCell::new(memory),
                    waiting: RefCell::default(),
                    unseen: RefCell::default(),
                    hurried: Cell::default(),
                }));
                if documents > 0 || asks || holds_bodies {
                    host::tick_every(TICK);
                }
                true
            }
            Err(problems) => {
                for problem in problems {
                    host::log(LogLevel::Error, &format!("configuration refused: {problem}"));
                }
                false
            }
        }
    }

    /// Looks for what is due: fetches, and requests that waited long enough.
    pub fn tick(&mut self) {
        let Some(gateway) = &self.gateway else { return };
        let now = host::now();
        let changed = {
            let memory = &mut *gateway.memory.borrow_mut();
            memory.polling.poll(&mut memory.polled, now)
        };
        gateway.wake(now, |on| changed && matches!(on, Awaited::Document(_)));
        gateway.look_for_withheld_bodies();
    }
}

impl Gateway {
    /// Makes the calls to rate limit services that requests wait for. False when one of them ended at once.
    pub fn make_calls(&self, now: Duration) -> bool {
        self.memory.borrow_mut().ledger.make_calls(now)
    }

    /// Decides again about requests that waited long enough, or for what has come; a crowd in several ticks.
    fn wake(&self, now: Duration, come: impl Fn(Awaited) -> bool) {
        let (due, mut more) = self.waiting.borrow_mut().take(now, come);
        for request in due {
            if host::act_for(request.context_id()) {
                request.decide_again(self);
            }
        }
        if !self.make_calls(now) {
            self.waiting.borrow_mut().hurry();
            more = true;
        }
        if self.hurried.replace(more) != more {
            host::tick_every(if more { HURRIED_TICK } else { TICK });
        }
    }
}

/// Reads and compiles a configuration. Secrets come from the VM's variables, which Envoy takes from `host_env_keys`.
fn load(bytes: &[u8]) -> Result<Policy, Vec<String>> {
    let node = source::read(bytes).map_err(|fault| vec![fault])?;
    let environment = |name: &str| std::env::var(name).ok();
    Policy::from_node(&node, &environment).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// FNV-1a: tells two configurations apart in a log, and claims nothing more.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// How often a worker looks for keys that others fetched, and so what a request that waits for keys may wait on top.
const TICK: Duration = Duration::from_millis(100);

/// How soon the next requests are woken when more are due than may be in one go.
const HURRIED_TICK: Duration = Duration::from_millis(2);

/// Verified callers remembered by each worker.
const MOST_TOKENS: usize = 20_000;

/// Bound on header bytes kept while bodies arrive. Ten thousand typical requests use a tenth of it.
const MOST_KEPT_BYTES: u64 = 64 << 20;
