//! The state of one worker: the plugin of each root, and the requests that have not ended.
//!
//! A root is the context that Envoy creates for each plugin in its configuration. Each request belongs to one root.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

use super::host;
use super::plugin::Plugin;
use super::stream::{CallbackResult, Stream};
use crate::gateway::waiting::StreamId;

thread_local! {
    static PLUGINS: RefCell<Vec<(u32, Option<Rc<Plugin>>)>> = const { RefCell::new(Vec::new()) };
    static STREAMS: RefCell<Streams> = const { RefCell::new(HashMap::with_hasher(BuildHasherDefault::new())) };
}

type Streams = HashMap<u32, Rc<Stream>, BuildHasherDefault<NumberHasher>>;

/// Adds a new root if `parent` is 0. Otherwise adds a new request of the root `parent`.
pub fn create(context: u32, parent: u32) {
    if parent == 0 {
        PLUGINS.with_borrow_mut(|plugins| plugins.push((context, None)));
        return;
    }
    let stream = Rc::new(Stream::new(context, plugin(parent)));
    STREAMS.with_borrow_mut(|streams| streams.insert(context, stream));
}

/// Loads the configuration of a root. Returns `false` if the configuration has a problem. Also removes the roots that no longer
/// exist. The module cannot learn about their end earlier: it does not export the callback for the end of a context, because
/// Envoy would call that callback for every request too.
pub fn configure(root: u32) -> bool {
    PLUGINS.with_borrow_mut(|plugins| plugins.retain(|(id, _)| host::act_for(*id)));
    host::act_for(root);
    let Some(configured) = Plugin::configure() else { return false };
    PLUGINS.with_borrow_mut(|plugins| match plugins.iter_mut().find(|(id, _)| *id == root) {
        Some((_, plugin)) => {
            *plugin = Some(configured);
            true
        }
        None => false,
    })
}

/// Handles a tick of the timer of a root.
pub fn tick(root: u32) {
    let Some(plugin) = plugin(root) else { return };
    plugin.tick(&wake);
    for request in plugin.gateway.awaiting_body() {
        with_stream(request, Stream::look_for_body);
    }
    for response in plugin.gateway.silent_responses(host::now()) {
        with_stream(response, Stream::end_silent_response);
    }
}

/// Handles the end of an HTTP call that a root started.
pub fn handle_response(root: u32, call: u32) {
    plugin(root).iter().for_each(|plugin| plugin.handle_response(call, &wake));
}

/// Handles the end of a gRPC call that a root started. `answer` is the size of the response message in bytes, or the gRPC status
/// as `Err`.
pub fn handle_message(root: u32, call: u32, answer: Result<usize, u32>) {
    plugin(root).iter().for_each(|plugin| plugin.handle_message(call, answer, &wake));
}

/// Handles the headers of a request. If the request must wait, starts the calls that are due.
pub fn handle_request_headers(context: u32, ended: bool) -> CallbackResult {
    let stream = stream(context);
    stream.handle_request_headers(ended);
    if let Some(plugin) = stream.plugin().filter(|_| stream.is_waiting()) {
        plugin.start_calls_of(StreamId(context.into()), &wake);
    }
    stream.action()
}

/// Returns the plugin of a root; `None` if no configuration of the root was accepted yet.
fn plugin(root: u32) -> Option<Rc<Plugin>> {
    PLUGINS.with_borrow(|plugins| plugins.iter().find(|(id, _)| *id == root)?.1.clone())
}

/// Returns the running request with this id. If the id is unknown, returns a request without a plugin, which is refused.
pub fn stream(context: u32) -> Rc<Stream> {
    let known = STREAMS.with_borrow(|streams| streams.get(&context).cloned());
    known.unwrap_or_else(|| Rc::new(Stream::new(context, None)))
}

fn wake(request: StreamId) {
    with_stream(request, Stream::wake);
}

/// Calls `act` with a request if it has not ended.
fn with_stream(id: StreamId, act: impl Fn(&Stream)) {
    let context = u32::try_from(id.0).ok();
    let known = STREAMS.with_borrow(|streams| context.and_then(|context| streams.get(&context).cloned()));
    known.iter().for_each(|stream| act(stream));
}

/// Removes a request that has ended, and writes its audit record.
pub fn end(context: u32) {
    let ended = STREAMS.with_borrow_mut(|streams| streams.remove(&context));
    ended.iter().for_each(|stream| stream.end());
}

/// A cheap hasher for the ids of requests. It only multiplies, because Envoy assigns consecutive ids, and clients cannot choose
/// them. The multiplication spreads the id over the high bits too, which the hash map uses to distinguish entries.
#[derive(Debug, Default)]
struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write_u32(&mut self, number: u32) {
        self.0 = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
