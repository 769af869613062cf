//! Loads the configuration of the filter, in the same way in every host.

use crate::config::source;
use crate::gateway::Gateway;
use crate::policy::Policy;

/// Parses and compiles a configuration. Its form depends on the host (envoy-facts §2.1, §5.16). Secrets are environment variables
/// of the process, or of the VM for wasm.
///
/// # Errors
/// Returns one line for each problem.
pub fn load(bytes: &[u8]) -> Result<Policy, Vec<String>> {
    let node = source::read(bytes).map_err(|fault| vec![fault])?;
    let environment = |name: &str| std::env::var(name).ok();
    Policy::from_node(&node, &environment).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// Returns the log line for a new configuration.
pub fn active(bytes: &[u8], gateway: &Gateway) -> String {
    let (documents, routes) = (gateway.polled().plans().count(), gateway.policy().routes().len());
    let fingerprint = fingerprint(bytes);
    format!("policy {fingerprint:016x} is active: {routes} routes, {documents} polled documents")
}

/// Returns the log line for a problem of a refused configuration.
pub fn refused(problem: &str) -> String {
    format!("configuration refused: {problem}")
}

/// Computes an FNV-1a hash of the configuration, which shows in the log whether two workers have the same configuration. It
/// offers no security.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
