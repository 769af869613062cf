//! Portcullis: an Envoy HTTP filter that authorizes requests, and the tools that explain its decisions.
//!
//! # Layout
//!
//! - [`config`]: parses the configuration document field by field. It reports all problems at once, each with its location.
//! - [`policy`]: the compiled document, and the function that decides one request. It reads no clock, file or network: the
//!   caller passes these values in. `policy.rs` lists the stages in order; each file below it holds one stage or type.
//! - [`gateway`]: runs a policy in one worker. It turns events into commands and performs no I/O.
//! - [`hosts`]: the Envoy adapter, on `wasm32-wasip1` only. It passes events to the gateway, performs its commands and makes no
//!   decision.
//! - [`cli`]: the command line, on native targets only, built on the same core.
//!
//! # Invariants
//!
//! 1. The same policy, world and request give the same verdict.
//! 2. A request that matches no route is refused. A fault in the filter refuses the request; it never forwards it.
//! 3. Identity headers sent by a client never reach an upstream, on any route, in any spelling.
//! 4. A client receives the status, a stable code and the standard challenge. Only the audit record has the precise reason.
//! 5. A configuration with any problem changes nothing: the previous policy stays active.
//! 6. A failing key endpoint never removes keys that are still usable, and never extends trust past the configured bound.
//! 7. No input from a client, an issuer or an upstream can make the filter panic, hang or grow without bound.
//! 8. Every reply that the gateway sends to an allowed origin carries its CORS headers.
//! 9. A request that is refused or undecided never reaches the upstream. This includes its headers, also when the body decides.
//! 10. No token, key or secret appears in any log, header or error.
//! 11. The path that is matched is the path that is forwarded. Ambiguous paths are refused before matching.
//!
//! The README names the test for each invariant.

pub mod config;
pub mod date;
pub mod gateway;
pub mod hosts;
pub mod policy;
pub mod printable;
pub mod protobuf;
pub mod strict_json;

#[cfg(not(target_family = "wasm"))]
pub mod cli;

/// The entry point. Envoy runs it once in each VM before any other callback (proxy-wasm ABI, `_initialize`).
#[cfg(target_os = "wasi")]
mod entry {
    proxy_wasm::main! {{
        crate::hosts::wasm::start();
    }}
}
