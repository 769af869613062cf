//! The state of one worker thread: its plugins, and the streams that must be woken later.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::clock::now;
use super::envoy::EnvoyStream;
use super::plugin::Plugin;
use super::shared_plugin::{SharedPlugin, closed};
use super::stream::Stream;
use crate::gateway::waiting::StreamId;

thread_local! {
    static PLUGINS: RefCell<Vec<Rc<PluginStreams>>> = const { RefCell::new(Vec::new()) };
    /// The number of destroyed plugins whose state this thread has dropped.
    static DROPPED: Cell<u64> = const { Cell::new(0) };
}

/// One plugin of this thread, with the streams that must be woken later.
struct PluginStreams {
    plugin: Rc<Plugin>,
    sleeping: RefCell<HashMap<StreamId, Rc<Stream>>>,
}

/// Creates a stream of a plugin. First drops the states of destroyed plugins.
pub fn create(shared: &Arc<SharedPlugin>, envoy: EnvoyStream) -> Rc<Stream> {
    let closed = closed();
    if DROPPED.replace(closed) != closed {
        PLUGINS.with_borrow_mut(|plugins| plugins.retain(|streams| !streams.plugin.shared.is_closed()));
    }
    Rc::new(Stream::new(streams_of(shared).plugin.clone(), envoy))
}

/// Handles the headers of a request.
pub fn handle_request_headers(stream: &Rc<Stream>, ended: bool) -> u32 {
    let streams = streams_of(&stream.plugin().shared);
    // The time of the documents with which the request is decided.
    let seen_at = now();
    if streams.plugin.has_news() {
        streams.tick(stream);
    }
    stream.handle_request_headers(ended);
    streams.update(stream);
    if stream.envoy().is_some() {
        let wake = |request| streams.wake(request, seen_at);
        streams.plugin.start_calls_of(stream.id, stream.awaited(), seen_at, &|| stream.envoy(), &wake);
    }
    stream.request_status()
}

/// Handles another event of a stream, and records whether the stream must be woken later.
pub fn handle(stream: &Rc<Stream>, event: impl FnOnce(&Stream) -> u32) -> u32 {
    let status = event(stream);
    streams_of(&stream.plugin().shared).update(stream);
    status
}

/// Handles the work of the whole plugin in the hook of one of its streams.
pub fn handle_scheduled(stream: &Stream) {
    streams_of(&stream.plugin().shared).tick(stream);
}

/// Handles the end of a stream.
pub fn complete(stream: &Stream) {
    forget(stream);
    stream.complete();
}

/// Forgets a stream that Envoy destroys.
pub fn destroy(stream: &Stream) {
    forget(stream);
    stream.destroy();
}

/// Refuses the request of a stream after a panic.
pub fn refuse_after_panic(stream: &Stream) {
    forget(stream);
    stream.refuse_after_panic();
}

/// Returns the state of a plugin. Creates it at the first request.
fn streams_of(shared: &Arc<SharedPlugin>) -> Rc<PluginStreams> {
    PLUGINS.with_borrow_mut(|plugins| {
        if let Some(known) = plugins.iter().find(|streams| Arc::ptr_eq(&streams.plugin.shared, shared)) {
            return known.clone();
        }
        let created = Rc::new(PluginStreams { plugin: Rc::new(Plugin::new(shared)), sleeping: RefCell::default() });
        plugins.push(created.clone());
        created
    })
}

fn forget(stream: &Stream) {
    streams_of(&stream.plugin().shared).forget(stream.id);
}

impl PluginStreams {
    /// Handles the work of the plugin in the hook of `stream`, which may end in this function.
    fn tick(&self, stream: &Stream) {
        let seen_at = now();
        self.plugin.tick(&|| stream.envoy(), &|request| self.wake(request, seen_at));
        for response in self.plugin.gateway.silent_responses(now()) {
            self.with_sleeping(response, Stream::end_silent_response);
        }
    }

    fn wake(&self, request: StreamId, seen_at: Duration) {
        self.with_sleeping(request, |stream| {
            stream.wake();
            if let (Some(_), Some(on)) = (stream.envoy(), stream.awaited()) {
                self.plugin.start_calls_of(stream.id, Some(on), seen_at, &|| stream.envoy(), &|_| ());
            }
        });
    }

    fn with_sleeping(&self, id: StreamId, act: impl Fn(&Stream)) {
        let known = self.sleeping.borrow().get(&id).cloned();
        let Some(stream) = known else { return };
        // A panic must not keep the other requests of this hook asleep.
        match panic::catch_unwind(AssertUnwindSafe(|| act(&stream))) {
            Ok(()) => self.update(&stream),
            Err(_) => refuse_after_panic(&stream),
        }
    }

    /// Records whether a stream must be woken later.
    fn update(&self, stream: &Rc<Stream>) {
        let Some(envoy) = stream.envoy().filter(|_| stream.sleeps()) else { return self.forget(stream.id) };
        let is_new = self.sleeping.borrow_mut().insert(stream.id, stream.clone()).is_none();
        if let Some(scheduler) = is_new.then(|| envoy.scheduler()).flatten() {
            self.plugin.mailbox.add_sleeper(stream.id, scheduler);
        }
    }

    fn forget(&self, stream: StreamId) {
        if self.sleeping.borrow().is_empty() {
            return;
        }
        let known = self.sleeping.borrow_mut().remove(&stream);
        if known.is_some() {
            self.plugin.mailbox.remove_sleeper(stream);
        }
    }
}
