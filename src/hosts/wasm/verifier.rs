//! Verifies signatures with Envoy's function `verify_signature`, or with Rust code if Envoy cannot verify them.

use proxy_wasm::types::Status;

use super::host;
use crate::policy::credentials::algorithm::Algorithm;
use crate::policy::credentials::jwks::VerifyingKey;
use crate::policy::credentials::signature::{HostRequest, SignatureVerifier, SoftwareVerifier, host_request};
use crate::protobuf::put_bytes;

/// Verifies RS* and ES* signatures with Envoy's BoringSSL, which is faster than the Rust code, and all other signatures with Rust
/// code.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostVerifier;

impl SignatureVerifier for HostVerifier {
    fn verify(&self, key: &VerifyingKey, alg: Algorithm, signing_input: &[u8], signature: &[u8]) -> bool {
        // This check is needed, because Envoy checks neither the type nor the strength of a key (envoy-facts §1.2).
        if !key.fits(alg) {
            return false;
        }
        let Some(request) = host_request(key, alg, signature) else {
            return SoftwareVerifier.verify(key, alg, signing_input, signature);
        };
        match host::foreign("verify_signature", &argument(&request, signing_input)) {
            Ok(result) => result == VERIFIED,
            // Some hosts do not have this function, such as Envoy before 1.30.
            Err(Status::NotFound) => SoftwareVerifier.verify(key, alg, signing_input, signature),
            Err(_) => false,
        }
    }
}

/// Encodes `message VerifySignatureArguments { hash_function = 1; public_key = 2; signature = 3; text = 4 }` (envoy-facts §1.1).
fn argument(request: &HostRequest<'_>, text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(32 + request.spki.len() + request.signature.len() + text.len());
    for (field, bytes) in [(1, request.hash.as_bytes()), (2, request.spki), (3, request.signature.as_ref()), (4, text)]
    {
        put_bytes(&mut out, field, bytes);
    }
    out
}

/// The encoded message `VerifySignatureResult { result: true }`. Any other result means that the signature is invalid.
const VERIFIED: [u8; 2] = [0x08, 0x01];
