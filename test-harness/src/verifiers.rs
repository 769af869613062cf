//! Verifies each signature in Rust and with the library of the dynamic module, and requires that both have the same verdict.

use portcullis::hosts::dynamic_module::NativeVerifier;
use portcullis::policy::credentials::algorithm::Algorithm;
use portcullis::policy::credentials::jwks::VerifyingKey;
use portcullis::policy::credentials::signature::{SignatureVerifier, SoftwareVerifier};

/// Verifies with both verifiers. Every native test uses it, so that each of their tokens compares the verdicts.
#[derive(Clone, Copy, Debug, Default)]
pub struct BothVerifiers;

impl SignatureVerifier for BothVerifiers {
    /// # Panics
    /// Panics if the verdicts differ.
    fn verify(&self, key: &VerifyingKey, alg: Algorithm, signing_input: &[u8], signature: &[u8]) -> bool {
        let software = SoftwareVerifier.verify(key, alg, signing_input, signature);
        let native = NativeVerifier.verify(key, alg, signing_input, signature);
        assert_eq!(software, native, "{key:?}, {alg}, {}: {signature:02x?}", signing_input.escape_ascii());
        software
    }
}
