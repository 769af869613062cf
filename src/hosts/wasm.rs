//! The proxy-wasm host: the only module that uses proxy-wasm.
//!
//! This module makes no decisions.

mod commands;
mod host;
mod limits;
mod plugin;
mod properties;
mod request_id;
mod stream;
mod verifier;
mod worker;

/// Initializes the wasm module. Envoy calls this function once after it loads the module.
pub fn start() {
    host::start();
}
