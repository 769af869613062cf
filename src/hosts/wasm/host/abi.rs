//! The proxy-wasm callbacks of the module. Each callback calls a function in `worker.rs`.
//!
//! Envoy calls every callback that a module exports, and each call costs time. The `proxy_wasm` crate exports all callbacks of
//! the ABI, so Envoy would make seven calls for a request instead of four. `make wasm` therefore removes the exports of the crate
//! (test-harness/pack). It exports the functions in this file under their ABI names instead, such as `portcullis_on_log` as
//! `proxy_on_log`.

use super::super::worker;

/// Called when Envoy creates a root or a request. A root has the `parent` 0.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_context_create(context: u32, parent: u32) {
    worker::create(context, parent);
}

/// Called when Envoy configures a root. If the function returns `false`, Envoy rejects the configuration.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_configure(root: u32, _size: usize) -> bool {
    worker::configure(root)
}

/// Called when the timer of a root fires.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_tick(root: u32) {
    worker::tick(root);
}

/// Called when an HTTP call of a root received a response or failed.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_http_call_response(root: u32, call: u32, _headers: usize, _body: usize, _trailers: usize) {
    worker::handle_response(root, call);
}

/// Called when a gRPC call of a root received a response message.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_grpc_receive(root: u32, call: u32, size: usize) {
    worker::handle_message(root, call, Ok(size));
}

/// Called when a gRPC call of a root ended without a response message.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_grpc_close(root: u32, call: u32, status: u32) {
    worker::handle_message(root, call, Err(status));
}

/// Called when the request's headers have arrived.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_request_headers(context: u32, _count: usize, end: bool) -> u32 {
    worker::handle_request_headers(context, end) as u32
}

/// Called when a part of the request's body has arrived.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_request_body(context: u32, size: usize, end: bool) -> u32 {
    worker::stream(context).handle_request_body(size, end) as u32
}

/// Called when the request's trailers have arrived.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_request_trailers(context: u32, _count: usize) -> u32 {
    worker::stream(context).handle_request_trailers() as u32
}

/// Called when the response's headers have arrived.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_response_headers(context: u32, _count: usize, end: bool) -> u32 {
    worker::stream(context).handle_response_headers(end) as u32
}

/// Called when a part of the response's body has arrived.
#[cfg(feature = "response-body")]
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_response_body(context: u32, size: usize, end: bool) -> u32 {
    worker::stream(context).handle_response_body(size, end) as u32
}

/// Called when the response's trailers have arrived.
#[cfg(feature = "response-body")]
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_response_trailers(context: u32, _count: usize) -> u32 {
    worker::stream(context).handle_response_trailers() as u32
}

/// Called when the request has ended. This is the last callback of a request. Envoy calls it for every request, even for a
/// request that it could not parse.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_log(context: u32) {
    worker::end(context);
}
