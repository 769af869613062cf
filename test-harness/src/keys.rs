//! The fixed key pairs of the test issuer, which are public and must not be trusted outside the harness.

use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::BigUint;
use rsa::pkcs8::{EncodePublicKey, LineEnding};
use serde_json::{Map, Value, json};

/// A key of the test issuer. Its `kid` identifies it.
#[derive(Debug, Clone, Copy)]
pub struct Key(&'static Map<String, Value>);

impl Key {
    /// Finds a key in `test-harness/keys/test-only.jwks.json`.
    pub fn named(kid: &str) -> Result<Self> {
        let named = |key: &&'static Value| key.get("kid").and_then(Value::as_str) == Some(kid);
        match keys()?.iter().find(named).and_then(Value::as_object) {
            Some(key) => Ok(Self(key)),
            None => bail!("no test key `{kid}`; the test keys are: {}", names()?.join(", ")),
        }
    }

    /// Returns the `kid` of the key.
    pub fn kid(self) -> &'static str {
        self.text("kid").unwrap_or_default()
    }

    /// Returns the default signing algorithm of the key.
    pub fn usual_algorithm(self) -> &'static str {
        match (self.text("kty"), self.text("crv")) {
            (Ok("RSA"), _) => "RS256",
            (_, Ok("P-256")) => "ES256",
            (_, Ok("P-384")) => "ES384",
            (_, Ok("P-521")) => "ES512",
            (_, Ok("Ed25519")) => "EdDSA",
            _ => "HS256",
        }
    }

    /// Returns the public key as a JWK.
    pub fn public(self) -> Value {
        let public =
            |(name, value): (&String, &Value)| PUBLIC.contains(&name.as_str()).then(|| (name.clone(), value.clone()));
        Value::Object(self.0.iter().filter_map(public).collect())
    }

    /// Returns the bytes of a base64url member, such as `d` or `k`.
    pub fn bytes(self, member: &str) -> Result<Vec<u8>> {
        Ok(URL_SAFE_NO_PAD.decode(self.text(member)?)?)
    }

    /// Returns the RSA private key.
    pub fn rsa(self) -> Result<rsa::RsaPrivateKey> {
        let number = |member| Ok::<_, anyhow::Error>(BigUint::from_bytes_be(&self.bytes(member)?));
        let primes = vec![number("p")?, number("q")?];
        Ok(rsa::RsaPrivateKey::from_components(number("n")?, number("e")?, number("d")?, primes)?)
    }

    /// Returns the bytes that an attacker would use as an HMAC secret. For an `oct` key, this is the secret itself. For an RSA
    /// key, it is the public key in PEM form. For other keys, it is the member `x` of the public key.
    pub fn as_hmac_secret(self) -> Result<Vec<u8>> {
        match self.text("kty")? {
            "oct" => self.bytes("k"),
            "RSA" => Ok(self.rsa()?.to_public_key().to_public_key_pem(LineEnding::LF)?.into_bytes()),
            _ => self.bytes("x"),
        }
    }

    fn text(self, member: &str) -> Result<&'static str> {
        self.0.get(member).and_then(Value::as_str).with_context(|| format!("the test key has no member `{member}`"))
    }
}

/// Returns a JWK set with the public part of each of these keys.
pub fn key_set(kids: &[impl AsRef<str>]) -> Result<Value> {
    let keys: Result<Vec<_>> = kids.iter().map(|kid| Ok(Key::named(kid.as_ref())?.public())).collect();
    Ok(json!({ "keys": keys? }))
}

/// Returns the names of all test keys, including those that are never published.
pub fn names() -> Result<Vec<&'static str>> {
    Ok(keys()?.iter().filter_map(|key| key.get("kid").and_then(Value::as_str)).collect())
}

fn keys() -> Result<&'static [Value]> {
    static FILE: OnceLock<Option<Value>> = OnceLock::new();
    let file = FILE.get_or_init(|| serde_json::from_str(include_str!("../keys/test-only.jwks.json")).ok());
    let keys = file.as_ref().and_then(|file| file.get("keys")).and_then(Value::as_array);
    Ok(keys.context("keys/test-only.jwks.json is not a key set")?)
}

/// The public members of a JWK (RFC 7518 §6).
const PUBLIC: [&str; 9] = ["kid", "use", "alg", "kty", "crv", "x", "y", "n", "e"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_key_contains_nothing_secret() {
        for name in names().unwrap() {
            let public = Key::named(name).unwrap().public();
            for secret in ["d", "p", "q", "dp", "dq", "qi", "k"] {
                assert!(public.get(secret).is_none(), "{name} publishes `{secret}`");
            }
        }
    }

    #[test]
    fn an_unknown_key_is_named_with_those_there_are() {
        let error = Key::named("rsa-9").unwrap_err().to_string();
        assert!(error.contains("`rsa-9`") && error.contains("rsa-1"), "{error}");
    }
}
