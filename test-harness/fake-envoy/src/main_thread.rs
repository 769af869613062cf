//! The main thread: configurations, their scheduled work, and the answers to their calls.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::checks::problem;
use crate::module::{self, Buffer, Handle, Header, Object};
use crate::queue::{Event, Sender};
use crate::random::Random;
use crate::site;

thread_local! {
    static IS_MAIN: Cell<bool> = const { Cell::new(false) };
    static CONFIGS: RefCell<HashMap<Handle, Weak<Config>>> = RefCell::default();
    static LOADING: Cell<Handle> = const { Cell::new(0) };
    static CALLS: RefCell<Vec<Pending>> = const { RefCell::new(Vec::new()) };
    static RANDOM: RefCell<Random> = const { RefCell::new(Random(77)) };
}

static QUEUE: OnceLock<Sender> = OnceLock::new();
static CURRENT: Mutex<Option<Arc<Config>>> = Mutex::new(None);
static IS_OLD: AtomicBool = AtomicBool::new(false);
static HANDLES: AtomicUsize = AtomicUsize::new(1);

/// A configuration. The last thread that uses it destroys it.
pub struct Config {
    module: Object,
}

/// A running call.
struct Pending {
    due: Instant,
    config: Handle,
    id: u64,
    result: u32,
    status: &'static str,
    body: Vec<u8>,
}

impl Config {
    /// Returns the object of the module.
    pub fn object(&self) -> Object {
        self.module
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        module::config_destroy(self.module);
    }
}

/// Marks this thread as the main thread.
pub fn begin(is_old: bool) {
    IS_MAIN.set(true);
    IS_OLD.store(is_old, Ordering::Relaxed);
}

pub fn is_old() -> bool {
    IS_OLD.load(Ordering::Relaxed)
}

/// Returns a handle that no other object has had.
pub fn new_handle() -> Handle {
    HANDLES.fetch_add(1, Ordering::Relaxed)
}

pub fn queue() -> Sender {
    QUEUE.get_or_init(Sender::default).clone()
}

pub fn current() -> Option<Arc<Config>> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Replaces the configuration. Streams keep the previous one.
pub fn replace(config: Option<Arc<Config>>) {
    let old = std::mem::replace(&mut *CURRENT.lock().unwrap_or_else(PoisonError::into_inner), config);
    drop(old);
}

/// Loads a configuration.
pub fn load(scope: &str, document: &str) -> Option<Arc<Config>> {
    let handle = new_handle();
    LOADING.set(handle);
    let module = module::config_new(handle, Buffer::of(scope.as_bytes()), Buffer::of(document.as_bytes()));
    LOADING.set(0);
    let config = (module != 0).then(|| Arc::new(Config { module }))?;
    CONFIGS.with_borrow_mut(|configs| {
        configs.retain(|_, config| config.strong_count() > 0);
        configs.insert(handle, Arc::downgrade(&config));
    });
    Some(config)
}

/// Reports a call of a function on another thread than the main thread.
pub fn check(name: &str) {
    if !IS_MAIN.get() {
        problem(&format!("{name} is called on another thread than the main thread"));
    }
}

pub fn is_live(config: Handle, name: &str) -> bool {
    check(name);
    let live = CONFIGS.with_borrow(|configs| configs.get(&config).is_some_and(|known| known.strong_count() > 0));
    if !live && LOADING.get() != config {
        problem(&format!("{name}: the configuration {config} is destroyed"));
    }
    live
}

pub fn define_counter(config: Handle, name: &str, labels: usize) -> Option<usize> {
    check("define_counter");
    if LOADING.get() != config {
        problem("define_counter is called after the configuration was loaded");
        return None;
    }
    site::COUNTERS.iter().position(|known| *known == (name, labels))
}

/// Starts a call. A few calls fail, at once or later.
pub fn callout(config: Handle, cluster: &str, headers: &[String], body: Vec<u8>) -> Result<u64, u32> {
    if !is_live(config, "callout") && LOADING.get() != config {
        return Err(4);
    }
    if ![":path", ":method", ":authority"].iter().all(|name| headers.iter().any(|header| header == name)) {
        problem("callout: a header is missing");
        return Err(1);
    }
    RANDOM.with_borrow_mut(|random| {
        if random.one_in(12) {
            return Err(4);
        }
        let due = now() + Duration::from_millis(random.below(30) as u64);
        let id = new_handle() as u64;
        let (result, status, body) = match (cluster, random.below(12)) {
            (_, 0) => (1, "", Vec::new()),
            (_, 1) => (0, "503", b"upstream connect error".to_vec()),
            ("limits", 2) => (0, "200", b"\x01\0\0\0\x04junk".to_vec()),
            ("limits", kind) => (0, "200", site::limit_answer(&body, kind > 8)),
            (_, 2) => (0, "200", b"no json".to_vec()),
            _ => (0, "200", site::key_set().into_bytes()),
        };
        CALLS.with_borrow_mut(|calls| calls.push(Pending { due, config, id, result, status, body }));
        Ok(id)
    })
}

/// Handles the work of the main thread for one turn.
pub fn turn() {
    if let Some(Event::Scheduled(handle, event)) = queue().take(Duration::from_millis(2))
        && let Some(config) = find(handle)
    {
        module::config_scheduled(handle, config.module, event);
    }
    let now = now();
    let due = CALLS.with_borrow_mut(|calls| {
        let (due, rest) = std::mem::take(calls).into_iter().partition(|call| call.due <= now);
        *calls = rest;
        due
    });
    due.into_iter().for_each(finish);
}

fn finish(call: Pending) {
    // Envoy ends the calls of a destroyed configuration without a hook.
    let Some(config) = find(call.config) else { return };
    let header = |name: &'static str, value: &'static str| Header {
        name: Buffer::of(name.as_bytes()),
        value: Buffer::of(value.as_bytes()),
    };
    let headers = [header(":status", call.status), header("content-type", "application/json")];
    let half = call.body.len() / 2;
    let chunks: Vec<Buffer> =
        [call.body.get(..half), call.body.get(half..)].into_iter().flatten().map(Buffer::of).collect();
    let counts = if call.result == 0 { (headers.len(), chunks.len()) } else { (0, 0) };
    module::config_callout_done(
        call.config,
        config.module,
        call.id,
        call.result,
        headers.as_ptr(),
        counts.0,
        chunks.as_ptr(),
        counts.1,
    );
}

fn find(handle: Handle) -> Option<Arc<Config>> {
    CONFIGS.with_borrow(|configs| configs.get(&handle).and_then(Weak::upgrade))
}

/// Returns the current instant.
#[expect(clippy::disallowed_methods, reason = "the program delays answers in real time")]
pub fn now() -> Instant {
    Instant::now()
}
