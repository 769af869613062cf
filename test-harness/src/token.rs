//! Mints tokens: valid tokens for every algorithm, and invalid tokens for every kind of forgery.

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use rsa::rand_core::OsRng;
use rsa::signature::{RandomizedSigner, SignatureEncoding, Signer};
use serde::Deserialize;
use serde_json::{Map, Number, Value, json};
use sha2::{Sha256, Sha384, Sha512};

use crate::keys::Key;

/// The description of a token.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSpec {
    /// The name of the signing key.
    pub key: String,
    /// The algorithm, if it is not the key's default. `HS256` with an asymmetric key uses the public key as the HMAC secret.
    #[serde(default)]
    pub alg: Option<String>,
    /// Claims that replace the default claims. `null` removes a default claim.
    #[serde(default)]
    pub claims: Map<String, Value>,
    /// Header members that replace the default `alg`, `kid` and `typ`. `null` removes a member.
    #[serde(default)]
    pub header: Map<String, Value>,
    /// Seconds from now to `exp`. The value can be fractional. The default is 300.
    #[serde(default)]
    pub exp_in: Option<Number>,
    /// Seconds from now to `nbf`. By default there is no `nbf`.
    #[serde(default)]
    pub nbf_in: Option<i64>,
    /// Seconds from now to `iat`. The default is 0.
    #[serde(default)]
    pub iat_in: Option<i64>,
    /// The claims as literal JSON, for JSON that a map cannot represent (duplicate members, deep nesting).
    #[serde(default)]
    pub claims_text: Option<String>,
    /// The header as literal JSON, for JSON that a map cannot represent.
    #[serde(default)]
    pub header_text: Option<String>,
    /// A change that is made to the token after signing.
    #[serde(default)]
    pub tamper: Option<Tamper>,
}

/// Changes to a signed token. Every change except [`Tamper::TwinSignature`] makes the token invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tamper {
    /// Flips one bit of the signature.
    Signature,
    /// Adds a claim after signing.
    Claims,
    /// Adds a header member after signing.
    Header,
    /// Replaces `alg` with `none` and removes the signature.
    AlgNone,
    /// Removes the signature and keeps the dot before it.
    EmptySignature,
    /// Removes the signature and the dot before it.
    TwoSegments,
    /// Adds a fourth segment.
    ExtraSegment,
    /// Pads every segment with `=`.
    Padded,
    /// Sets an unused bit in the last base64url character of the signature. Encoders leave these bits zero (RFC 4648 §3.5).
    StrayBits,
    /// Encodes the signature in the standard base64 alphabet, which uses `+` and `/`.
    PlainBase64,
    /// Encodes an ECDSA signature in ASN.1 DER instead of the fixed-width form of RFC 7518 §3.4.
    DerSignature,
    /// Changes an ECDSA signature (r, s) to (r, n - s), where n is the order of the curve. Anyone can compute the second
    /// signature, and it is also valid.
    TwinSignature,
}

impl TokenSpec {
    /// Creates the description of a valid token that is signed with `key`.
    pub fn of(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            alg: None,
            claims: Map::new(),
            header: Map::new(),
            exp_in: None,
            nbf_in: None,
            iat_in: None,
            claims_text: None,
            header_text: None,
            tamper: None,
        }
    }

    /// Adds a claim, or replaces the claim with this name.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Signs the token. `now` is the Unix time. The claims of the description replace `defaults`.
    pub fn mint(&self, now: i64, defaults: &Map<String, Value>) -> Result<String> {
        let key = Key::named(&self.key)?;
        let alg = self.alg.as_deref().unwrap_or_else(|| key.usual_algorithm());
        let mut header = object(json!({ "alg": alg, "kid": key.kid(), "typ": "JWT" }));
        overlay(&mut header, &self.header);
        let expires = after(now, self.exp_in.as_ref().unwrap_or(&300.into()));
        let times = json!({ "iat": now + self.iat_in.unwrap_or(0), "exp": expires });
        let mut claims = object(times);
        claims.extend(self.nbf_in.map(|nbf| ("nbf".to_owned(), json!(now + nbf))));
        overlay(&mut claims, defaults);
        overlay(&mut claims, &self.claims);
        let header = self.header_text.clone().unwrap_or_else(|| Value::Object(header).to_string());
        let claims = self.claims_text.clone().unwrap_or_else(|| Value::Object(claims).to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = sign(alg, key, signed.as_bytes())?;
        match self.tamper {
            None => Ok(format!("{signed}.{}", encode(signature))),
            Some(tamper) => tamper.apply([&header, &claims], alg, signature),
        }
    }
}

