//! Parses public keys and shared secrets, and limits each key to the algorithms that the key supports.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_compact::Algorithm as JwtAlgorithm;
use jwt_compact::alg::{Ed25519, Hs512Key};
use jwt_compact::jwk::JsonWebKey;
use serde_json::Value;

#[cfg(feature = "dynamic-module")]
use super::prepared::PreparedKey;
use super::{KeySource, MIN_SECRET_BYTES, spki};
use crate::policy::credentials::algorithm::{Algorithm, Curve};
use crate::policy::credentials::signature::der::without_leading_zeros;
use crate::policy::credentials::signature::ec::EcKey;
use crate::policy::credentials::signature::rsa::{BadRsaKey, RsaKey};
use crate::policy::credentials::signature::{curve, rsa};

/// A verification key. Its `Debug` output shows the kind of key, but no key bytes.
#[derive(Clone)]
pub struct VerifyingKey {
    kid: Option<String>,
    alg: Option<Algorithm>,
    material: Material,
    spki: Option<Box<[u8]>>,
    #[cfg(feature = "dynamic-module")]
    prepared: PreparedKey,
}

/// The key material, in the form that the signature verification uses.
#[derive(Clone)]
pub(in crate::policy) enum Material {
    Rsa(RsaKey),
    Ec(EcKey),
    Ed25519(<Ed25519 as JwtAlgorithm>::VerifyingKey),
    /// The secret for HS256, HS384 and HS512. `Hs512Key` accepts secrets of every length, and overwrites the secret when dropped.
    Secret(Hs512Key),
}

impl VerifyingKey {
    /// Parses one element of the array `keys`.
    pub(super) fn from_jwk(jwk: &Value, source: KeySource) -> Result<VerifyingKey, SkipReason> {
        if !jwk.is_object() {
            return Err(SkipReason::NotAnObject);
        }
        let kty = required_text(jwk, "kty")?;
        let kid = text(jwk, "kid")?.map(str::to_owned);
        checks_signatures(jwk)?;
        let alg = match text(jwk, "alg")? {
            Some(name) => Some(Algorithm::from_name(name).ok_or_else(|| SkipReason::UnknownAlgorithm(name.into()))?),
            None => None,
        };
        if kty != "oct" && PRIVATE_MEMBERS.iter().any(|name| jwk.get(name).is_some()) {
            return Err(SkipReason::PrivateKey);
        }
        let (material, spki) = match kty {
            "RSA" => rsa_key(jwk)?,
            "EC" => elliptic_curve(jwk)?,
            "OKP" => octet_key_pair(jwk)?,
            "oct" if source == KeySource::Remote => return Err(SkipReason::PublishedSecret),
            "oct" => shared_secret(jwk)?,
            other => return Err(SkipReason::UnknownKeyType(other.into())),
        };
        if let Some(alg) = alg.filter(|alg| !material.fits(*alg)) {
            return Err(SkipReason::AlgorithmMismatch(alg));
        }
        Ok(VerifyingKey { kid, alg, spki: spki.map(Vec::into_boxed_slice), ..VerifyingKey::new(material) })
    }

    pub(super) fn from_secret(secret: Hs512Key) -> VerifyingKey {
        VerifyingKey::new(Material::Secret(secret))
    }

    fn new(material: Material) -> VerifyingKey {
        VerifyingKey {
            kid: None,
            alg: None,
            material,
            spki: None,
            #[cfg(feature = "dynamic-module")]
            prepared: PreparedKey::default(),
        }
    }

    /// Returns the key id; `None` if the key has no `kid`.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Returns `true` if this key may verify signatures of `alg`. The key's type, curve and `alg` member must match.
    pub fn fits(&self, alg: Algorithm) -> bool {
        self.alg.is_none_or(|own| own == alg) && self.material.fits(alg)
    }

    /// Returns an RSA or EC key as a DER SubjectPublicKeyInfo, the format that Envoy requires; `None` for other keys.
    pub fn spki_der(&self) -> Option<&[u8]> {
        self.spki.as_deref()
    }

    /// Returns the form of the key that the verifier of a host prepares at its first use. All clones of the key share it.
    #[cfg(feature = "dynamic-module")]
    pub(crate) fn prepared(&self) -> &PreparedKey {
        &self.prepared
    }

