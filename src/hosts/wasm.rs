//! The proxy-wasm host: the only place that uses proxy-wasm. It makes no decision.

mod commands;
mod host;
mod limits;
mod plugin;
mod request_id;
mod stream;
mod verifier;
mod worker;

/// Called once when Envoy loads the module.
pub fn start() {
    host::start();
}
