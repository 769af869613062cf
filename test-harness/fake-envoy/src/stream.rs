//! A stream as Envoy keeps it: headers, bodies, and the state of both directions.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::ptr::null;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::checks::problem;
use crate::main_thread::Config;
use crate::module::{self, Buffer, Handle, Header, Object};
use crate::queue::Sender;

thread_local! {
    static STREAMS: RefCell<HashMap<Handle, Rc<Stream>>> = RefCell::default();
}

/// A buffer without an address.
pub const NOTHING: Buffer = Buffer { data: null(), length: 0 };

pub type Map = Vec<(String, Vec<u8>)>;

/// One stream.
#[derive(Default)]
pub struct Stream {
    pub handle: Handle,
    pub module: Cell<Object>,
    /// The configuration, which lives as long as its streams.
    pub config: RefCell<Option<Arc<Config>>>,
    pub queue: Sender,
    pub dead: Arc<AtomicBool>,
    pub is_old: bool,
    maps: [RefCell<Option<Map>>; 4],
    /// The parts of bodies, by the number of the ABI.
    bodies: [RefCell<Vec<Vec<u8>>>; 4],
    state: RefCell<BTreeMap<String, String>>,
    pub is_whole_request: Cell<bool>,
    /// The result of the hook for headers while the request is held.
    pub held: Cell<u32>,
    /// The end of the request has arrived: `Some(true)` if trailers ended it.
    pub arrived: Cell<Option<bool>>,
    pub is_in_request_hook: Cell<bool>,
    pub is_forwarded: Cell<bool>,
    pub is_request_over: Cell<bool>,
    pub reply: RefCell<Option<(u32, Map, String)>>,
    pub response_begun: Cell<bool>,
    pub client_headers: Cell<bool>,
    pub sent_body: RefCell<Vec<u8>>,
    pub is_complete: Cell<bool>,
    /// The request as the upstream received it.
    pub upstream_headers: RefCell<Map>,
    pub upstream_body: RefCell<Vec<u8>>,
}

/// Finds a live stream of this thread.
pub fn find(handle: Handle) -> Option<Rc<Stream>> {
    STREAMS.with_borrow(|streams| streams.get(&handle).cloned())
}

impl Stream {
    /// Creates a stream with these request headers.
    pub fn new(handle: Handle, queue: &Sender, is_old: bool, headers: Vec<(String, Vec<u8>)>) -> Stream {
        let stream = Stream { handle, queue: queue.clone(), is_old, ..Stream::default() };
        stream.set_map(0, headers);
        stream
    }

    /// Creates the module's part of a stream, and adds it to the streams of this thread.
    pub fn start(self, config: &Arc<Config>) -> Rc<Stream> {
        let stream = Rc::new(self);
        *stream.config.borrow_mut() = Some(config.clone());
        STREAMS.with_borrow_mut(|streams| streams.insert(stream.handle, stream.clone()));
        stream.module.set(module::stream_new(config.object(), stream.handle));
        stream
    }

    /// Sets a map. The addresses of the previous one become invalid.
    pub fn set_map(&self, map: usize, headers: Map) {
        if let Some(place) = self.maps.get(map) {
            *place.borrow_mut() = Some(headers);
        }
    }

    fn map(&self, map: u32) -> Option<&RefCell<Option<Map>>> {
        self.maps.get(usize::try_from(map).ok()?)
    }

    pub fn headers(&self, map: u32) -> Option<Vec<Header>> {
        let map = self.map(map)?.borrow();
        let header =
            |(name, value): &(String, Vec<u8>)| Header { name: Buffer::of(name.as_bytes()), value: Buffer::of(value) };
        Some(map.as_ref()?.iter().map(header).collect())
    }

    pub fn header(&self, map: u32, name: &str, index: usize) -> (Option<Buffer>, usize) {
        let map = self.map(map).map(RefCell::borrow);
        let all = map.iter().filter_map(|map| map.as_ref()).flatten().filter(|(known, _)| known == name);
        let values: Vec<Buffer> = all.map(|(_, value)| Buffer::of(value)).collect();
        (values.get(index).copied(), values.len())
    }

    pub fn add_header(&self, map: u32, name: &str, value: Option<Vec<u8>>) -> bool {
        let Some(mut map) = self.map(map).map(RefCell::borrow_mut) else { return false };
        let Some(map) = map.as_mut() else { return false };
        map.push((name.to_string(), value.unwrap_or_default()));
        true
    }

    pub fn set_header(&self, map: u32, name: &str, value: Option<Vec<u8>>) -> bool {
        let Some(mut place) = self.map(map).map(RefCell::borrow_mut) else { return false };
        let Some(map) = place.as_mut() else { return false };
        map.retain(|(known, _)| known != name);
        map.extend(value.filter(|value| !value.is_empty()).map(|value| (name.to_string(), value)));
        true
    }

    fn part(&self, part: u32) -> Option<&RefCell<Vec<Vec<u8>>>> {
        self.bodies.get(usize::try_from(part).ok()?)
    }

    pub fn body(&self, part: u32) -> Vec<Buffer> {
        // After a held request continues, the part that the hook reports is the held body.
        let part = if part == 0 && self.is_whole_request.get() { 1 } else { part };
        self.part(part)
            .map(|chunks| chunks.borrow().iter().map(|chunk| Buffer::of(chunk)).collect())
            .unwrap_or_default()
    }

    /// Sets the part that a hook reports.
    pub fn set_part(&self, part: u32, bytes: Option<Vec<u8>>) {
        self.part(part).into_iter().for_each(|place| *place.borrow_mut() = bytes.iter().cloned().collect());
    }

