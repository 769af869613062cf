//! Verifies signatures in the process of Envoy.

use crate::policy::credentials::algorithm::Algorithm;
use crate::policy::credentials::jwks::VerifyingKey;
use crate::policy::credentials::signature::{SignatureVerifier, SoftwareVerifier};

/// Verifies signatures with native code.
#[derive(Clone, Copy, Debug, Default)]
pub struct NativeVerifier;

impl SignatureVerifier for NativeVerifier {
    fn verify(&self, key: &VerifyingKey, alg: Algorithm, signing_input: &[u8], signature: &[u8]) -> bool {
        SoftwareVerifier.verify(key, alg, signing_input, signature)
    }
}