    pub(in crate::policy) fn material(&self) -> &Material {
        &self.material
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.material {
            Material::Rsa(_) => "RSA",
            Material::Ec(_) => "EC",
            Material::Ed25519(_) => "Ed25519",
            Material::Secret(_) => "oct",
        };
        f.debug_struct("VerifyingKey").field("kid", &self.kid).field("alg", &self.alg).field("kind", &kind).finish()
    }
}

impl Material {
    fn fits(&self, alg: Algorithm) -> bool {
        match alg {
            Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 => matches!(self, Material::Rsa(_)),
            Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 => matches!(self, Material::Rsa(_)),
            Algorithm::Es256 => matches!(self, Material::Ec(key) if key.curve() == Curve::P256),
            Algorithm::Es384 => matches!(self, Material::Ec(key) if key.curve() == Curve::P384),
            Algorithm::Es512 => matches!(self, Material::Ec(key) if key.curve() == Curve::P521),
            Algorithm::EdDsa => matches!(self, Material::Ed25519(_)),
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => match (self, alg.hash()) {
                (Material::Secret(secret), Some(hash)) => secret.as_ref().len() >= hash.output_bytes(),
                _ => false,
            },
        }
    }
}

/// The reason why a key of a key set is skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipReason {
    /// The key is not a JSON object.
    NotAnObject,
    /// A member is missing, has a wrong type or length, or is not strict base64url. Contains the name of the member.
    BadMember(&'static str),
    /// The `kty` is not supported. Contains its value.
    UnknownKeyType(String),
    /// The `crv` is not supported for its `kty`. Contains the value of `crv`.
    UnknownCurve(String),
    /// The `alg` is not a supported signature algorithm.
    UnknownAlgorithm(String),
    /// The `alg` does not match the key type.
    AlgorithmMismatch(Algorithm),
    /// `use` or `key_ops` exclude verification (RFC 7517 §4.2, §4.3).
    NotForVerifying,
    /// The key contains private members, so everyone who can read the key set can sign tokens.
    PrivateKey,
    /// The key is symmetric, and the key set is published.
    PublishedSecret,
    /// The symmetric key is too short. Contains its length in bytes.
    WeakSecret(usize),
    /// The RSA modulus is too short or too long. Contains its length in bits.
    RsaSize(usize),
    /// The RSA modulus is even, or the exponent is even, 1, or too large.
    RsaNumbers,
    /// The point is not on the curve, or the point has a small order.
    BadPoint,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SkipReason::NotAnObject => f.write_str("the key is not an object"),
            SkipReason::BadMember(name) => write!(f, "member `{name}` is missing or malformed"),
            SkipReason::UnknownKeyType(kty) => write!(f, "unknown key type `{}`", kty.escape_debug()),
            SkipReason::UnknownCurve(crv) => write!(f, "unknown curve `{}`", crv.escape_debug()),
            SkipReason::UnknownAlgorithm(alg) => write!(f, "unknown signature algorithm `{}`", alg.escape_debug()),
            SkipReason::AlgorithmMismatch(alg) => write!(f, "algorithm `{alg}` does not fit the key"),
            SkipReason::NotForVerifying => f.write_str("`use` or `key_ops` do not allow verifying signatures"),
            SkipReason::PrivateKey => f.write_str("the key contains private members: publish only the public members"),
            SkipReason::PublishedSecret => f.write_str("a symmetric key must not be published in a key set"),
            SkipReason::WeakSecret(bytes) => {
                write!(f, "the symmetric key has {bytes} bytes, but at least {MIN_SECRET_BYTES} are required")
            }
            SkipReason::RsaSize(bits) => {
                write!(f, "the RSA key has {bits} bits, but only {} to {} are accepted", rsa::MIN_BITS, rsa::MAX_BITS)
            }
            SkipReason::RsaNumbers => f.write_str("`n` and `e` are not a valid RSA modulus and exponent"),
            SkipReason::BadPoint => f.write_str("the key is not a usable point of its curve"),
        }
    }
}

type ParsedKey = Result<(Material, Option<Vec<u8>>), SkipReason>;

