//! The proxy-wasm host: the only module that uses proxy-wasm.
//!
//! It makes no decision.

mod commands;
mod host;
mod limits;
mod plugin;
mod properties;
mod request_id;
mod stream;
mod verifier;
mod worker;

/// Initializes the module. Envoy calls it once after loading.
pub fn start() {
    host::start();
}
