//! Safe wrappers for Envoy's host calls: the only file that names `proxy_wasm` functions, and the only one with `unsafe`.
//!
//! Frequent calls do not use the wrappers of the `proxy_wasm` crate. Those wrappers allocate more memory. They also panic on an
//! unexpected status or byte, which would stop the worker's VM (envoy-facts §0.7, §0.8). The wrappers in this file return a
//! fallback value instead.

#![expect(unsafe_code, reason = "the host hands over raw pointers; every block says why it is sound")]

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

/// The header map of a call (proxy-wasm ABI, `proxy_map_type_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Map {
    /// Request headers.
    Request = 0,
    /// Request trailers.
    RequestTrailers = 1,
    /// Response headers.
    Response = 2,
    /// Response headers of an HTTP call, available only in the callback of the call.
    CallResponse = 6,
}

/// The arguments of a local reply. The fields are borrowed, because the host copies them.
#[derive(Clone, Copy, Debug)]
pub struct LocalReply<'a> {
    /// HTTP status.
    pub status: u16,
    /// Response code details, without spaces.
    pub details: &'a str,
    /// Header pairs, already serialised by [`serialize`].
    pub headers: &'a [u8],
    /// The body, or the message for a gRPC client.
    pub body: &'a [u8],
    /// gRPC status, or -1 for none.
    pub grpc_status: i32,
}

/// Enables logging through the crate's logger.
pub fn start() {
    proxy_wasm::set_log_level(LogLevel::Info);
}

/// Returns the time since the Unix epoch.
pub fn now() -> Duration {
    let mut nanos = 0_u64;
    // SAFETY: the host writes eight bytes to the pointer, which points to a live u64.
    unsafe { ffi::proxy_get_current_time_nanoseconds(&raw mut nanos) };
    Duration::from_nanos(nanos)
}

/// Returns all pairs of a map as one serialized block for [`pairs`]; empty if the map no longer exists.
pub fn map(map: Map) -> Vec<u8> {
    // SAFETY: `take` explains what the host does with the two pointers.
    take(|data, size| unsafe { ffi::proxy_get_header_map_pairs(map as u32, data, size) }).unwrap_or_default()
}

/// Returns the first value of a header; `None` if it is absent or the map no longer exists.
pub fn header(map: Map, name: &str) -> Option<Vec<u8>> {
    // SAFETY: the name is a live slice; `take` explains the rest.
    take(|data, size| unsafe { ffi::proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), data, size) })
}

/// Replaces all headers of this name with one header. Returns `false` if the map no longer exists.
pub fn set_header(map: Map, name: &str, value: &[u8]) -> bool {
    // SAFETY: both pointers and lengths belong to live slices; the host copies the bytes.
    unsafe {
        ffi::proxy_replace_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len()) == OK
    }
}

/// Adds a header and keeps existing headers of the same name.
pub fn add_header(map: Map, name: &str, value: &[u8]) -> bool {
    // SAFETY: both pointers and lengths belong to live slices; the host copies the bytes.
    unsafe { ffi::proxy_add_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len()) == OK }
}

/// Removes all headers of this name.
pub fn remove_header(map: Map, name: &str) -> bool {
    // SAFETY: the pointer and the length belong to a live slice.
    unsafe { ffi::proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) == OK }
}

/// Returns a property. NUL separates the parts of the path. Envoy does not distinguish empty from absent values (envoy-facts
/// §2.8).
pub fn property(path: &str) -> Option<Vec<u8>> {
    // SAFETY: the path is a live slice; `take` explains the rest.
    take(|data, size| unsafe { ffi::proxy_get_property(path.as_ptr(), path.len(), data, size) })
}

/// Returns a property that is an unsigned integer. The host writes eight bytes, least significant first (envoy-facts §3.1).
pub fn number(path: &str) -> Option<u64> {
    property(path)?.as_slice().try_into().ok().map(u64::from_le_bytes)
}

