//! Verifies token signatures with Envoy's cryptography if possible, and in pure Rust otherwise.

use std::borrow::Cow;

use jwt_compact::alg::{Ed25519, Hs256, Hs256Key, Hs384, Hs384Key, Hs512};
use jwt_compact::{Algorithm as JwtAlgorithm, AlgorithmSignature};
use sha2::{Digest, Sha256};

use super::{
    algorithm::Algorithm,
    jwks::{Material, VerifyingKey},
};

pub(in crate::policy) mod curve;
pub(in crate::policy) mod der;
#[cfg_attr(target_os = "wasi", path = "signature/ec_host.rs")]
pub(in crate::policy) mod ec;
pub(in crate::policy) mod rsa;
#[cfg(test)]
pub(crate) mod tests;

use self::rsa::{RsaHash, RsaScheme};

/// Returns an identifier for a token: the first half of the SHA-256 of the signing input. The signature is excluded, because
/// anyone can change an ECDSA signature (r, s) to the equally valid signature (r, n - s) without the key (SEC 1 §4.1.4).
pub fn fingerprint(signing_input: &[u8]) -> u128 {
    let digest = Sha256::digest(signing_input);
    digest.iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// Verifies signatures. The wasm module uses Envoy's implementation for the algorithms that Envoy supports. The dynamic module
/// uses AWS-LC for RSA and ECDSA. Both use [`SoftwareVerifier`] for all others, and the tools use only [`SoftwareVerifier`].
pub trait SignatureVerifier {
    /// Returns `true` if `key` made `signature` over `signing_input` with `alg`. A key that does not support `alg` never
    /// matches.
    ///
    /// `signature` is the decoded JWS signature (RFC 7518 §3): for ECDSA, r followed by s. A false positive lets anyone
    /// impersonate any caller; a false negative refuses a valid caller.
    fn verify(&self, key: &VerifyingKey, alg: Algorithm, signing_input: &[u8], signature: &[u8]) -> bool;
}

/// Verifies signatures in pure Rust. In the filter, it accepts no ECDSA signatures, because Envoy verifies them.
#[derive(Debug, Clone, Copy, Default)]
pub struct SoftwareVerifier;

impl SignatureVerifier for SoftwareVerifier {
    fn verify(&self, key: &VerifyingKey, alg: Algorithm, signing_input: &[u8], signature: &[u8]) -> bool {
        if !key.fits(alg) {
            return false;
        }
        match key.material() {
            Material::Rsa(key) => rsa_scheme(alg).is_some_and(|scheme| key.verify(scheme, signing_input, signature)),
            Material::Ec(key) => key.verify(signing_input, signature),
            Material::Ed25519(key) => by_jwt_compact(&Ed25519, key, signing_input, signature),
            Material::Secret(secret) => match alg {
                Algorithm::Hs256 => by_jwt_compact(&Hs256, &Hs256Key::new(secret), signing_input, signature),
                Algorithm::Hs384 => by_jwt_compact(&Hs384, &Hs384Key::new(secret), signing_input, signature),
                Algorithm::Hs512 => by_jwt_compact(&Hs512, secret, signing_input, signature),
                _ => false,
            },
        }
    }
}

/// Returns the RSA signature scheme of an algorithm (RFC 7518 §3.3 and §3.5); `None` for algorithms of other keys.
fn rsa_scheme(alg: Algorithm) -> Option<RsaScheme> {
    Some(match alg {
        Algorithm::Rs256 => RsaScheme::Pkcs1(RsaHash::Sha256),
        Algorithm::Rs384 => RsaScheme::Pkcs1(RsaHash::Sha384),
        Algorithm::Rs512 => RsaScheme::Pkcs1(RsaHash::Sha512),
        Algorithm::Ps256 => RsaScheme::Pss(RsaHash::Sha256),
        Algorithm::Ps384 => RsaScheme::Pss(RsaHash::Sha384),
        Algorithm::Ps512 => RsaScheme::Pss(RsaHash::Sha512),
        _ => return None,
    })
}

/// Verifies a signature with jwt-compact. The length is checked first, because `try_from_slice` may panic if the length of
/// the signature is not the length that the algorithm requires.
fn by_jwt_compact<A: JwtAlgorithm>(alg: &A, key: &A::VerifyingKey, signing_input: &[u8], signature: &[u8]) -> bool {
    A::Signature::LENGTH.is_none_or(|length| length.get() == signature.len())
        && A::Signature::try_from_slice(signature)
            .is_ok_and(|signature| alg.verify_signature(&signature, key, signing_input))
}

/// The arguments of Envoy's foreign function `verify_signature`, except the signing input (envoy-facts §1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRequest<'a> {
    /// The name of the hash function in Envoy.
    pub hash: &'static str,
    /// The public key as a DER SubjectPublicKeyInfo.
    pub spki: &'a [u8],
    /// The signature. An ECDSA signature is converted to DER.
    pub signature: Cow<'a, [u8]>,
}

/// Returns the arguments for Envoy's verification. Returns `None` if Envoy cannot or need not verify the signature: for PS*,
/// EdDSA and HS*, for a key that does not support `alg`, and for a malformed signature. [`SoftwareVerifier`] handles these
/// cases.
///
/// Envoy would accept an EC key for an RS256 token, so this function checks that the key and the algorithm match (envoy-facts
/// §1.2).
pub fn host_request<'a>(key: &'a VerifyingKey, alg: Algorithm, signature: &'a [u8]) -> Option<HostRequest<'a>> {
    if !key.fits(alg) {
        return None;
    }
    let signature = match (alg, key.material()) {
        (Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512, Material::Rsa(key))
            if signature.len() == key.signature_bytes() =>
        {
            Cow::Borrowed(signature)
        }
        (Algorithm::Es256, _) if signature.len() == P256_BYTES => Cow::Owned(ecdsa_to_der(signature)?),
        (Algorithm::Es384, _) if signature.len() == P384_BYTES => Cow::Owned(ecdsa_to_der(signature)?),
        (Algorithm::Es512, _) if signature.len() == P521_BYTES => Cow::Owned(ecdsa_to_der(signature)?),
        _ => return None,
    };
    Some(HostRequest { hash: alg.hash()?.name(), spki: key.spki_der()?, signature })
}

/// Converts a JWS signature r‖s (RFC 7518 §3.4) to a DER ECDSA-Sig-Value (RFC 3279 §2.2.3).
///
/// Returns `None` if the length is wrong for P-256, P-384 and P-521, or if r or s is zero.
pub fn ecdsa_to_der(raw: &[u8]) -> Option<Vec<u8>> {
    if !matches!(raw.len(), P256_BYTES | P384_BYTES | P521_BYTES) {
        return None;
    }
    let (r, s) = raw.split_at_checked(raw.len() / 2)?;
    let is_zero = |number: &[u8]| number.iter().all(|byte| *byte == 0);
    if is_zero(r) || is_zero(s) {
        return None;
    }
    Some(der::sequence(&[&der::unsigned_integer(r), &der::unsigned_integer(s)]))
}

const P256_BYTES: usize = 64;
const P384_BYTES: usize = 96;
const P521_BYTES: usize = 132;
