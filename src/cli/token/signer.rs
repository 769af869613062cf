//! Signs tokens with a developer's key: a shared secret, or a private key as JWK (RFC 7517) or PEM (RFC 5958).

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jwt_compact::alg::{Ed25519, Es256, Hs256, Hs256Key, Hs384, Hs384Key, Hs512, Hs512Key};
use jwt_compact::{Algorithm as _, AlgorithmSignature};
use p384::ecdsa::signature::{RandomizedSigner, SignatureEncoding, Signer as _};
use rsa::pkcs8::{ObjectIdentifier, PrivateKeyInfo};
use rsa::{BigUint, RsaPrivateKey};
use serde_json::Value;
use sha2::{Sha256, Sha384, Sha512};

use crate::policy::credentials::algorithm::Algorithm;
use crate::policy::credentials::jwks::KeySet;

/// A key that signs with one algorithm.
pub struct Signer {
    key: SigningKey,
    alg: Algorithm,
}

enum SigningKey {
    Secret(Vec<u8>),
    Rsa(Box<RsaPrivateKey>),
    /// The private scalar of an EC key, or the seed of an Ed25519 key.
    Scalar(Vec<u8>),
}

impl Signer {
    /// Returns a signer with a shared secret. The secret must have the minimum strength that the filter requires.
    pub fn from_secret(secret: &[u8], alg: Algorithm) -> Result<Signer, String> {
        if !alg.is_symmetric() {
            return Err(format!("{} needs a private key, not a secret", alg.name()));
        }
        let set = KeySet::from_secret(secret).map_err(|weak| weak.to_string())?;
        if set.candidates(None, alg).next().is_none() {
            return Err(format!("a secret of {} bytes is too short for {}", secret.len(), alg.name()));
        }
        Ok(Signer { key: SigningKey::Secret(secret.to_vec()), alg })
    }

    /// Returns a signer with a private key in JWK or PEM form, and the `kid` of the key if present.
    pub fn from_file(text: &str, alg: Algorithm) -> Result<(Signer, Option<String>), String> {
        let (kind, key, kid) = if text.trim_start().starts_with('{') { from_jwk(text)? } else { from_pem(text)? };
        if kind != kind_for(alg) {
            return Err(format!("{} needs a key of type {}, but this key has type {kind}", alg.name(), kind_for(alg)));
        }
        match key {
            SigningKey::Secret(secret) => Signer::from_secret(&secret, alg).map(|signer| (signer, kid)),
            key => Ok((Signer { key, alg }, kid)),
        }
    }

    /// Returns the signature of a message in the form of a JWS (RFC 7518 §3).
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        match &self.key {
            SigningKey::Secret(secret) => Ok(match self.alg {
                Algorithm::Hs384 => Hs384.sign(&Hs384Key::new(secret), message).as_bytes().into_owned(),
                Algorithm::Hs512 => Hs512.sign(&Hs512Key::new(secret), message).as_bytes().into_owned(),
                _ => Hs256.sign(&Hs256Key::new(secret), message).as_bytes().into_owned(),
            }),
            SigningKey::Rsa(key) => Ok(rsa_signature(self.alg, key, message)),
            SigningKey::Scalar(scalar) => curve_signature(self.alg, scalar, message),
        }
    }
}

fn rsa_signature(alg: Algorithm, key: &RsaPrivateKey, message: &[u8]) -> Vec<u8> {
    let key = key.clone();
    let random = &mut rsa::rand_core::OsRng;
    match alg {
        Algorithm::Rs384 => rsa::pkcs1v15::SigningKey::<Sha384>::new(key).sign(message).to_vec(),
        Algorithm::Rs512 => rsa::pkcs1v15::SigningKey::<Sha512>::new(key).sign(message).to_vec(),
        Algorithm::Ps256 => rsa::pss::SigningKey::<Sha256>::new(key).sign_with_rng(random, message).to_vec(),
        Algorithm::Ps384 => rsa::pss::SigningKey::<Sha384>::new(key).sign_with_rng(random, message).to_vec(),
        Algorithm::Ps512 => rsa::pss::SigningKey::<Sha512>::new(key).sign_with_rng(random, message).to_vec(),
        _ => rsa::pkcs1v15::SigningKey::<Sha256>::new(key).sign(message).to_vec(),
    }
}

fn curve_signature(alg: Algorithm, scalar: &[u8], message: &[u8]) -> Result<Vec<u8>, String> {
    let malformed = |_| "the key's private part is malformed".to_string();
    match alg {
        Algorithm::Es384 => {
            let key = p384::ecdsa::SigningKey::from_slice(scalar).map_err(malformed)?;
            let signature: p384::ecdsa::Signature = key.sign(message);
            Ok(signature.to_vec())
        }
        Algorithm::Es512 => {
            let key = p521::ecdsa::SigningKey::from_slice(scalar).map_err(malformed)?;
            let signature: p521::ecdsa::Signature = key.sign_with_rng(&mut rsa::rand_core::OsRng, message);
            Ok(signature.to_vec())
        }
        Algorithm::EdDsa => {
            let seed: [u8; 32] =
                scalar.try_into().map_err(|_| "the private part of an Ed25519 key must have 32 bytes".to_string())?;
            let key = <Ed25519 as jwt_compact::Algorithm>::SigningKey::from_bytes(&seed);
            Ok(Ed25519.sign(&key, message).as_bytes().into_owned())
        }
        _ => {
            let key = <Es256 as jwt_compact::Algorithm>::SigningKey::from_slice(scalar).map_err(malformed)?;
            Ok(Es256.sign(&key, message).as_bytes().into_owned())
        }
    }
}

