//! The host for Envoy's dynamic modules: shared libraries that Envoy 1.38 and newer loads into its process.
//!
//! No other module uses this interface, and this module decides nothing about requests. There is no sandbox: a memory error in
//! this module can crash Envoy. Only `envoy.rs` and the files in `envoy` contain `unsafe` code.
//!
//! # Threads
//!
//! - Envoy's main thread loads configurations (`shared_plugin.rs`), fetches polled documents and makes all outgoing calls (`main_thread.rs`).
//! - Each worker thread has its own gateway for a plugin (`worker.rs`). All gateways use the same compiled policy.
//! - One thread of the module wakes the main thread and the workers, because Envoy has no timer for filters (`ticker.rs`).

mod clock;
mod commands;
mod envoy;
mod mailbox;
mod main_thread;
mod plugin;
mod properties;
mod shared;
mod shared_plugin;
mod stream;
mod ticker;
mod verifier;
mod worker;

pub use verifier::NativeVerifier;
