//! Portcullis: an Envoy HTTP filter that decides about requests, and the tools that explain its decisions.

pub mod config;
pub mod policy;
pub mod strict_json;

#[cfg(not(target_family = "wasm"))]
pub mod cli;

#[cfg(target_os = "wasi")]
mod filter;

/// Where Envoy enters: run once in each VM before anything else (proxy-wasm ABI, `_initialize`).
#[cfg(target_os = "wasi")]
mod entry {
    proxy_wasm::main! {{
        crate::filter::start();
    }}
}
