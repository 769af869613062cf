//! The hosts. A host passes the callbacks of a proxy to the gateway as events, and performs the returned commands.

#[cfg(target_os = "wasi")]
pub mod wasm;
