//! One plugin configuration, which all threads share, and the work that the threads pass to the main thread.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use super::envoy::{ConfigScheduler, EnvoyConfig, EnvoyStream, log};
use super::mailbox::Mailbox;
use super::shared::{ProcessState, lock};
use crate::gateway::Gateway;
use crate::gateway::call::Call;
use crate::gateway::command::Level;
use crate::gateway::metrics::{Count, METRICS};
use crate::hosts::configuration;
use crate::policy::Policy;
use crate::policy::verdict::wait::PolledId;

/// The number of destroyed configurations.
static CLOSED: AtomicU64 = AtomicU64::new(0);

/// Returns the number of destroyed configurations. A worker drops its state of them when the number has changed.
pub fn closed() -> u64 {
    CLOSED.load(Ordering::Acquire)
}

/// One plugin configuration, with the work for the main thread.
pub struct SharedPlugin {
    /// The compiled document.
    pub policy: Arc<Policy>,
    /// The documents and buckets of all configurations with the same `filter_name`.
    pub state: Arc<ProcessState>,
    /// Envoy's ids of the counters, in the order of [`METRICS`]; `None` for a counter that Envoy did not create.
    counters: Vec<Option<usize>>,
    /// Wakes the main thread; `None` if Envoy only validates the configuration.
    main: Option<ConfigScheduler>,
    work: Mutex<MainWork>,
    workers: Mutex<Vec<Weak<Mailbox>>>,
    is_closed: AtomicBool,
}

/// Work for the main thread.
#[derive(Debug, Default)]
pub struct MainWork {
    /// The documents of which requests need a newer version, each with the time of the latest such request.
    pub wanted: Vec<(PolledId, Duration)>,
    /// The calls to start, each with the mailbox of the worker that needs the result.
    pub calls: Vec<(Arc<Mailbox>, Call)>,
}

/// The reason for which a thread wakes the main thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Wakeup {
    /// Time has passed.
    Tick = 0,
    /// A worker has work for the main thread.
    Work = 1,
}

impl SharedPlugin {
    /// Loads a configuration, on the main thread. Returns the plugin and the gateway of the main thread; `None` if the
    /// configuration has a problem. Envoy then does not start, or rejects the update.
    pub fn configure(
        config: EnvoyConfig,
        scope: &str,
        bytes: &[u8],
        is_validating: bool,
    ) -> Option<(Arc<SharedPlugin>, Gateway)> {
        let policy = match configuration::load(bytes) {
            Ok(policy) => Arc::new(policy),
            Err(problems) => {
                problems.iter().for_each(|problem| log(Level::Error, &configuration::refused(problem)));
                return None;
            }
        };
        let state = ProcessState::of(scope);
        let gateway = Gateway::new(policy.clone(), &*state);
        log(Level::Info, &configuration::active(bytes, &gateway));
        let plugin = SharedPlugin {
            policy,
            state,
            counters: METRICS.iter().map(|metric| config.define_counter(metric.name, metric.labels)).collect(),
            main: if is_validating { None } else { config.scheduler() },
            work: Mutex::default(),
            workers: Mutex::default(),
            is_closed: AtomicBool::new(false),
        };
        Some((Arc::new(plugin), gateway))
    }

    /// Marks the configuration as destroyed. Envoy destroys it after the last of its streams (envoy-facts §5.4).
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        CLOSED.fetch_add(1, Ordering::Release);
    }

    /// Returns `true` if Envoy has destroyed the configuration.
    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Creates the mailbox of a worker.
    pub fn open_mailbox(&self) -> Arc<Mailbox> {
        let mailbox = Arc::new(Mailbox::default());
        lock(&self.workers).push(Arc::downgrade(&mailbox));
        mailbox
    }

    /// Returns the mailbox of a worker, if there is one.
    pub fn any_mailbox(&self) -> Option<Arc<Mailbox>> {
        lock(&self.workers).iter().find_map(Weak::upgrade)
    }

    /// Wakes the main thread, and each worker with a waiting request, because time has passed.
    pub fn tick(&self) {
        self.wake_main(Wakeup::Tick);
        let mut workers = lock(&self.workers);
        workers.retain(|mailbox| match mailbox.upgrade() {
            Some(mailbox) => {
                mailbox.wake();
                true
            }
            None => false,
        });
    }

    /// Passes a call of a worker to the main thread.
    pub fn start_call(&self, mailbox: &Arc<Mailbox>, call: Call) {
        lock(&self.work).calls.push((mailbox.clone(), call));
        self.wake_main(Wakeup::Work);
    }

    /// Informs the main thread that a request needs a newer version of a document.
    pub fn want(&self, document: PolledId, wanted_at: Duration) {
        let mut work = lock(&self.work);
        match work.wanted.iter_mut().find(|(known, _)| *known == document) {
            Some((_, latest)) => *latest = wanted_at,
            None => work.wanted.push((document, wanted_at)),
        }
        drop(work);
        self.wake_main(Wakeup::Work);
    }

    /// Takes the work for the main thread.
    pub fn take_work(&self) -> MainWork {
        std::mem::take(&mut *lock(&self.work))
    }

    fn wake_main(&self, wakeup: Wakeup) {
        if let Some(main) = self.main.as_ref().filter(|_| !self.is_closed()) {
            main.commit(wakeup as u64);
        }
    }

    /// Counts an event in the hook of a stream.
    pub fn count(&self, stream: EnvoyStream, count: &Count) {
        self.with_counter(count, |id, labels| stream.increment(id, labels));
    }

    /// Counts an event on the main thread. Returns `false` if this Envoy cannot count outside of a stream.
    pub fn count_on_main(&self, config: EnvoyConfig, count: &Count) -> bool {
        let mut is_counted = true;
        self.with_counter(count, |id, labels| is_counted = config.increment(id, labels));
        is_counted
    }

    fn with_counter(&self, count: &Count, increment: impl FnOnce(usize, &[&str])) {
        let (metric, values) = count.labelled();
        let place = METRICS.iter().position(|known| known.name == metric.name);
        if let Some(id) = place.and_then(|place| *self.counters.get(place)?) {
            let values: Vec<&str> = values.iter().map(AsRef::as_ref).collect();
            increment(id, &values);
        }
    }
}
