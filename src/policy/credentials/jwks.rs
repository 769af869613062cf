//! A set of verification keys, parsed from an issuer's JWK Set (RFC 7517) or made from a shared secret.
//!
//! An unusable key is skipped, and the reason is reported. The other keys remain usable.

use std::fmt;

use jwt_compact::alg::Hs512Key;
use serde_json::Value;

use super::algorithm::Algorithm;
use crate::strict_json;
use crate::strict_json::Malformed;

#[cfg(feature = "dynamic-module")]
mod prepared;
mod spki;
mod verifying_key;

pub(in crate::policy) use verifying_key::Material;
pub use verifying_key::{SkipReason, VerifyingKey};

/// Verification keys, in the order in which the issuer lists them.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: Vec<VerifyingKey>,
}

impl KeySet {
    /// Parses a JWK Set. A JWK Set without usable keys gives an empty key set, not an error.
    ///
    /// # Errors
    /// Returns an error if the document is too large, has too many keys, is not JSON, or is not a JWK Set.
    pub fn parse(document: &[u8], source: KeySource) -> Result<(KeySet, Vec<SkippedKey>), JwksError> {
        if document.len() > MAX_BYTES {
            return Err(JwksError::TooLarge(document.len()));
        }
        let document = strict_json::parse(document).map_err(JwksError::Malformed)?;
        let listed = document.get("keys").and_then(Value::as_array).ok_or(JwksError::NoKeys)?;
        if listed.len() > MAX_KEYS {
            return Err(JwksError::TooManyKeys(listed.len()));
        }
        let (mut set, mut skipped) = (KeySet::default(), Vec::new());
        for (index, jwk) in listed.iter().enumerate() {
            match VerifyingKey::from_jwk(jwk, source) {
                Ok(key) => set.keys.push(key),
                Err(reason) => {
                    let kid = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
                    skipped.push(SkippedKey { index, kid, reason });
                }
            }
        }
        Ok((set, skipped))
    }

    /// Creates a key set from a shared secret: for HS256, and for HS384 and HS512 if the secret is long enough. The secret must
    /// be at least as long as the hash output (RFC 7518 §3.2).
    ///
    /// # Errors
    /// Returns an error if the secret is too short for HS256.
    pub fn from_secret(secret: &[u8]) -> Result<KeySet, WeakSecret> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(WeakSecret { bytes: secret.len() });
        }
        Ok(KeySet { keys: vec![VerifyingKey::from_secret(Hs512Key::new(secret))] })
    }

    /// Returns the keys that may have made a signature with this `alg` and `kid`. The key's type, curve and `alg` member must
    /// match.
    ///
    /// A key without a `kid` is a candidate for every token. Keys with the requested `kid` come first, because a verification
    /// tries only a limited number of keys.
    pub fn candidates<'k>(&'k self, kid: Option<&str>, alg: Algorithm) -> impl Iterator<Item = &'k VerifyingKey> {
        let named = self.keys.iter().filter(move |key| kid.is_some() && key.kid() == kid);
        let unnamed = self.keys.iter().filter(move |key| kid.is_none() || key.kid().is_none());
        named.chain(unnamed).filter(move |key| key.fits(alg))
    }

    /// Iterates over all usable keys.
    pub fn iter(&self) -> impl Iterator<Item = &VerifyingKey> {
        self.keys.iter()
    }

    /// Returns `true` if a key has exactly this `kid`. If no key has this `kid`, a newer key set may contain one.
    pub fn has_kid(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid() == Some(kid))
    }

    /// Returns the number of usable keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Returns `true` if the set has no usable key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// The origin of a key set, which determines the allowed key types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySource {
    /// Published by an issuer. Symmetric keys are not allowed, because a published key is not secret.
    Remote,
    /// Written in the configuration. Symmetric keys are allowed, but private keys are not.
    Inline,
}

/// An unusable key of a key set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedKey {
    /// The index of the key in `keys`.
    pub index: usize,
    /// The `kid` of the key, if present.
    pub kid: Option<String>,
    /// The reason why the key is unusable.
    pub reason: SkipReason,
}

impl fmt::Display for SkippedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keys[{}]", self.index)?;
        if let Some(kid) = &self.kid {
            write!(f, " (kid `{}`)", kid.escape_debug())?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// The reason why a document is not a key set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwksError {
    /// The document is larger than [`MAX_BYTES`]. Contains its size in bytes.
    TooLarge(usize),
    /// The key set has more than [`MAX_KEYS`] keys. Contains the number of keys.
    TooManyKeys(usize),
    /// The document is not valid JSON.
    Malformed(Malformed),
    /// The document is not an object with an array named `keys` (RFC 7517 §5).
    NoKeys,
}

impl fmt::Display for JwksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JwksError::TooLarge(bytes) => {
                write!(f, "the key set has {bytes} bytes, but at most {MAX_BYTES} are accepted")
            }
            JwksError::TooManyKeys(keys) => {
                write!(f, "the key set has {keys} keys, but at most {MAX_KEYS} are accepted")
            }
            JwksError::Malformed(fault) => write!(f, "the key set cannot be parsed: {fault}"),
            JwksError::NoKeys => f.write_str("the key set has no array `keys`"),
        }
    }
}

impl std::error::Error for JwksError {}

/// A shared secret that is too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeakSecret {
    /// The length of the secret in bytes.
    pub bytes: usize,
}

impl fmt::Display for WeakSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the secret has {} bytes, but at least {MIN_SECRET_BYTES} are required", self.bytes)
    }
}

impl std::error::Error for WeakSecret {}

/// The maximum size of a key set in bytes. Large public providers stay below 20 KiB.
pub const MAX_BYTES: usize = 256 * 1024;

/// The maximum number of keys in a set.
pub const MAX_KEYS: usize = 100;

/// The minimum length of a secret for HS256 (RFC 7518 §3.2).
pub const MIN_SECRET_BYTES: usize = 32;

#[cfg(test)]
mod tests;
