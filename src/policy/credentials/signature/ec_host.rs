//! ECDSA keys in the filter.
//!
//! Envoy verifies these signatures: the curves in pure Rust would make the module half as large again, and Envoy compiles it at
//! every start.

use crate::policy::credentials::algorithm::Curve;

/// A public point, checked to be on its curve ([`super::curve`]).
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

    /// Always returns `false`: a host without `verify_signature` (Envoy before 1.30) accepts no ECDSA token.
    pub fn verify(&self, _signing_input: &[u8], _signature: &[u8]) -> bool {
        false
    }
}
