//! Verifies RSA and ECDSA signatures with AWS-LC in the process of Envoy, and all others in Rust.
//!
//! Decision 8 has the measurements. AWS-LC is faster for RSA and ECDSA, and slower for Ed25519. For HMAC the difference is
//! below one microsecond.

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use aws_lc_rs::signature as aws_lc;
use aws_lc_rs::signature::{ParsedPublicKey, VerificationAlgorithm};

use crate::policy::credentials::algorithm::Algorithm;
use crate::policy::credentials::jwks::VerifyingKey;
use crate::policy::credentials::signature::{SignatureVerifier, SoftwareVerifier};

/// Verifies signatures with AWS-LC where it is faster, and with [`SoftwareVerifier`] otherwise. Both have the same verdicts.
#[derive(Clone, Copy, Debug, Default)]
pub struct NativeVerifier;

impl SignatureVerifier for NativeVerifier {
    fn verify(&self, key: &VerifyingKey, alg: Algorithm, signing_input: &[u8], signature: &[u8]) -> bool {
        // AWS-LC must not see a key of another family: the key and the algorithm of a token are independent inputs.
        if !key.fits(alg) {
            return false;
        }
        match NativeKey::of(key).and_then(|native| native.parsed(key, alg)) {
            Some(parsed) => parsed.verify_sig(signing_input, signature).is_ok(),
            None => SoftwareVerifier.verify(key, alg, signing_input, signature),
        }
    }
}

/// A key as AWS-LC parses it, once for each algorithm: AWS-LC binds a parsed key to an algorithm, but a JWK may have several.
#[derive(Default)]
struct NativeKey([OnceLock<Option<ParsedPublicKey>>; ALGORITHMS]);

impl NativeKey {
    fn of(key: &VerifyingKey) -> Option<&NativeKey> {
        key.prepared().get_or_prepare(NativeKey::default)
    }

    /// Returns the key for this algorithm. Returns `None` if [`SoftwareVerifier`] must verify the signature: for EdDSA and HS*,
    /// and for a key that AWS-LC does not accept.
    fn parsed(&self, key: &VerifyingKey, alg: Algorithm) -> Option<&ParsedPublicKey> {
        let (place, native) = native_algorithm(alg)?;
        let parse = || ParsedPublicKey::new(native, key.spki_der()?).ok();
        self.0.get(place)?.get_or_init(parse).as_ref()
    }
}

/// Returns AWS-LC's name for an algorithm, and the place of the algorithm in [`NativeKey`]. Returns `None` if the code in Rust
/// verifies the algorithm.
fn native_algorithm(alg: Algorithm) -> Option<(usize, &'static dyn VerificationAlgorithm)> {
    Some(match alg {
        Algorithm::Rs256 => (0, &aws_lc::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => (1, &aws_lc::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => (2, &aws_lc::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => (3, &aws_lc::RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => (4, &aws_lc::RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => (5, &aws_lc::RSA_PSS_2048_8192_SHA512),
        // An EC key has one curve, and therefore only one algorithm.
        Algorithm::Es256 => (0, &aws_lc::ECDSA_P256_SHA256_FIXED),
        Algorithm::Es384 => (0, &aws_lc::ECDSA_P384_SHA384_FIXED),
        Algorithm::Es512 => (0, &aws_lc::ECDSA_P521_SHA512_FIXED),
        Algorithm::EdDsa | Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => return None,
    })
}

/// The number of algorithms that an RSA key supports.
const ALGORITHMS: usize = 6;
