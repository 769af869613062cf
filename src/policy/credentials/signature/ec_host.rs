//! Replaces `ec.rs` in the filter, where Envoy verifies ECDSA signatures.
//!
//! An implementation in pure Rust would make the Wasm module 50% larger. Envoy compiles the module at every start, so a larger
//! module would make each start slower.

use crate::policy::credentials::algorithm::Curve;

/// The curve of a public key. [`super::curve`] checks that the point is on the curve.
#[derive(Clone)]
pub struct EcKey(Curve);

impl EcKey {
    /// Creates a key for this curve. Ignores the coordinates, because Envoy reads them from the key's SubjectPublicKeyInfo.
    pub fn new(curve: Curve, _x: &[u8], _y: &[u8]) -> Option<EcKey> {
        Some(EcKey(curve))
    }

    /// Returns the curve of the key.
    pub fn curve(&self) -> Curve {
        self.0
    }

    /// Always returns `false`. A host without `verify_signature` (Envoy before 1.30) therefore refuses all ECDSA tokens.
    pub fn verify(&self, _signing_input: &[u8], _signature: &[u8]) -> bool {
        false
    }
}
