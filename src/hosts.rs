//! The hosts: each translates the callbacks of one Envoy extension interface into events, and commands into its calls.

#[cfg(target_os = "wasi")]
pub mod wasm;
