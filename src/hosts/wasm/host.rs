//! Safe wrappers for the functions of Envoy. In the wasm host, only this file and the files in `host` contain `unsafe` code.
//!
//! The `proxy_wasm` crate has wrappers too. This file replaces those that the filter calls often, because they allocate more
//! memory, and because they panic on an unexpected status or byte. A panic would stop the wasm VM of the worker (envoy-facts
//! §0.4, §0.7, §0.8). The replacements in this file return `None`, `false` or an empty value instead.

#![expect(unsafe_code, reason = "Envoy uses raw pointers; each block explains why it is sound")]

mod abi;
mod ffi;
mod grpc;
mod shared;

pub use grpc::{GrpcCall, grpc_call, grpc_message};
pub use shared::{share, share_if_absent, shared};

use std::ptr::{null, null_mut};
use std::time::Duration;

use crate::printable;

use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, LogLevel, Status};

/// A map of headers or trailers (proxy-wasm ABI, `proxy_map_type_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Map {
    /// Request headers.
    Request = 0,
    /// Request trailers.
    RequestTrailers = 1,
    /// Response headers.
    Response = 2,
    /// Response headers of an outgoing HTTP call. They are available only in the callback for the response to the call.
    CallResponse = 6,
}

/// The arguments of a local reply. Envoy copies the values during the call, so the fields are borrowed.
#[derive(Clone, Copy, Debug)]
pub struct LocalReply<'a> {
    /// HTTP status.
    pub status: u16,
    /// Envoy's response code details: a short reason for Envoy's access log, without spaces.
    pub details: &'a str,
    /// The headers, in the format of [`serialize`].
    pub headers: &'a [u8],
    /// The body, or the message for a gRPC client.
    pub body: &'a [u8],
    /// The gRPC status; -1 for a client that does not use gRPC.
    pub grpc_status: i32,
}

/// Sets the log level of the `proxy_wasm` crate, which logs panics.
pub fn start() {
    proxy_wasm::set_log_level(LogLevel::Info);
}

/// Returns the time since the Unix epoch.
pub fn now() -> Duration {
    let mut nanos = 0_u64;
    // SAFETY: Envoy writes eight bytes to the pointer, which points to a live u64.
    unsafe { ffi::proxy_get_current_time_nanoseconds(&raw mut nanos) };
    Duration::from_nanos(nanos)
}

/// Returns all headers of a map, as a serialized block for [`pairs`]. The block is empty if the map no longer exists.
pub fn map(map: Map) -> Vec<u8> {
    // SAFETY: `take` explains what Envoy does with the two pointers.
    take(|data, size| unsafe { ffi::proxy_get_header_map_pairs(map as u32, data, size) }).unwrap_or_default()
}

/// Returns the first value of a header; `None` if the header is absent or the map no longer exists.
pub fn header(map: Map, name: &str) -> Option<Vec<u8>> {
    // SAFETY: the name is a live slice; `take` explains the rest.
    take(|data, size| unsafe { ffi::proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), data, size) })
}

/// Replaces all headers with this name by one header. Returns `false` if the map no longer exists.
pub fn set_header(map: Map, name: &str, value: &[u8]) -> bool {
    // SAFETY: both pointers and lengths belong to live slices; Envoy copies the bytes.
    unsafe {
        ffi::proxy_replace_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len()) == OK
    }
}

/// Adds a header and keeps existing headers with the same name. Returns `false` if the map no longer exists.
pub fn add_header(map: Map, name: &str, value: &[u8]) -> bool {
    // SAFETY: both pointers and lengths belong to live slices; Envoy copies the bytes.
    unsafe { ffi::proxy_add_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len()) == OK }
}

/// Removes all headers with this name. Returns `false` if the map no longer exists.
pub fn remove_header(map: Map, name: &str) -> bool {
    // SAFETY: the pointer and the length belong to a live slice.
    unsafe { ffi::proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) == OK }
}

/// Returns a property of the current request or connection. A NUL character separates the parts of the path. Envoy does not
/// distinguish an empty value from an absent one (envoy-facts §2.8), so the caller must treat both as absent.
pub fn property(path: &str) -> Option<Vec<u8>> {
    // SAFETY: the path is a live slice; `take` explains the rest.
    take(|data, size| unsafe { ffi::proxy_get_property(path.as_ptr(), path.len(), data, size) })
}