/// Returns the key type that an algorithm needs: the curve if the key type has one, otherwise the `kty`.
fn kind_for(alg: Algorithm) -> &'static str {
    match alg {
        Algorithm::Es256 => "P-256",
        Algorithm::Es384 => "P-384",
        Algorithm::Es512 => "P-521",
        Algorithm::EdDsa => "Ed25519",
        _ if alg.is_symmetric() => "oct",
        _ => "RSA",
    }
}

fn from_jwk(text: &str) -> Result<(String, SigningKey, Option<String>), String> {
    let jwk: Value = serde_json::from_str(text).map_err(|fault| format!("not a JWK: {fault}"))?;
    let member = |name: &str| jwk.get(name).and_then(Value::as_str);
    let bytes = |name: &str| {
        let text = member(name).ok_or_else(|| format!("the JWK has no `{name}`: a private key is needed"))?;
        URL_SAFE_NO_PAD.decode(text).map_err(|_| format!("`{name}` is not base64url"))
    };
    let number = |name: &str| bytes(name).map(|bytes| BigUint::from_bytes_be(&bytes));
    let kind = match member("kty") {
        Some("RSA" | "oct") => member("kty"),
        _ => member("crv"),
    };
    let kind = kind.ok_or("not a JWK: it has no `kty` or `crv`")?;
    let key = match kind {
        "oct" => SigningKey::Secret(bytes("k")?),
        "RSA" => {
            let primes = vec![number("p")?, number("q")?];
            let key = RsaPrivateKey::from_components(number("n")?, number("e")?, number("d")?, primes);
            SigningKey::Rsa(Box::new(key.map_err(|fault| format!("not an RSA key: {fault}"))?))
        }
        _ => SigningKey::Scalar(bytes("d")?),
    };
    Ok((kind.to_string(), key, member("kid").map(str::to_string)))
}

fn from_pem(text: &str) -> Result<(String, SigningKey, Option<String>), String> {
    let hint = "expected a JWK or PEM with `BEGIN PRIVATE KEY` (openssl pkcs8 -topk8 -nocrypt makes one)";
    let body = text.split_once("-----BEGIN PRIVATE KEY-----").and_then(|(_, rest)| rest.split_once("-----END"));
    let body: String = body.ok_or(hint)?.0.split_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|_| "the PEM text is not base64")?;
    let info = PrivateKeyInfo::try_from(der.as_slice()).map_err(|fault| format!("not PKCS#8: {fault}"))?;
    let key = info.private_key;
    let curve = info.algorithm.parameters_oid().ok();
    match (info.algorithm.oid, curve) {
        (RSA, _) => {
            let key = RsaPrivateKey::try_from(info).map_err(|fault| format!("not an RSA key: {fault}"))?;
            Ok(("RSA".to_string(), SigningKey::Rsa(Box::new(key)), None))
        }
        // The key is an OCTET STRING of 32 bytes inside another OCTET STRING (RFC 8410 §7).
        (ED25519, _) => {
            let seed = key.strip_prefix(&[4, 32]).ok_or("not an Ed25519 key")?;
            Ok(("Ed25519".to_string(), SigningKey::Scalar(seed.to_vec()), None))
        }
        (EC, Some(curve)) => {
            let known = CURVES.iter().find(|(oid, _, _)| *oid == curve);
            let (_, name, length) = known.ok_or("only the curves P-256, P-384 and P-521 are used in tokens")?;
            let scalar = ec_scalar(key, *length).ok_or("not an EC private key")?;
            Ok(((*name).to_string(), SigningKey::Scalar(scalar.to_vec()), None))
        }
        _ => Err("keys of this type cannot sign tokens".to_string()),
    }
}

/// Extracts the scalar of `ECPrivateKey ::= SEQUENCE { version INTEGER 1, privateKey OCTET STRING, … }` (RFC 5915 §3).
fn ec_scalar(der: &[u8], length: usize) -> Option<&[u8]> {
    let inner = der.strip_prefix(&[0x30])?;
    let (length_byte, inner) = inner.split_first()?;
    // In DER, the byte 0x81 announces a length of 128 to 255 in the next byte. No key of these curves is longer.
    let inner = if *length_byte == 0x81 { inner.split_first()?.1 } else { inner };
    let (octets, inner) = inner.strip_prefix(&[2, 1, 1, 4])?.split_first()?;
    inner.split_at_checked(length).filter(|_| usize::from(*octets) == length).map(|(scalar, _)| scalar)
}

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const CURVES: [(ObjectIdentifier, &str, usize); 3] = [
    (ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"), "P-256", 32),
    (ObjectIdentifier::new_unwrap("1.3.132.0.34"), "P-384", 48),
    (ObjectIdentifier::new_unwrap("1.3.132.0.35"), "P-521", 66),
];
