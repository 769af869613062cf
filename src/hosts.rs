//! The hosts. A host passes the callbacks of Envoy to the gateway as events, and performs the commands that the gateway returns.

#[cfg(target_os = "wasi")]
pub mod wasm;
