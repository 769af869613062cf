//! Starts gRPC calls through Envoy clusters, and reads their response messages.

use std::time::Duration;

use super::{OK, ffi, serialize, take};

/// A gRPC call with one request message and one response message.
#[derive(Clone, Copy, Debug)]
pub struct GrpcCall<'a> {
    /// The target of the call: a serialized Envoy `GrpcService` message that contains the cluster.
    pub upstream: &'a [u8],
    /// The full name of the service.
    pub service: &'a str,
    /// The name of the method.
    pub method: &'a str,
    /// The request message.
    pub message: &'a [u8],
    /// The timeout of the call.
    pub timeout: Duration,
}

/// Starts a call and returns its id. Returns `None` if Envoy cannot start the call: the cluster is unknown, has no healthy
/// endpoint, or has too many calls.
pub fn grpc_call(call: &GrpcCall<'_>) -> Option<u32> {
    let metadata = serialize([].into_iter());
    let millis = u32::try_from(call.timeout.as_millis()).unwrap_or(u32::MAX);
    let mut token = 0_u32;
    // SAFETY: every pointer and its length belong to a live slice; Envoy writes four bytes to the last pointer, which points
    // to a live u32.
    let status = unsafe {
        ffi::proxy_grpc_call(
            call.upstream.as_ptr(),
            call.upstream.len(),
            call.service.as_ptr(),
            call.service.len(),
            call.method.as_ptr(),
            call.method.len(),
            metadata.as_ptr(),
            metadata.len(),
            call.message.as_ptr(),
            call.message.len(),
            millis,
            &raw mut token,
        )
    };
    (status == OK).then_some(token)
}

/// Returns the response message of a gRPC call. Call this function only in the callback that reports the message, and pass the
/// size in bytes that the callback reported. Returns `None` if the message is longer than `most` bytes.
pub fn grpc_message(size: usize, most: usize) -> Option<Vec<u8>> {
    const GRPC_RECEIVE_BUFFER: u32 = 5;
    if size > most {
        return None;
    }
    // SAFETY: the other arguments are plain numbers; `take` explains the two pointers.
    take(|data, length| unsafe { ffi::proxy_get_buffer_bytes(GRPC_RECEIVE_BUFFER, 0, size, data, length) })
}