/// Returns a property that is an unsigned integer. Envoy returns eight bytes in little-endian order (envoy-facts §3.1).
pub fn number(path: &str) -> Option<u64> {
    property(path)?.as_slice().try_into().ok().map(u64::from_le_bytes)
}

/// Sets a value in the filter state of the request, under the key `wasm.` followed by `name`.
pub fn set_filter_state(name: &str, value: &[u8]) {
    // SAFETY: both pointers and lengths belong to live slices; Envoy copies the bytes.
    unsafe { ffi::proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
}

/// Returns the id of the counter with this name. Envoy creates the counter if it does not exist. Returns `None` if Envoy refuses
/// to create it.
pub fn define_counter(name: &str) -> Option<u32> {
    const COUNTER: u32 = 0;
    let mut id = 0_u32;
    // SAFETY: the name is a live slice, and Envoy writes four bytes to the pointer, which points to a live u32.
    let status = unsafe { ffi::proxy_define_metric(COUNTER, name.as_ptr(), name.len(), &raw mut id) };
    (status == OK).then_some(id)
}

/// Increases the counter with this id by one.
pub fn increment_counter(id: u32) {
    // SAFETY: the arguments are plain numbers, and Envoy writes nothing.
    unsafe { ffi::proxy_increment_metric(id, 1) };
}

/// Sends a local reply to the current request. Returns `false` if Envoy refuses the reply.
pub fn reply(reply: &LocalReply<'_>) -> bool {
    let (details, headers, body) = (reply.details, reply.headers, reply.body);
    // SAFETY: every pointer and its length belong to a live slice; Envoy copies the bytes.
    let status = unsafe {
        ffi::proxy_send_local_response(
            u32::from(reply.status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            reply.grpc_status,
        )
    };
    status == OK
}

/// Resumes the current request, after a callback paused it.
pub fn resume_request() {
    const REQUEST: u32 = 0;
    // SAFETY: the argument is a plain number, and Envoy writes nothing.
    unsafe { ffi::proxy_continue_stream(REQUEST) };
}

/// Selects a context (a request or a root) for the following calls of functions in this file. Returns `false` if the context no
/// longer exists.
pub fn act_for(context_id: u32) -> bool {
    // SAFETY: the argument is a plain number, and Envoy writes nothing.
    unsafe { ffi::proxy_set_effective_context(context_id) == OK }
}

/// Writes one line to Envoy's application log. Escapes line breaks and other control characters, because Envoy does not
/// (envoy-facts §3.4).
pub fn log(level: LogLevel, text: &str) {
    let _ = hostcalls::log(level, &printable::one_line(text));
}

/// Calls a foreign function of Envoy, such as `verify_signature`. Returns Envoy's status as `Err` if the function does not exist
/// or fails.
pub fn foreign(name: &str, argument: &[u8]) -> Result<Vec<u8>, Status> {
    hostcalls::call_foreign_function(name, Some(argument)).map(Option::unwrap_or_default)
}

/// Sets the interval at which Envoy calls `proxy_on_tick` for the current root.
pub fn tick_every(period: Duration) {
    let _ = hostcalls::set_tick_period(period);
}

/// Returns the plugin's configuration, as the bytes that Envoy's setting `configuration` contains.
pub fn plugin_configuration() -> Vec<u8> {
    hostcalls::get_buffer(BufferType::PluginConfiguration, 0, usize::MAX >> 1).ok().flatten().unwrap_or_default()
}

/// Returns at most `most` bytes of the request's body. If Envoy holds the body, the bytes start at the beginning of the held
/// body. If not, they start at the beginning of the part that the current callback reports.
pub fn request_body(most: usize) -> Vec<u8> {
    const REQUEST_BODY: u32 = 0;
    // SAFETY: the other arguments are plain numbers; `take` explains the rest.
    take(|data, size| unsafe { ffi::proxy_get_buffer_bytes(REQUEST_BODY, 0, most, data, size) }).unwrap_or_default()
}

/// Returns at most `most` bytes from the start of the held body of the response.
pub fn response_body(most: usize) -> Vec<u8> {
    // SAFETY: the other arguments are plain numbers; `take` explains the rest.
    take(|data, size| unsafe { ffi::proxy_get_buffer_bytes(RESPONSE_BODY, 0, most, data, size) }).unwrap_or_default()
}

/// Replaces the held body of the response. `held` is the size of the held body in bytes.
pub fn replace_response_body(held: usize, body: &[u8]) {
    // SAFETY: the pointer and the length belong to a live slice; Envoy copies the bytes.
    unsafe { ffi::proxy_set_buffer_bytes(RESPONSE_BODY, 0, held, body.as_ptr(), body.len()) };
}

/// Returns at most `most` bytes of the response to an outgoing HTTP call. They are available only in the callback for this
/// response.
pub fn call_body(most: usize) -> Vec<u8> {
    hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, most).ok().flatten().unwrap_or_default()
}

/// Starts an HTTP call through a cluster and returns its id. Returns `None` if the cluster does not exist. For a cluster without
/// healthy endpoints, the call starts, and its callback reports a failure.
pub fn call(cluster: &str, headers: &[(&str, &str)], timeout: Duration) -> Option<u32> {
    let headers = serialize(headers.iter().copied());
    let trailers = serialize([].into_iter());
    let millis = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    let mut token = 0_u32;
    // SAFETY: every pointer and its length belong to a live slice, and the body is empty; Envoy writes four bytes to the
    // last pointer, which points to a live u32.
    let status = unsafe {
        ffi::proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            headers.as_ptr(),
            headers.len(),
            null(),
            0,
            trailers.as_ptr(),
            trailers.len(),
            millis,
            &raw mut token,
        )
    };
    (status == OK).then_some(token)
}

