//! ECDSA keys in the filter.
//!
//! Envoy verifies ECDSA signatures. An implementation in pure Rust would make the module 50% larger and so slow down every start
//! of Envoy, which compiles the module.

use crate::policy::credentials::algorithm::Curve;

/// The curve of a public key. [`super::curve`] checks that the point is on the curve.
#[derive(Clone)]
pub struct EcKey(Curve);

impl EcKey {
    /// Creates a key from these coordinates. Envoy reads them from the key's SubjectPublicKeyInfo.
    pub fn new(curve: Curve, _x: &[u8], _y: &[u8]) -> Option<EcKey> {
        Some(EcKey(curve))
    }

    /// Returns the curve of the key.
    pub fn curve(&self) -> Curve {
        self.0
    }

    /// Always returns `false`. So ECDSA tokens are refused on a host without `verify_signature` (Envoy before 1.30).
    pub fn verify(&self, _signing_input: &[u8], _signature: &[u8]) -> bool {
        false
    }
}
