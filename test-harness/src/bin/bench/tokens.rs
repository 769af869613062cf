//! Mints many tokens that differ only in `jti`, and signs them with the keys of the test issuer.

use anyhow::{Result, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use rsa::rand_core::OsRng;
use rsa::signature::{RandomizedSigner, SignatureEncoding, Signer};
use serde_json::{Value, json};
use sha2::Sha256;
use test_harness::clock;
use test_harness::keys::Key;

/// A signature algorithm of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 bits.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSASSA-PSS with SHA-256, 2048 bits.
    Ps256,
    /// HMAC with SHA-256.
    Hs256,
}

impl Algorithm {
    /// All algorithms, in the order of the tables.
    pub const ALL: [Self; 5] = [Self::Rs256, Self::Es256, Self::EdDsa, Self::Ps256, Self::Hs256];

    /// Returns the `alg` value of the algorithm.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Ps256 => "PS256",
            Self::Hs256 => "HS256",
        }
    }

    /// Returns the `kid` of the test issuer's key for the algorithm.
    pub fn kid(self) -> &'static str {
        match self {
            Self::Rs256 => "rsa-1",
            Self::Es256 => "p256-1",
            Self::EdDsa => "ed-1",
            Self::Ps256 => "rsa-2",
            Self::Hs256 => "hs-1",
        }
    }

    /// Returns the `iss` of tokens. HS256, which uses a shared secret, has another issuer than the algorithms with public keys.
    pub fn issuer(self) -> &'static str {
        if self == Self::Hs256 { SHARED_ISSUER } else { PUBLIC_ISSUER }
    }

    /// Returns the verification key as a JWK with `alg`. For HS256, this is the shared secret.
    pub fn jwk(self) -> Result<Value> {
        if self == Self::Hs256 {
            let secret = URL_SAFE_NO_PAD.encode(SECRET);
            return Ok(json!({ "kty": "oct", "kid": self.kid(), "alg": self.name(), "k": secret }));
        }
        let mut jwk = Key::named(self.kid())?.public();
        if let Some(members) = jwk.as_object_mut() {
            members.insert("alg".to_owned(), json!(self.name()));
        }
        Ok(jwk)
    }
}

/// Mints the tokens with the numbers `from..to`. Each token is valid for one day.
pub fn mint(algorithm: Algorithm, from: usize, to: usize) -> Result<Vec<String>> {
    // RSA signing is slow, so two threads share the work.
    let middle = from.midpoint(to);
    std::thread::scope(|scope| {
        let first = scope.spawn(move || mint_in_process(algorithm, SCOPES, from, middle));
        let mut rest = mint_in_process(algorithm, SCOPES, middle, to)?;
        let Ok(first) = first.join() else { bail!("the signing thread panicked") };
        let mut tokens = first?;
        tokens.append(&mut rest);
        Ok(tokens)
    })
}

/// Mints a valid token without the scope that the routes require.
pub fn without_scope(algorithm: Algorithm) -> Result<String> {
    Ok(mint_in_process(algorithm, &["orders:list"], 0, 1)?.concat())
}

/// Returns the token with one bit of its signature flipped.
pub fn forged(token: &str) -> Result<String> {
    let Some((signed, signature)) = token.rsplit_once('.') else { bail!("the token has no dots") };
    let mut signature = URL_SAFE_NO_PAD.decode(signature)?;
    if let Some(byte) = signature.get_mut(20) {
        *byte ^= 1;
    }
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn mint_in_process(algorithm: Algorithm, scopes: &[&str], from: usize, to: usize) -> Result<Vec<String>> {
    let signer = PreparedKey::new(algorithm)?;
    // Tokens that are signed with a shared secret have no `kid`.
    let kid = (algorithm != Algorithm::Hs256).then(|| algorithm.kid());
    let mut header = json!({ "alg": algorithm.name(), "typ": "JWT" });
    if let (Some(members), Some(kid)) = (header.as_object_mut(), kid) {
        members.insert("kid".to_owned(), json!(kid));
    }
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    let now = clock::unix_seconds();
    let token = |number: usize| {
        let claims = json!({
            "iss": algorithm.issuer(), "aud": AUDIENCE, "iat": now, "exp": now + 86_400, "jti": format!("t-{number:08}"),
            "sub": "user-7d9f31", "org_id": "org-5521", "user_id": "user-7d9f31", "email": "ada@example.com",
            "role": "editor", "scopes": scopes,
        });
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = signer.sign(signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    };
    (from..to).map(token).collect()
}

/// A prepared signing key. It is prepared only once, because preparing it for each token would be slow.
enum PreparedKey {
    Rs256(rsa::pkcs1v15::SigningKey<Sha256>),
    Es256(p256::ecdsa::SigningKey),
    EdDsa(ed25519_compact::SecretKey),
    Ps256(rsa::pss::SigningKey<Sha256>),
    Hs256(Hmac<Sha256>),
}

impl PreparedKey {
    fn new(algorithm: Algorithm) -> Result<Self> {
        let key = || Key::named(algorithm.kid());
        Ok(match algorithm {
            Algorithm::Rs256 => Self::Rs256(rsa::pkcs1v15::SigningKey::new(key()?.rsa()?)),
            Algorithm::Ps256 => Self::Ps256(rsa::pss::SigningKey::new(key()?.rsa()?)),
            Algorithm::Es256 => Self::Es256(p256::ecdsa::SigningKey::from_slice(&key()?.bytes("d")?)?),
            Algorithm::EdDsa => {
                let seed = ed25519_compact::Seed::from_slice(&key()?.bytes("d")?)?;
                Self::EdDsa(ed25519_compact::KeyPair::from_seed(seed).sk)
            }
            Algorithm::Hs256 => Self::Hs256(<Hmac<Sha256> as Mac>::new_from_slice(SECRET.as_bytes())?),
        })
    }

    fn sign(&self, text: &[u8]) -> Result<Vec<u8>> {
        Ok(match self {
            Self::Rs256(key) => key.try_sign(text)?.to_vec(),
            Self::Ps256(key) => key.try_sign_with_rng(&mut OsRng, text)?.to_vec(),
            Self::Es256(key) => {
                let signature: p256::ecdsa::Signature = key.try_sign(text)?;
                signature.to_vec()
            }
            Self::EdDsa(key) => key.sign(text, None).to_vec(),
            Self::Hs256(mac) => mac.clone().chain_update(text).finalize().into_bytes().to_vec(),
        })
    }
}

/// The audience that every variant requires.
pub const AUDIENCE: &str = "bench-api";
/// The scope that every protected route requires.
pub const SCOPE: &str = "orders:read";
/// The shared secret of the HS256 issuer. It is a string, because the filter reads the secret from an environment variable.
pub const SECRET: &str = "bench-only-secret-0123456789abcdef-0123456789abcdef";
const SCOPES: &[&str] = &["orders:list", SCOPE, "orders:write"];
const PUBLIC_ISSUER: &str = "https://issuer.bench.test";
const SHARED_ISSUER: &str = "https://shared.bench.test";
