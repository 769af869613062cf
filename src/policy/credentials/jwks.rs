//! A set of keys to check tokens with, read from an issuer's JWK Set (RFC 7517) or from one shared secret.
//!
//! One key that cannot be used never costs the others: it is skipped, with the reason.

use std::fmt;

use jwt_compact::alg::Hs512Key;
use serde_json::Value;

use super::algorithm::Algorithm;
use crate::strict_json;
use crate::strict_json::Malformed;

mod spki;
mod verifying_key;

pub(in crate::policy) use verifying_key::Material;
pub use verifying_key::{SkipReason, VerifyingKey};

/// Keys that can check signatures, in the order in which the issuer lists them.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: Vec<VerifyingKey>,
}

impl KeySet {
    /// Reads a JWK Set; a set of which no key is usable is still a set, an empty one.
    ///
    /// # Errors
    /// The text is too long, holds too many keys, is not JSON, or is not a JWK Set.
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

    /// One shared secret for HS256, and for HS384 and HS512 where it is long enough: the key has at least the size of the
    /// hash's output (RFC 7518 §3.2).
    ///
    /// # Errors
    /// The secret is shorter than HS256 allows.
    pub fn from_secret(secret: &[u8]) -> Result<KeySet, WeakSecret> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(WeakSecret { bytes: secret.len() });
        }
        Ok(KeySet { keys: vec![VerifyingKey::from_secret(Hs512Key::new(secret))] })
    }

    /// The keys that may have made a signature by `alg` under this `kid`: kty, crv and the key's own `alg` must fit.
    ///
    /// A key that has no `kid` of its own cannot be told from the wanted one, so it is a candidate whatever the token says;
    /// keys that bear the wanted one come first, so that however many others cannot crowd them out.
    pub fn candidates<'k>(&'k self, kid: Option<&str>, alg: Algorithm) -> impl Iterator<Item = &'k VerifyingKey> {
        let named = self.keys.iter().filter(move |key| kid.is_some() && key.kid() == kid);
        let unnamed = self.keys.iter().filter(move |key| kid.is_none() || key.kid().is_none());
        named.chain(unnamed).filter(move |key| key.fits(alg))
    }

    /// Every usable key.
    pub fn iter(&self) -> impl Iterator<Item = &VerifyingKey> {
        self.keys.iter()
    }

    /// Whether a key bears exactly this `kid`; if none does, a fresher set may.
    pub fn has_kid(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid() == Some(kid))
    }

    /// How many keys can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no token can be checked with this set.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// Who wrote the set, and so what may stand in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySource {
    /// Published by an issuer for everyone to read: a secret in it is no secret.
    Remote,
    /// Written into the configuration: may hold symmetric keys, still no private ones.
    Inline,
}

/// A key of the set that is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its position in `keys`, from 0.
    pub index: usize,
    /// Its `kid`, if it has one.
    pub kid: Option<String>,
    /// Why it is not used.
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

/// Why a text is no key set at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwksError {
    /// It has this many bytes, more than [`MAX_BYTES`].
    TooLarge(usize),
    /// It lists this many keys, more than [`MAX_KEYS`].
    TooManyKeys(usize),
    /// It cannot be read.
    Malformed(Malformed),
    /// It is not an object with an array named `keys` (RFC 7517 §5).
    NoKeys,
}

impl fmt::Display for JwksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JwksError::TooLarge(bytes) => write!(f, "key set of {bytes} bytes, at most {MAX_BYTES} are read"),
            JwksError::TooManyKeys(keys) => write!(f, "key set of {keys} keys, at most {MAX_KEYS} are read"),
            JwksError::Malformed(fault) => write!(f, "key set cannot be read: {fault}"),
            JwksError::NoKeys => f.write_str("key set has no array `keys`"),
        }
    }
}

impl std::error::Error for JwksError {}

/// A shared secret that could be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeakSecret {
    /// How long it is.
    pub bytes: usize,
}

impl fmt::Display for WeakSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secret of {} bytes, at least {MIN_SECRET_BYTES} are needed", self.bytes)
    }
}

impl std::error::Error for WeakSecret {}

/// The longest key set that is read, in bytes. Large public providers stay below 20 KiB.
pub const MAX_BYTES: usize = 256 * 1024;

/// The most keys a set may list.
pub const MAX_KEYS: usize = 100;

/// The shortest secret for HS256 (RFC 7518 §3.2).
pub const MIN_SECRET_BYTES: usize = 32;

#[cfg(test)]
mod tests;