    /// Moves a part to the body that is held.
    pub fn hold(&self, from: u32, to: u32) {
        let chunks = self.take_body(from);
        self.part(to).into_iter().for_each(|place| place.borrow_mut().extend(chunks.clone()));
    }

    pub fn take_body(&self, part: u32) -> Vec<Vec<u8>> {
        self.part(part).map(RefCell::take).unwrap_or_default()
    }

    pub fn append(&self, part: u32, bytes: Vec<u8>) -> bool {
        let Some(mut chunks) = self.part(part).map(RefCell::borrow_mut) else { return false };
        // The part of the current hook exists only in the hook for bodies.
        if part.is_multiple_of(2) && chunks.is_empty() {
            return false;
        }
        chunks.push(bytes);
        true
    }

    pub fn drain(&self, part: u32, count: usize) -> bool {
        let Some(mut chunks) = self.part(part).map(RefCell::borrow_mut) else { return false };
        let rest: Vec<u8> = chunks.concat().split_off(count.min(chunks.iter().map(Vec::len).sum()));
        // An empty part still exists.
        *chunks = vec![rest];
        true
    }

    pub fn set_state(&self, name: &str, value: String) -> bool {
        if self.state.borrow_mut().insert(name.to_string(), value).is_some() {
            problem(&format!("set_filter_state: {name} is set twice"));
        }
        true
    }

    pub fn attribute(&self, id: u32) -> Option<Buffer> {
        match id {
            10 => Some(Buffer::of(b"HTTP/2")),
            24 => Some(Buffer::of(b"192.0.2.1:4711")),
            _ => None,
        }
    }

    pub fn number(&self, id: u32) -> Option<u64> {
        match id {
            15 => Some(self.reply.borrow().as_ref().map_or(200, |(status, ..)| (*status).into())),
            28 => u64::try_from(self.handle).ok(),
            _ => None,
        }
    }

    /// Sends a local reply of the module.
    pub fn reply(&self, status: u32, headers: Vec<(String, String)>, body: String, details: &str) {
        if self.reply.borrow().is_some() || self.is_complete.get() {
            return;
        }
        if details.contains(' ') || headers.iter().any(|(_, value)| value.contains(['\r', '\n', '\0'])) {
            problem(&format!("send_response: {details}: {headers:?}"));
        }
        if self.is_forwarded.get() && !self.response_begun.get() && !self.is_request_over.get() && status < 400 {
            problem("send_response: a forwarded request gets a successful reply");
        }
        let headers = headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
        *self.reply.borrow_mut() = Some((status, headers, body));
        module::local_reply(self.handle, self.module.get(), status, Buffer::of(details.as_bytes()), false);
        // In a hook for the request, the stream ends after the hook has returned.
        if !self.is_in_request_hook.get() {
            self.complete();
            if self.is_old {
                self.destroy();
            }
        }
    }

    /// Ends the stream. Its object lives until [`Stream::destroy`].
    pub fn complete(&self) {
        if !self.is_complete.replace(true) {
            module::stream_complete(self.handle, self.module.get());
            self.dead.store(true, Ordering::Relaxed);
        }
    }

    /// Destroys the stream.
    pub fn destroy(&self) {
        let Some(_alive) = STREAMS.with_borrow_mut(|streams| streams.remove(&self.handle)) else { return };
        module::stream_destroy(self.module.replace(0));
        let config = self.config.take();
        drop(config);
    }

    pub fn is_destroyed(&self) -> bool {
        self.module.get() == 0
    }

    /// Returns `true` if no further hook may be called.
    pub fn is_over(&self) -> bool {
        self.is_complete.get() || self.is_destroyed()
    }

    /// Passes the headers of the request to the upstream.
    pub fn forward(&self) {
        self.held.set(0);
        if self.is_forwarded.replace(true) {
            return;
        }
        if self.reply.borrow().is_some() {
            problem("a refused request is forwarded");
        }
        *self.upstream_headers.borrow_mut() = self.map(0).and_then(|map| map.borrow().clone()).unwrap_or_default();
    }

    /// Passes the held body and the current part to the upstream.
    pub fn forward_body(&self) {
        let held = self.take_body(1);
        let current = self.take_body(0);
        held.iter().chain(&current).for_each(|chunk| self.upstream_body.borrow_mut().extend(chunk));
    }

    /// Resumes a held request: the hooks for its body and trailers run before this function returns.
    pub fn continue_decoding(&self) {
        if self.is_over() || self.held.get() == 0 || self.reply.borrow().is_some() {
            return;
        }
        if self.is_in_request_hook.get() {
            problem("continue_decoding is called in a hook for the request");
        }
        let was_whole = self.held.get() >= 3;
        self.forward();
        let has_trailers = self.arrived.get() == Some(true);
        let is_ended = self.arrived.get() == Some(false);
        if was_whole && !self.body(1).is_empty() {
            self.is_whole_request.set(true);
            self.is_in_request_hook.set(true);
            module::request_body(self.handle, self.module.get(), is_ended);
            self.is_in_request_hook.set(false);
            self.is_whole_request.set(false);
            if self.reply.borrow().is_some() || self.is_over() {
                return;
            }
        }
        self.forward_body();
        if was_whole && has_trailers {
            self.is_in_request_hook.set(true);
            module::request_trailers(self.handle, self.module.get());
            self.is_in_request_hook.set(false);
        }
        self.is_request_over.set(self.arrived.get().is_some());
    }
}