/// Sets a value in the request's filter state, under the key `wasm.` plus this name.
pub fn set_filter_state(name: &str, value: &[u8]) {
    // SAFETY: both pointers and lengths belong to live slices; the host copies the bytes.
    unsafe { ffi::proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
}

/// Returns the number of the counter with this name. Envoy creates the counter at its first use.
pub fn define_counter(name: &str) -> Option<u32> {
    const COUNTER: u32 = 0;
    let mut id = 0_u32;
    // SAFETY: the name is a live slice, and the host writes four bytes to the pointer, which points to a live u32.
    let status = unsafe { ffi::proxy_define_metric(COUNTER, name.as_ptr(), name.len(), &raw mut id) };
    (status == OK).then_some(id)
}

/// Increases a counter by one.
pub fn increment_counter(id: u32) {
    // SAFETY: the arguments are plain numbers, and the host writes nothing.
    unsafe { ffi::proxy_increment_metric(id, 1) };
}

/// Sends a local reply to the request. Returns `false` if the host refuses it.
pub fn reply(reply: &LocalReply<'_>) -> bool {
    let (details, headers, body) = (reply.details, reply.headers, reply.body);
    // SAFETY: every pointer and its length belong to a live slice; the host copies the bytes.
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

/// Resumes a paused request.
pub fn resume_request() {
    const REQUEST: u32 = 0;
    // SAFETY: the argument is a plain number, and the host writes nothing.
    unsafe { ffi::proxy_continue_stream(REQUEST) };
}

/// Selects the stream or root that the following calls apply to. Returns `false` if that stream or root no longer exists.
pub fn act_for(context_id: u32) -> bool {
    // SAFETY: the argument is a plain number, and the host writes nothing.
    unsafe { ffi::proxy_set_effective_context(context_id) == OK }
}

/// Writes one line to Envoy's log. Envoy escapes nothing (envoy-facts §3.4), so this function escapes line breaks and other
/// control characters.
pub fn log(level: LogLevel, text: &str) {
    let _ = hostcalls::log(level, &printable::one_line(text));
}

/// Calls a foreign function of Envoy. Returns the status as `Err` if the function does not exist or fails.
pub fn foreign(name: &str, argument: &[u8]) -> Result<Vec<u8>, Status> {
    hostcalls::call_foreign_function(name, Some(argument)).map(Option::unwrap_or_default)
}

/// Sets the period with which the host calls the root's `on_tick`.
pub fn tick_every(period: Duration) {
    let _ = hostcalls::set_tick_period(period);
}

/// Returns the bytes of the plugin's `configuration:`.
pub fn plugin_configuration() -> Vec<u8> {
    hostcalls::get_buffer(BufferType::PluginConfiguration, 0, usize::MAX >> 1).ok().flatten().unwrap_or_default()
}

/// Returns at most `most` bytes from the start of the request's body: of the held body, or of the part that is forwarded.
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

/// Replaces the held body of the response, which has `held` bytes.
pub fn replace_response_body(held: usize, body: &[u8]) {
    // SAFETY: the pointer and the length belong to a live slice; the host copies the bytes.
    unsafe { ffi::proxy_set_buffer_bytes(RESPONSE_BODY, 0, held, body.as_ptr(), body.len()) };
}

/// Returns at most `most` bytes of the response body of an HTTP call. The body is available only in the callback of the call.
pub fn call_body(most: usize) -> Vec<u8> {
    hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, most).ok().flatten().unwrap_or_default()
}

/// Starts an HTTP call through a cluster. Returns `None` if the cluster does not exist. For a cluster without healthy
/// endpoints, the call starts and then fails in the callback.
pub fn call(cluster: &str, headers: &[(&str, &str)], timeout: Duration) -> Option<u32> {
    let headers = serialize(headers.iter().copied());
    let trailers = serialize([].into_iter());
    let millis = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    let mut token = 0_u32;
    // SAFETY: every pointer and its length belong to a live slice, and the body is empty; the host writes four bytes to the
    // token's pointer.
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

/// Parses a serialized map: the count, the two lengths of each pair, then each name and value followed by NUL.
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

/// Runs a call that returns a buffer. The host allocates the buffer with this module's allocator, so this function owns the
/// buffer.
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
    // SAFETY: the host allocated `size` bytes through the exported allocator, which is `Vec::with_capacity(size)`, wrote all of
    // them, and passed ownership with this call.
    Some(unsafe { Vec::from_raw_parts(data, size, size) })
}

const OK: u32 = 0;
/// The number of the response body (proxy-wasm ABI, `proxy_buffer_type_t`).
const RESPONSE_BODY: u32 = 1;
