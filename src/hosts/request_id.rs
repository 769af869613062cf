//! Creates request ids: random ids for new requests, and ids that also appear in Envoy's log for requests without a decision.

use crate::policy::request::well_formed_id;

/// Returns the id of a request that ended before the gateway decided it. `id` is the id that Envoy assigned; it is empty if Envoy
/// could not parse the request. The result then consists of the id of the connection, and of the time of the request in
/// milliseconds since the Unix epoch. With the generated configuration, Envoy's reply contains the same id.
pub fn known_id(id: &[u8], connection: u64, millis: u64) -> String {
    match well_formed_id(id) {
        Some(id) => id.to_string(),
        None => format!("connection-{connection}-{millis}"),
    }
}

/// Returns a random version 4 UUID (RFC 9562 §5.4) for a request without a usable id.
pub fn fresh_id() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    // Two hashers with random keys are unpredictable enough, because the id is not a credential.
    let word = || RandomState::new().build_hasher().finish();
    let (high, low) = (word(), word());
    let high = high & 0xffff_ffff_ffff_0fff | 0x4000;
    let low = low & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
    let hex = format!("{high:016x}{low:016x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}