/// Parses an RSA key (RFC 7518 §6.3.1). Leading zero bytes are removed, because some issuers write a zero byte before the
/// modulus, as the RFC warns.
fn rsa_key(jwk: &Value) -> ParsedKey {
    let (n, e) = (octets(jwk, "n")?, octets(jwk, "e")?);
    let (n, e) = (without_leading_zeros(&n), without_leading_zeros(&e));
    let key = RsaKey::new(n, e).map_err(|fault| match fault {
        BadRsaKey::Size(bits) => SkipReason::RsaSize(bits),
        BadRsaKey::Numbers => SkipReason::RsaNumbers,
    })?;
    Ok((Material::Rsa(key), Some(spki::rsa(n, e))))
}

/// Parses an EC key (RFC 7518 §6.2.1). Both coordinates must have the full length of the curve's field.
fn elliptic_curve(jwk: &Value) -> ParsedKey {
    let (curve, coordinate_bytes) = match required_text(jwk, "crv")? {
        "P-256" => (Curve::P256, 32),
        "P-384" => (Curve::P384, 48),
        "P-521" => (Curve::P521, 66),
        other => return Err(SkipReason::UnknownCurve(other.into())),
    };
    let (x, y) = (octets(jwk, "x")?, octets(jwk, "y")?);
    for (name, coordinate) in [("x", &x), ("y", &y)] {
        if coordinate.len() != coordinate_bytes {
            return Err(SkipReason::BadMember(name));
        }
    }
    if !curve::has_point(curve, &x, &y) {
        return Err(SkipReason::BadPoint);
    }
    let point = [&[UNCOMPRESSED], x.as_slice(), y.as_slice()].concat();
    let key = EcKey::new(curve, &x, &y).ok_or(SkipReason::BadPoint)?;
    Ok((Material::Ec(key), Some(spki::elliptic_curve(curve, &point))))
}

/// Parses an Ed25519 key (RFC 8037 §2).
fn octet_key_pair(jwk: &Value) -> ParsedKey {
    match required_text(jwk, "crv")? {
        "Ed25519" => {}
        other => return Err(SkipReason::UnknownCurve(other.into())),
    }
    let x = octets(jwk, "x")?;
    if x.len() != ED25519_BYTES {
        return Err(SkipReason::BadMember("x"));
    }
    let public = JsonWebKey::KeyPair { curve: "Ed25519".into(), x: x.into(), secret: None };
    let key = <Ed25519 as JwtAlgorithm>::VerifyingKey::try_from(&public).map_err(|_| SkipReason::BadPoint)?;
    // With a key of small order, one signature is valid for many messages.
    if key.is_weak() { Err(SkipReason::BadPoint) } else { Ok((Material::Ed25519(key), None)) }
}

/// Parses a symmetric key (RFC 7518 §6.4).
fn shared_secret(jwk: &Value) -> ParsedKey {
    let secret = Hs512Key::new(octets(jwk, "k")?);
    match secret.as_ref().len() {
        bytes if bytes < MIN_SECRET_BYTES => Err(SkipReason::WeakSecret(bytes)),
        _ => Ok((Material::Secret(secret), None)),
    }
}

fn checks_signatures(jwk: &Value) -> Result<(), SkipReason> {
    if text(jwk, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err(SkipReason::NotForVerifying);
    }
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().any(|operation| operation == "verify") => Ok(()),
        Some(Value::Array(_)) => Err(SkipReason::NotForVerifying),
        Some(_) => Err(SkipReason::BadMember("key_ops")),
    }
}

fn text<'j>(jwk: &'j Value, name: &'static str) -> Result<Option<&'j str>, SkipReason> {
    jwk.get(name).map(|value| value.as_str().ok_or(SkipReason::BadMember(name))).transpose()
}

fn required_text<'j>(jwk: &'j Value, name: &'static str) -> Result<&'j str, SkipReason> {
    text(jwk, name)?.ok_or(SkipReason::BadMember(name))
}

/// Decodes base64url (RFC 7515 §2). Refuses padding, white space, and unused bits in the last character that are not zero.
fn octets(jwk: &Value, name: &'static str) -> Result<Vec<u8>, SkipReason> {
    URL_SAFE_NO_PAD.decode(required_text(jwk, name)?).map_err(|_| SkipReason::BadMember(name))
}

/// The private members of EC, RSA and OKP keys (RFC 7518 §6.2.2 and §6.3.2, RFC 8037 §2).
const PRIVATE_MEMBERS: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];

/// The length of an Ed25519 public key (RFC 8032 §5.1.5).
const ED25519_BYTES: usize = 32;

/// The first byte of an uncompressed point (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 4;
