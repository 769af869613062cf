//! Portcullis: an Envoy HTTP filter that authorizes requests, and the tools that explain its decisions.
//!
//! # Layout
//!
//! - [`config`]: parses the configuration document field by field. It reports all problems at once, each with its location.
//! - [`policy`]: the compiled document, and the function that decides one request. That function reads no clock, file or network:
//!   the gateway passes the time and all external data to it. `policy.rs` lists the stages in order; each file in `policy/`
//!   contains one stage or type.
//! - [`gateway`]: runs a policy in one worker. The gateway turns events into commands and performs no I/O.
//! - [`hosts`]: the Envoy adapter, on `wasm32-wasip1` only. The adapter passes events to the gateway, performs the gateway's
//!   commands and makes no decision.
//! - [`cli`]: the command line, on native targets only. It decides with the same policy code as the filter.
//!
//! # Invariants
//!
//! 1. The verdict depends only on the policy, the request and the [`policy::world`]: the time, keys and other external data.
//! 2. A request that matches no route is refused. If the filter fails, it refuses the request and never forwards it.
//! 3. Identity headers sent by a client never reach an upstream, on any route, in any spelling.
//! 4. A client receives the status, a stable code and the standard challenge. Only the audit record has the precise reason.
//! 5. A configuration with any problem changes nothing: the previous policy stays active.
//! 6. If a key endpoint fails, usable keys stay in use, but never longer than the configured bound.
//! 7. No input from a client, an issuer or an upstream can make the filter panic, hang or grow without bound.
//! 8. Every reply that the gateway sends to an allowed origin carries the CORS headers for that origin.
//! 9. The upstream receives no part of a refused or undecided request. If the decision depends on the body, the headers wait too.
//! 10. No token, key or secret appears in any log, header or error.
//! 11. The filter forwards the same path that it matched against the routes. It refuses ambiguous paths before matching.
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

/// The entry point. Envoy calls it once in each VM before any other callback (proxy-wasm ABI, `_initialize`).
#[cfg(target_os = "wasi")]
mod entry {
    proxy_wasm::main! {{
        crate::hosts::wasm::start();
    }}
}
