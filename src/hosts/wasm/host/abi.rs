//! The callbacks of the proxy-wasm ABI that Envoy finds in the module, each handed on to the worker's roots and requests.
//!
//! The crate exports callbacks of its own, every one of them, and Envoy calls each one it finds: seven crossings for a request
//! where four do. `make wasm` therefore keeps these, under the ABI's names (`portcullis_on_log` as `proxy_on_log`), and drops
//! the crate's (test-harness/pack).

use super::super::worker;

/// A root (`parent` is 0) or a request begins to exist.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_context_create(context: u32, parent: u32) {
    worker::create(context, parent);
}

/// A root is given its configuration.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_configure(root: u32, _size: usize) -> bool {
    worker::configure(root)
}

/// Time has passed.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_tick(root: u32) {
    worker::tick(root);
}

/// An HTTP call of a root was answered, or failed.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_http_call_response(root: u32, call: u32, _headers: usize, _body: usize, _trailers: usize) {
    worker::handle_response(root, call);
}

/// A gRPC call of a root was answered.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_grpc_receive(root: u32, call: u32, size: usize) {
    worker::handle_message(root, call, Ok(size));
}

/// A gRPC call of a root ended without an answer.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_grpc_close(root: u32, call: u32, status: u32) {
    worker::handle_message(root, call, Err(status));
}

/// The headers of a request are there.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_request_headers(context: u32, _count: usize, end: bool) -> u32 {
    worker::handle_request_headers(context, end) as u32
}

/// A part of its body is there.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_request_body(context: u32, size: usize, end: bool) -> u32 {
    worker::stream(context).handle_request_body(size, end) as u32
}

/// Its trailers are there.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_request_trailers(context: u32, _count: usize) -> u32 {
    worker::stream(context).handle_request_trailers() as u32
}

/// The headers of its response are there.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_response_headers(context: u32, _count: usize, _end: bool) -> u32 {
    worker::stream(context).handle_response_headers() as u32
}

/// The request has ended: the last that is heard of it, and the one callback that comes for every request.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_log(context: u32) {
    worker::end(context);
}
