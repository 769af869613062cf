//! The Envoy side: reads bytes from the host, asks the core, and applies what it says. No decision is made here.

mod body;
mod exchange;
mod host;
mod limits;
mod peer;
mod polling;
mod quotas;
mod record;
mod request_id;
mod root;
mod stream;
mod target;
mod verifier;
mod waiting;
mod worker;

/// Called once when Envoy loads the module.
pub fn start() {
    host::start();
}
