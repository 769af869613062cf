//! The hosts: each host turns the callbacks of one Envoy extension interface into events, and performs the resulting commands.

#[cfg(target_os = "wasi")]
pub mod wasm;
