//! Portcullis: an Envoy HTTP filter that authorizes requests, and the tools that explain its decisions.
//!
//! # Layout
//!
//! - [`strict_json`]: parses JSON, and validates it against JSON Schemas.
//! - [`config`]: reads the configuration document field by field. It reports all problems at once, each with its location.
//! - [`policy`]: the compiled document, and the function that decides one request. The function reads no clock, file or network:
//!   the gateway passes the time and all external data to it. `policy.rs` calls the stages in order, and each folder in `policy/`
//!   contains the code for one task, such as credentials or limits.
//! - [`gateway`]: runs a policy in one worker. The gateway handles events and returns commands. It performs no I/O.
//! - [`hosts`]: connects the gateway to Envoy, as a wasm module or as a dynamic module. A host passes events to the gateway and
//!   performs the commands that the gateway returns. It makes no decision.
//! - [`cli`]: the command line tool, on native targets only. It decides requests with the same code as the filter.
//!
//! # Invariants
//!
//! 1. A decision depends only on the policy, the request, and the external data in [`policy::world`], such as the time and the
//!    keys of issuers.
//! 2. A request that matches no route is refused. If the filter fails, the request is refused and never forwarded.
//! 3. An identity header that a client sent never reaches an upstream, on any route and in any spelling.
//! 4. A refused client receives a status, a stable code and the standard challenge. Only the audit record has the precise reason.
//! 5. A configuration with any problem has no effect: the previous policy stays active.
//! 6. If the endpoint of a key set fails, the filter continues to use the last fetched keys, but never longer than `fresh_for`
//!    plus `stale_for`.
//! 7. No input from a client, an issuer or an upstream can make the filter panic, hang or use unlimited memory.
//! 8. Every reply of the gateway to an allowed origin contains the CORS headers for that origin.
//! 9. The upstream receives no part of a request that is refused or not yet decided. If the decision depends on the body, the
//!    proxy holds the headers too.
//! 10. No log line, no response and no error message contains a token, an API key or a secret.
//! 11. The filter forwards the path that it matched against the routes. It refuses ambiguous paths before it matches routes.
//!
//! The table "What it guarantees" in the README lists the tests of each invariant.

pub mod config;
pub mod date;
pub mod gateway;
pub mod hosts;
pub mod policy;
pub mod printable;
pub mod protobuf;
pub mod strict_json;

#[cfg(all(feature = "cli", not(target_family = "wasm")))]
pub mod cli;

/// The entry point of the wasm module. Envoy calls it once in each VM before any other callback (proxy-wasm ABI, `_initialize`).
#[cfg(target_os = "wasi")]
mod entry {
    proxy_wasm::main! {{
        crate::hosts::wasm::start();
    }}
}
