//! Envoy's functions for one stream, which is a request and its response.

#![expect(unsafe_code, reason = "Envoy uses raw pointers; each block explains why it is sound")]

use std::ptr::null_mut;

use super::abi::{self, Buffer, Header, Map, SchedulerPtr, StreamAttribute, StreamPtr};
use super::{FUNCTIONS, NOTHING, buffer, bytes, is_valid_value};
use crate::policy::request::is_grpc;

/// One stream of Envoy, for the thread of its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvoyStream(pub(super) StreamPtr);

/// Runs the hook for scheduled work of one stream, on the thread of its worker. Every thread may use it.
#[derive(Debug)]
pub struct StreamScheduler(SchedulerPtr);

// SAFETY: Envoy documents that every thread may use schedulers. They stay valid until they are deleted, also after their stream
// has ended.
unsafe impl Send for StreamScheduler {}
// SAFETY: as above.
unsafe impl Sync for StreamScheduler {}

/// A local reply. A gRPC client receives its gRPC status from the header `grpc-status`.
#[derive(Clone, Copy, Debug)]
pub struct LocalReply<'a> {
    /// HTTP status.
    pub status: u16,
    /// Envoy's response code details, which must not contain spaces.
    pub details: &'a str,
    /// The headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body, or the message for a gRPC client.
    pub body: &'a [u8],
}

impl EnvoyStream {
    /// Wraps the pointer that Envoy passes to the hooks of a stream.
    ///
    /// # Safety
    /// The pointer must be valid, and the result must not be used after Envoy has destroyed the stream, or on another thread.
    pub const unsafe fn new(pointer: StreamPtr) -> EnvoyStream {
        EnvoyStream(pointer)
    }

    /// Calls `read` with all headers of a map, in their order; with no headers if the map does not exist.
    pub fn with_headers<T>(self, map: Map, read: impl FnOnce(&[(&[u8], &[u8])]) -> T) -> T {
        let Some(envoy) = FUNCTIONS.get() else { return read(&[]) };
        // SAFETY: the stream is valid.
        let count = unsafe { (envoy.http_get_headers_size)(self.0, map) };
        let mut headers = vec![Header { name: NOTHING, value: NOTHING }; count];
        // SAFETY: the stream is valid, and the array has a place for each header.
        if !unsafe { (envoy.http_get_headers)(self.0, map, headers.as_mut_ptr()) } {
            return read(&[]);
        }
        // SAFETY: Envoy has filled the array. The bytes stay valid until the map changes, and `read` cannot change it, because
        // its result does not borrow from the headers and no command is performed before it returns.
        let pairs: Vec<_> = headers.iter().map(|one| unsafe { (bytes(&one.name), bytes(&one.value)) }).collect();
        read(&pairs)
    }

    /// Returns the first value of a header; `None` if it is absent or the map does not exist.
    pub fn header(self, map: Map, name: &str) -> Option<Vec<u8>> {
        let envoy = FUNCTIONS.get()?;
        let mut value = NOTHING;
        // SAFETY: the stream is valid, the name is a live slice, and Envoy writes to the live `value`.
        let found =
            unsafe { (envoy.http_get_header)(self.0, map, buffer(name.as_bytes()), &raw mut value, 0, null_mut()) };
        // SAFETY: Envoy has set the buffer, and its bytes are copied at once.
        found.then(|| unsafe { bytes(&value) }.to_vec())
    }

    /// Replaces all headers with this name by one header. A value that is not valid in HTTP only removes them. So does an empty
    /// value, because Envoy does not add a header with an empty value (envoy-facts §5.13).
    pub fn set_header(self, map: Map, name: &str, value: &[u8]) {
        if value.is_empty() || !is_valid_value(value) {
            self.remove_header(map, name);
            if value.is_empty() {
                self.add_header(map, name, value);
            }
            return;
        }
        if let Some(envoy) = FUNCTIONS.get() {
            // SAFETY: the stream is valid, and both buffers are live slices; Envoy copies the bytes.
            unsafe { (envoy.http_set_header)(self.0, map, buffer(name.as_bytes()), buffer(value)) };
        }
    }

    /// Adds a header and keeps existing headers with the same name. Does nothing for a value that is not valid in HTTP.
    pub fn add_header(self, map: Map, name: &str, value: &[u8]) {
        if let Some(envoy) = FUNCTIONS.get().filter(|_| is_valid_value(value)) {
            // SAFETY: the stream is valid, and both buffers are live slices; Envoy copies the bytes.
            unsafe { (envoy.http_add_header)(self.0, map, buffer(name.as_bytes()), buffer(value)) };
        }
    }

    /// Removes all headers with this name.
    pub fn remove_header(self, map: Map, name: &str) {
        if let Some(envoy) = FUNCTIONS.get() {
            // SAFETY: the stream is valid, and the name is a live slice. A value without an address removes the header.
            unsafe { (envoy.http_set_header)(self.0, map, buffer(name.as_bytes()), NOTHING) };
        }
    }

    /// Refuses the request after a panic in one of its hooks. Without a header `grpc-status`, Envoy's reply to a gRPC client would
    /// report success (envoy-facts §5.12).
    pub fn refuse_after_panic(self) {
        let kind = self.header(Map::Request, "content-type").unwrap_or_default();
        let headers: &[(&str, &str)] = if is_grpc(&kind) { &[("grpc-status", "13")] } else { &[] };
        self.reply(&LocalReply { status: 500, details: "portcullis_panic", headers, body: &[] });
    }

