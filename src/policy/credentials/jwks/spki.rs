//! Encodes public keys as SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), the format that Envoy requires.

use crate::policy::credentials::algorithm::Curve;
use crate::policy::credentials::signature::der;

/// Encodes an RSA key from two big-endian numbers (RFC 3279 §2.3.1).
pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let numbers = der::sequence(&[&der::unsigned_integer(modulus), &der::unsigned_integer(exponent)]);
    der::sequence(&[&der::sequence(&[RSA_ENCRYPTION, NULL]), &der::bit_string(&numbers)])
}

/// Encodes an EC key from an uncompressed point (RFC 5480 §2).
pub(super) fn elliptic_curve(curve: Curve, point: &[u8]) -> Vec<u8> {
    let curve = match curve {
        Curve::P256 => SECP256R1,
        Curve::P384 => SECP384R1,
        Curve::P521 => SECP521R1,
    };
    der::sequence(&[&der::sequence(&[EC_PUBLIC_KEY, curve]), &der::bit_string(point)])
}

/// The DER form of the object identifier 1.2.840.113549.1.1.1 (rsaEncryption).
const RSA_ENCRYPTION: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const NULL: &[u8] = &[0x05, 0];
/// The DER form of the object identifier 1.2.840.10045.2.1 (id-ecPublicKey).
const EC_PUBLIC_KEY: &[u8] = &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// The DER form of the object identifier 1.2.840.10045.3.1.7 (secp256r1).
const SECP256R1: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// The DER form of the object identifier 1.3.132.0.34 (secp384r1).
const SECP384R1: &[u8] = &[0x06, 5, 0x2b, 0x81, 0x04, 0x00, 0x22];
/// The DER form of the object identifier 1.3.132.0.35 (secp521r1).
const SECP521R1: &[u8] = &[0x06, 5, 0x2b, 0x81, 0x04, 0x00, 0x23];
