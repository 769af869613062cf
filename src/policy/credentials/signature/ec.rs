//! ECDSA verification for the tools and tests, which run without Envoy: P-256, P-384 and P-521 in pure Rust.

use jwt_compact::Algorithm as JwtAlgorithm;
use jwt_compact::alg::Es256;
use jwt_compact::jwk::JsonWebKey;
use p384::ecdsa::signature::Verifier;

use super::by_jwt_compact;
use crate::policy::credentials::algorithm::Curve;

/// The point of a public key. `EcKey::new` checks that the point is on the curve.
#[derive(Clone)]
pub struct EcKey(Point);

#[derive(Clone)]
enum Point {
    P256(<Es256 as JwtAlgorithm>::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    P521(p521::ecdsa::VerifyingKey),
}

impl EcKey {
    /// Creates a key from coordinates of the curve's full length; `None` if the point is not on the curve.
    pub fn new(curve: Curve, x: &[u8], y: &[u8]) -> Option<EcKey> {
        let uncompressed = || [&[4], x, y].concat();
        let point = match curve {
            Curve::P256 => {
                let (x, y) = (x.to_vec().into(), y.to_vec().into());
                let public = JsonWebKey::EllipticCurve { curve: "P-256".into(), x, y, secret: None };
                Point::P256((&public).try_into().ok()?)
            }
            Curve::P384 => Point::P384(p384::ecdsa::VerifyingKey::from_sec1_bytes(&uncompressed()).ok()?),
            Curve::P521 => Point::P521(p521::ecdsa::VerifyingKey::from_sec1_bytes(&uncompressed()).ok()?),
        };
        Some(EcKey(point))
    }

    /// Returns the curve of the key.
    pub fn curve(&self) -> Curve {
        match self.0 {
            Point::P256(_) => Curve::P256,
            Point::P384(_) => Curve::P384,
            Point::P521(_) => Curve::P521,
        }
    }

    /// Returns `true` if `signature`, r followed by s, is a valid signature of `signing_input` by this key.
    pub fn verify(&self, signing_input: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            Point::P256(key) => by_jwt_compact(&Es256, key, signing_input, signature),
            Point::P384(key) => p384::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(signing_input, &signature).is_ok()),
            Point::P521(key) => p521::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(signing_input, &signature).is_ok()),
        }
    }
}