impl Tamper {
    fn apply(self, [header, claims]: [&str; 2], alg: &str, mut signature: Vec<u8>) -> Result<String> {
        let with = |text: &str, name: &str, value: Value| -> Result<String> {
            let mut object: Map<String, Value> = serde_json::from_str(text)?;
            object.insert(name.to_owned(), value);
            Ok(encode(Value::Object(object).to_string()))
        };
        let (head, body) = (encode(header), encode(claims));
        let unsigned = format!("{head}.{body}");
        Ok(match self {
            Self::Signature => {
                let middle = signature.len() / 2;
                *signature.get_mut(middle).context("an empty signature has no bit to flip")? ^= 1;
                format!("{unsigned}.{}", encode(signature))
            }
            Self::Claims => format!("{head}.{}.{}", with(claims, "admin", json!(true))?, encode(signature)),
            Self::Header => format!("{}.{body}.{}", with(header, "x", json!(1))?, encode(signature)),
            Self::AlgNone => format!("{}.{body}.", with(header, "alg", json!("none"))?),
            Self::EmptySignature => format!("{unsigned}."),
            Self::TwoSegments => unsigned,
            Self::ExtraSegment => format!("{unsigned}.{}.e30", encode(signature)),
            Self::Padded => {
                [header.as_bytes(), claims.as_bytes(), &signature].map(|part| URL_SAFE.encode(part)).join(".")
            }
            Self::StrayBits => {
                let encoded = encode(signature);
                let (kept, last) = encoded.split_at_checked(encoded.len().saturating_sub(1)).context("no signature")?;
                // The next character of the alphabet sets the lowest bit, which is unused in the last character of a signature.
                let stray = last.bytes().map(|byte| char::from(byte + 1)).collect::<String>();
                anyhow::ensure!(matches!(last, "A" | "Q" | "g" | "w"), "this signature has no padding bits");
                format!("{unsigned}.{kept}{stray}")
            }
            Self::PlainBase64 => format!("{unsigned}.{}", STANDARD_NO_PAD.encode(signature)),
            Self::DerSignature => format!("{unsigned}.{}", encode(der(alg, &signature)?)),
            Self::TwinSignature => format!("{unsigned}.{}", encode(twin(alg, &signature)?)),
        })
    }
}

/// Signs bytes with the algorithm `alg`. Returns an empty signature for `none`.
pub fn sign(alg: &str, key: Key, text: &[u8]) -> Result<Vec<u8>> {
    // RFC 7518 §3 defines all these algorithms except EdDSA, which RFC 8037 §3.1 defines.
    Ok(match alg {
        "none" => Vec::new(),
        "HS256" => hmac::<Hmac<Sha256>>(key, text)?,
        "HS384" => hmac::<Hmac<Sha384>>(key, text)?,
        "HS512" => hmac::<Hmac<Sha512>>(key, text)?,
        "RS256" => rsa::pkcs1v15::SigningKey::<Sha256>::new(key.rsa()?).sign(text).to_vec(),
        "RS384" => rsa::pkcs1v15::SigningKey::<Sha384>::new(key.rsa()?).sign(text).to_vec(),
        "RS512" => rsa::pkcs1v15::SigningKey::<Sha512>::new(key.rsa()?).sign(text).to_vec(),
        "PS256" => rsa::pss::SigningKey::<Sha256>::new(key.rsa()?).sign_with_rng(&mut OsRng, text).to_vec(),
        "PS384" => rsa::pss::SigningKey::<Sha384>::new(key.rsa()?).sign_with_rng(&mut OsRng, text).to_vec(),
        "PS512" => rsa::pss::SigningKey::<Sha512>::new(key.rsa()?).sign_with_rng(&mut OsRng, text).to_vec(),
        "ES256" => {
            let signature: p256::ecdsa::Signature = p256::ecdsa::SigningKey::from_slice(&key.bytes("d")?)?.sign(text);
            signature.to_vec()
        }
        "ES384" => {
            let signature: p384::ecdsa::Signature = p384::ecdsa::SigningKey::from_slice(&key.bytes("d")?)?.sign(text);
            signature.to_vec()
        }
        "ES512" => p521::ecdsa::SigningKey::from_slice(&key.bytes("d")?)?.sign(text).to_vec(),
        "EdDSA" => {
            let seed = ed25519_compact::Seed::from_slice(&key.bytes("d")?)?;
            ed25519_compact::KeyPair::from_seed(seed).sk.sign(text, None).to_vec()
        }
        other => bail!("the harness cannot sign with the algorithm `{other}`"),
    })
}

fn hmac<M: Mac + hmac::digest::KeyInit>(key: Key, text: &[u8]) -> Result<Vec<u8>> {
    let mut mac = <M as Mac>::new_from_slice(&key.as_hmac_secret()?)?;
    mac.update(text);
    Ok(mac.finalize().into_bytes().to_vec())
}

fn der(alg: &str, signature: &[u8]) -> Result<Vec<u8>> {
    Ok(match alg {
        "ES256" => p256::ecdsa::Signature::from_slice(signature)?.to_der().as_bytes().to_vec(),
        "ES384" => p384::ecdsa::Signature::from_slice(signature)?.to_der().as_bytes().to_vec(),
        other => bail!("`der-signature` is for ES256 and ES384, not `{other}`"),
    })
}

fn twin(alg: &str, signature: &[u8]) -> Result<Vec<u8>> {
    Ok(match alg {
        "ES256" => {
            let (r, s) = p256::ecdsa::Signature::from_slice(signature)?.split_scalars();
            p256::ecdsa::Signature::from_scalars(r, -s)?.to_vec()
        }
        "ES384" => {
            let (r, s) = p384::ecdsa::Signature::from_slice(signature)?.split_scalars();
            p384::ecdsa::Signature::from_scalars(r, -s)?.to_vec()
        }
        "ES512" => {
            let (r, s) = p521::ecdsa::Signature::from_slice(signature)?.split_scalars();
            p521::ecdsa::Signature::from_scalars(r, -s)?.to_vec()
        }
        other => bail!("`twin-signature` is for ECDSA, not `{other}`"),
    })
}

fn overlay(under: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (name, value) in over {
        match value {
            Value::Null => under.remove(name),
            value => under.insert(name.clone(), value.clone()),
        };
    }
}

/// Adds a span of seconds to `now`. Returns an integer unless the span has a fraction.
fn after(now: i64, span: &Number) -> Value {
    match span.as_i64() {
        Some(seconds) => json!(now + seconds),
        None => json!(now as f64 + span.as_f64().unwrap_or_default()),
    }
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(object) = value { object } else { Map::new() }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