    /// Sends a local reply. Leaves out headers with values that are not valid in HTTP.
    pub fn reply(self, reply: &LocalReply<'_>) {
        let Some(envoy) = FUNCTIONS.get() else { return };
        let valid = reply.headers.iter().filter(|(_, value)| is_valid_value(value.as_bytes()));
        let header =
            |(name, value): &(&str, &str)| Header { name: buffer(name.as_bytes()), value: buffer(value.as_bytes()) };
        let headers: Vec<Header> = valid.map(header).collect();
        let (body, details) = (buffer(reply.body), buffer(reply.details.as_bytes()));
        // SAFETY: the stream is valid, and every buffer is a live slice; Envoy copies the bytes.
        unsafe {
            (envoy.http_send_response)(self.0, reply.status.into(), headers.as_ptr(), headers.len(), body, details);
        }
    }

    /// Makes Envoy choose the route again, because the headers of the request have changed.
    pub fn choose_route_again(self) {
        if let Some(envoy) = FUNCTIONS.get() {
            // SAFETY: the stream is valid.
            unsafe { (envoy.http_clear_route_cache)(self.0) };
        }
    }

    /// Resumes the request, which a hook paused.
    pub fn resume_request(self) {
        if let Some(envoy) = FUNCTIONS.get() {
            // SAFETY: the stream is valid.
            unsafe { (envoy.http_filter_continue_decoding)(self.0) };
        }
    }

    /// Sets a value in the filter state of the request.
    pub fn set_filter_state(self, name: &str, value: &[u8]) {
        if let Some(envoy) = FUNCTIONS.get() {
            // SAFETY: the stream is valid, and both buffers are live slices; Envoy copies the bytes.
            unsafe { (envoy.http_set_filter_state_bytes)(self.0, buffer(name.as_bytes()), buffer(value)) };
        }
    }

    /// Returns an attribute that is a text; `None` if it is empty or does not exist.
    pub fn text(self, attribute: StreamAttribute) -> Option<Vec<u8>> {
        let envoy = FUNCTIONS.get()?;
        let mut value = NOTHING;
        // SAFETY: the stream is valid, and Envoy writes to the live `value`.
        let found = unsafe { (envoy.http_filter_get_attribute_string)(self.0, attribute, &raw mut value) };
        // SAFETY: Envoy has set the buffer, and its bytes are copied at once.
        found.then(|| unsafe { bytes(&value) }.to_vec()).filter(|text| !text.is_empty())
    }

    /// Returns an attribute that is a number.
    pub fn number(self, attribute: StreamAttribute) -> Option<u64> {
        let envoy = FUNCTIONS.get()?;
        let mut value = 0;
        // SAFETY: the stream is valid, and Envoy writes to the live `value`.
        unsafe { (envoy.http_filter_get_attribute_int)(self.0, attribute, &raw mut value) }.then_some(value)
    }

    /// Returns a text of the stream's dynamic metadata.
    pub fn metadata(self, namespace: &str, key: &str) -> Option<Vec<u8>> {
        let envoy = FUNCTIONS.get()?;
        let (namespace, key) = (buffer(namespace.as_bytes()), buffer(key.as_bytes()));
        let mut value = NOTHING;
        // SAFETY: the stream is valid, both buffers are live slices, and Envoy writes to the live `value`.
        let found =
            unsafe { (envoy.http_get_metadata_string)(self.0, abi::DYNAMIC_METADATA, namespace, key, &raw mut value) };
        // SAFETY: Envoy has set the buffer, and its bytes are copied at once.
        found.then(|| unsafe { bytes(&value) }.to_vec())
    }

    /// Increases a counter by one. `labels` are the values of its labels.
    pub fn increment(self, counter: usize, labels: &[&str]) {
        if let Some(envoy) = FUNCTIONS.get() {
            let labels: Vec<Buffer> = labels.iter().map(|label| buffer(label.as_bytes())).collect();
            // SAFETY: the stream is valid, and every buffer is a live slice; Envoy copies the bytes.
            unsafe { (envoy.http_filter_increment_counter)(self.0, counter, labels.as_ptr(), labels.len(), 1) };
        }
    }

    /// Creates a scheduler for this stream.
    pub fn scheduler(self) -> Option<StreamScheduler> {
        let envoy = FUNCTIONS.get()?;
        // SAFETY: the stream is valid.
        let scheduler = unsafe { (envoy.http_filter_scheduler_new)(self.0) };
        (!scheduler.is_null()).then_some(StreamScheduler(scheduler))
    }
}

impl StreamScheduler {
    /// Runs the hook for scheduled work of the stream soon. Does nothing if the stream has ended.
    pub fn commit(&self) {
        if let Some(envoy) = FUNCTIONS.get() {
            // SAFETY: the scheduler is deleted only when this value is dropped.
            unsafe { (envoy.http_filter_scheduler_commit)(self.0, 0) };
        }
    }
}

impl Drop for StreamScheduler {
    fn drop(&mut self) {
        if let Some(envoy) = FUNCTIONS.get() {
            // SAFETY: this value owns the scheduler.
            unsafe { (envoy.http_filter_scheduler_delete)(self.0) };
        }
    }
}