/// Parses a serialized map. It contains the number of pairs, then the lengths of the name and the value of each pair, and then
/// all names and values. A NUL byte follows each name and each value.
pub fn pairs(block: &[u8]) -> Vec<(&[u8], &[u8])> {
    let word = |at: usize| {
        let bytes = block.get(at..at + 4)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let count = word(0).unwrap_or(0);
    let mut found = Vec::with_capacity(count.min(1_024));
    let mut at = 4 + count * 8;
    for i in 0..count {
        let (Some(name), Some(value)) = (word(4 + i * 8), word(8 + i * 8)) else { break };
        let (Some(name_bytes), Some(value_bytes)) =
            (block.get(at..at + name), block.get(at + name + 1..at + name + 1 + value))
        else {
            break;
        };
        found.push((name_bytes, value_bytes));
        at += name + value + 2;
    }
    found
}

/// Serializes header pairs in the format that [`pairs`] reads.
pub fn serialize<'h>(headers: impl ExactSizeIterator<Item = (&'h str, &'h str)> + Clone) -> Vec<u8> {
    let word = |n: usize| u32::try_from(n).unwrap_or(0).to_le_bytes();
    let mut block = Vec::with_capacity(256);
    block.extend(word(headers.len()));
    for (name, value) in headers.clone() {
        block.extend(word(name.len()));
        block.extend(word(value.len()));
    }
    for (name, value) in headers {
        block.extend(name.as_bytes());
        block.push(0);
        block.extend(value.as_bytes());
        block.push(0);
    }
    block
}

/// Calls a function of Envoy that returns a buffer. Envoy allocates the buffer with the allocator of this wasm module, so the
/// returned `Vec` owns the buffer and frees it.
fn take(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Option<Vec<u8>> {
    let mut data: *mut u8 = null_mut();
    let mut size = 0_usize;
    let status = call(&raw mut data, &raw mut size);
    if status != OK {
        return None;
    }
    if data.is_null() {
        return Some(Vec::new());
    }
    // SAFETY: Envoy allocated `size` bytes through the exported allocator, which is `Vec::with_capacity(size)`. It wrote all
    // bytes and passed the ownership with this call.
    Some(unsafe { Vec::from_raw_parts(data, size, size) })
}

const OK: u32 = 0;
/// The buffer type of the response body (proxy-wasm ABI, `proxy_buffer_type_t`).
const RESPONSE_BODY: u32 = 1;
