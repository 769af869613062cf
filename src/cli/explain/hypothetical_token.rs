//! Builds tokens for simulated requests. A signature that is not real counts as valid; the filter makes all other checks.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use p384::elliptic_curve::sec1::ToEncodedPoint;
use serde_json::{Map, Value, json};

use super::published;
use crate::cli::Failure;
use crate::config::document::{Document, IssuerKeySettings, IssuerSettings, TokenSource};
use crate::policy::credentials::algorithm::Algorithm;
use crate::policy::credentials::jwks::{KeySet, KeySource, VerifyingKey};
use crate::policy::credentials::signature::{SignatureVerifier, SoftwareVerifier};
use crate::policy::polled::{DocumentKind, Polled};

/// A token, and the part of the request in which its issuer expects it.
pub struct HypotheticalToken {
    text: String,
    /// The encoded header and claims, joined with a dot (the JWS signing input). [`SignatureVerifier::verify`] accepts this
    /// input with any signature. `None` for a token whose real signature is verified.
    signing_input: Option<String>,
    source: TokenSource,
}

/// The options `--claims` and `--issuer`, from which a token is built.
#[derive(Args)]
pub struct SupposedClaims {
    /// The claims of a token that counts as validly signed, as a JSON object; iss, aud, iat and exp are added if missing
    #[arg(long, value_name = "JSON")]
    claims: Option<String>,
    /// The name of the token's issuer in the document; required if the claims have no `iss` and the document has several issuers
    #[arg(long, value_name = "NAME", requires = "claims")]
    issuer: Option<String>,
}

impl SupposedClaims {
    /// Builds the token if the user specified claims.
    pub fn token(&self, document: &Document, now: Duration) -> Result<Option<HypotheticalToken>, Failure> {
        self.claims.as_deref().map(|claims| token(document, claims, self.issuer.as_deref(), now)).transpose()
    }
}

/// Builds a token from claims in JSON. Adds `iss`, `aud`, `iat` and `exp` if they are missing, with the values of a token of this
/// issuer that is issued at `now` and valid for five minutes.
pub fn token(
    document: &Document,
    claims: &str,
    issuer: Option<&str>,
    now: Duration,
) -> Result<HypotheticalToken, Failure> {
    let mut claims: Map<String, Value> =
        serde_json::from_str(claims).map_err(|fault| format!("--claims: not a JSON object: {fault}"))?;
    let issuer = choose_issuer(document, &claims, issuer)?;
    let usual = [
        ("iss", json!(issuer.issuer.value)),
        ("aud", issuer.rules.audiences.first().map_or(Value::Null, |audience| json!(audience))),
        ("iat", json!(now.as_secs())),
        ("exp", json!(now.as_secs() + 300)),
    ];
    for (name, value) in usual {
        claims.entry(name).or_insert(value);
    }
    let typ = issuer.token_types.first().map_or("JWT", String::as_str);
    let header = json!({ "alg": algorithm(issuer)?.name(), "typ": typ });
    Ok(HypotheticalToken::build(&header, &Value::Object(claims), issuer))
}

/// Builds a token with this header and these claims; its signature counts as valid. Returns `None` if the document has no
/// issuer for the `iss` claim. Removes the `kid`, so that any key of the issuer can be used.
pub fn with_assumed_signature(document: &Document, header: &Value, claims: &Value) -> Option<HypotheticalToken> {
    let mut header = header.clone();
    header.as_object_mut().map(|members| members.remove("kid"));
    Some(HypotheticalToken::build(&header, claims, issuer_of(document, claims)?))
}

/// Wraps a real token, whose signature the filter verifies. Returns `None` if the document has no issuer for the `iss` claim.
pub fn with_real_signature(document: &Document, token: &str, claims: &Value) -> Option<HypotheticalToken> {
    let source = source_of(issuer_of(document, claims)?);
    Some(HypotheticalToken { text: token.to_string(), signing_input: None, source })
}

/// Returns the issuer whose `issuer` key equals the `iss` claim.
pub fn issuer_of<'d>(document: &'d Document, claims: &Value) -> Option<&'d IssuerSettings> {
    let iss = claims.get("iss").and_then(Value::as_str);
    document.issuers.iter().find(|issuer| Some(issuer.issuer.value.as_str()) == iss)
}

fn source_of(issuer: &IssuerSettings) -> TokenSource {
    issuer.token_from.first().cloned().unwrap_or(TokenSource::Bearer)
}

/// Installs a stand-in key set for every issuer with `jwks`. The set has a key for each asymmetric algorithm. Without a key set,
/// a simulated request with a token would wait for the key set.
pub fn publish_keys(polled: &mut Polled, now: Duration) {
    for id in published::ids_of_kind(polled, |what| matches!(what, DocumentKind::KeySet)) {
        // The error is ignored: if the stand-in key set cannot be installed, a request that needs it fails later, with a message.
        let _ = polled.install(id, key_set().as_bytes(), now);
    }
}

