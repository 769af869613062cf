//! The hosts. A host passes the callbacks of a proxy to the gateway as events, and performs the returned commands.

#[cfg(any(target_os = "wasi", feature = "dynamic-module"))]
mod client_address;
#[cfg(any(target_os = "wasi", feature = "dynamic-module"))]
mod configuration;
#[cfg(any(target_os = "wasi", feature = "dynamic-module"))]
mod request_id;

#[cfg(all(feature = "dynamic-module", not(target_family = "wasm")))]
pub mod dynamic_module;
#[cfg(target_os = "wasi")]
pub mod wasm;
