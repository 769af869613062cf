//! Portcullis: an Envoy HTTP filter that decides about requests, and the tools that explain its decisions.
//!
//! # Where what stands
//!
//! - [`config`]: the document as an operator writes it, read field by field; every problem at once, each with its place.
//! - [`policy`]: the compiled document, and the one function that decides about one request. It reads no clock, file or network:
//!   whoever asks hands the world in. `policy.rs` has the stages in their order, the files below it one stage or noun each.
//! - `filter`: the Envoy side, on `wasm32-wasip1` only: bytes in, verdict applied, keys fetched. No decision is made there.
//! - [`cli`]: the command line, on native targets only, around the same core.
//!
//! # What always holds
//!
//! 1. Same policy, world and request: same verdict.
//! 2. What no route names is refused. A fault in the filter refuses; it never forwards.
//! 3. Identity headers sent by a client never reach an upstream, on any route, in any spelling.
//! 4. A client learns the status, a stable code and the standard challenge. The precise reason goes to the audit record only.
//! 5. A configuration with any problem changes nothing: the previous policy stays.
//! 6. A failing key endpoint never removes keys that may still be used, and never extends trust past the configured bound.
//! 7. No byte that a client, an issuer or an upstream can send makes the filter panic, hang or grow without bound.
//! 8. Every reply the gateway makes to an allowed origin carries its CORS headers.
//! 9. A request that is refused, or not decided yet, never reaches the upstream; neither do its headers, also when its body decides.
//! 10. No token, key or secret appears in any log, header or error.
//! 11. Path matched = path forwarded. Ambiguous paths are refused before matching.
//!
//! The README names the test that shows each.

pub mod config;
pub mod gateway;
pub mod hosts;
pub mod policy;
pub mod printable;
pub mod protobuf;
pub mod strict_json;

#[cfg(not(target_family = "wasm"))]
pub mod cli;

/// Where Envoy enters: run once in each VM before anything else (proxy-wasm ABI, `_initialize`).
#[cfg(target_os = "wasi")]
mod entry {
    proxy_wasm::main! {{
        crate::hosts::wasm::start();
    }}
}