impl HypotheticalToken {
    fn build(header: &Value, claims: &Value, issuer: &IssuerSettings) -> HypotheticalToken {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signing_input = format!("{}.{}", part(header), part(claims));
        // A JWS needs a third part for the signature (RFC 7515 §7.1). Its content has no effect, because `verify` compares only
        // the signing input.
        let text = format!("{signing_input}.{}", URL_SAFE_NO_PAD.encode([0_u8; 64]));
        HypotheticalToken { text, signing_input: Some(signing_input), source: source_of(issuer) }
    }

    /// Adds the token to the request where the issuer expects it.
    pub fn attach(&self, request: &mut Vec<(String, String)>) {
        let token = self.text.clone();
        match &self.source {
            TokenSource::Bearer => request.push(("authorization".to_string(), format!("Bearer {token}"))),
            TokenSource::Header(name) => request.push((name.clone(), token)),
            TokenSource::Cookie(name) => request.push(("cookie".to_string(), format!("{name}={token}"))),
            TokenSource::Query(name) => {
                if let Some((_, path)) = request.iter_mut().find(|(header, _)| header == ":path") {
                    let mark = if path.contains('?') { '&' } else { '?' };
                    path.push_str(&format!("{mark}{name}={token}"));
                }
            }
        }
    }
}

/// For a token whose signature counts as valid, accepts only this token and refuses every other token in the request. For a
/// token with a real signature, verifies the signature.
impl SignatureVerifier for HypotheticalToken {
    fn verify(&self, key: &VerifyingKey, algorithm: Algorithm, signing_input: &[u8], signature: &[u8]) -> bool {
        match &self.signing_input {
            Some(accepted) => signing_input == accepted.as_bytes(),
            None => SoftwareVerifier.verify(key, algorithm, signing_input, signature),
        }
    }
}

/// Returns the issuer with this name. Without a name, returns the issuer whose `issuer` key equals the `iss` claim, or the
/// first issuer if there is no such issuer. Without a name and an `iss` claim, the document must have exactly one issuer.
fn choose_issuer<'d>(
    document: &'d Document,
    claims: &Map<String, Value>,
    name: Option<&str>,
) -> Result<&'d IssuerSettings, Failure> {
    let names = || document.issuers.iter().map(|i| i.name.value.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(name) = name {
        let named = document.issuers.iter().find(|issuer| issuer.name.value == name);
        return named.ok_or_else(|| Failure::Message(format!("--issuer: no issuer `{name}` (declared: {})", names())));
    }
    let stated = claims.get("iss").and_then(Value::as_str);
    let found = match (stated, document.issuers.as_slice()) {
        (Some(iss), issuers) => issuers.iter().find(|issuer| issuer.issuer.value == iss).or(issuers.first()),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    found.ok_or_else(|| Failure::Message(format!("--issuer is required to build a token (declared: {})", names())))
}

/// Returns an algorithm that the issuer accepts and for which it has a key.
fn algorithm(issuer: &IssuerSettings) -> Result<Algorithm, Failure> {
    let allowed = |a: &Algorithm| issuer.algorithms.is_empty() || issuer.algorithms.iter().any(|n| n.value == a.name());
    let mut accepted = Algorithm::ALL.into_iter().filter(allowed);
    let found = match &issuer.keys.value {
        IssuerKeySettings::Secret { .. } => accepted.find(|a| a.is_symmetric()),
        IssuerKeySettings::Jwks(_) => accepted.find(|a| !a.is_symmetric()),
        IssuerKeySettings::Inline(set) => {
            let set =
                KeySet::parse(set.to_string().as_bytes(), KeySource::Inline).map(|(set, _)| set).unwrap_or_default();
            accepted.find(|a| set.candidates(None, *a).next().is_some())
        }
    };
    found.ok_or_else(|| Failure::Message(format!("issuer `{}` has no key for its algorithms", issuer.name.value)))
}

/// Returns a key set with one key of each type and curve. Any valid public keys will do, because no signature is verified with
/// them. The points of the NIST curves are the generators (SEC 2), and the RSA modulus is an arbitrary large odd number.
fn key_set() -> String {
    let mut modulus = vec![0xff_u8; 256];
    if let Some(first) = modulus.first_mut() {
        *first = 0xc0;
    }
    let (p384, p521) =
        (p384::AffinePoint::GENERATOR.to_encoded_point(false), p521::AffinePoint::GENERATOR.to_encoded_point(false));
    let keys = json!({ "keys": [
        { "kty": "RSA", "n": URL_SAFE_NO_PAD.encode(&modulus), "e": "AQAB" },
        { "kty": "EC", "crv": "P-256", "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY", "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU" },
        point("P-384", p384.as_bytes()),
        point("P-521", p521.as_bytes()),
        { "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" },
    ]});
    keys.to_string()
}

/// Returns a JWK for a point in the uncompressed form of SEC 1 §2.3.3: the byte 4, followed by x and y.
fn point(curve: &str, sec1: &[u8]) -> Value {
    let coordinates = sec1.strip_prefix(&[4]).unwrap_or_default();
    let (x, y) = coordinates.split_at_checked(coordinates.len() / 2).unwrap_or_default();
    json!({ "kty": "EC", "crv": curve, "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y) })
}
