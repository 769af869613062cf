//! The host for proxy-wasm, the interface between Envoy and wasm modules.
//!
//! Apart from the entry point in `lib.rs`, only this module uses proxy-wasm. It contains no policy: the
//! [`gateway`](crate::gateway) decides each request.

mod commands;
mod host;
mod limits;
mod plugin;
mod properties;
mod stream;
mod verifier;
mod worker;

/// Initializes the wasm module. Envoy calls this function once after it loads the module.
pub fn start() {
    host::start();
}
