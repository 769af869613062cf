//! A compiled issuer, with the keys of the issuer and the requirements for the issuer's tokens.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::algorithm::Algorithm;
use super::jwks::KeySet;
use super::token::UnverifiedToken;
use crate::config::claim::RequiredClaim;
use crate::config::token_rules::TokenRules;
use crate::policy::verdict::rejection::{Rejection, RejectionKind};
use crate::policy::verdict::wait::PolledId;

/// A compiled issuer of tokens.
#[derive(Debug)]
pub struct Issuer {
    /// The name of the issuer in routes and in the audit record.
    pub name: Arc<str>,
    /// The value that the `iss` claim must equal exactly.
    pub issuer: String,
    /// Accepted algorithms. The key must also support the algorithm.
    pub algorithms: Vec<Algorithm>,
    /// The source of the issuer's keys.
    pub keys: IssuerKeys,
    /// The rules for the issuer's tokens, as written in the document.
    pub rules: TokenRules,
    /// Accepted token types, in lower case and without `application/`.
    pub token_types: Vec<String>,
    /// The places that may contain the issuer's tokens, as indexes into the policy's list of places.
    pub sources: Vec<usize>,
    /// The cookies that may also authenticate requests from pages of other origins, as indexes into the same list of places.
    pub cross_origin: Vec<usize>,
    /// The client ids that the issuer's tokens may contain.
    pub clients: AcceptedClients,
}

/// The client ids that an issuer's tokens may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptedClients {
    /// A token may contain any client id or none.
    Any,
    /// A token may contain the id of a listed client or no client id. A token with an unlisted client id is refused, because
    /// otherwise the removal of a client from the list would also remove the client's restrictions.
    ListedOrNone,
    /// A token must contain the id of a listed client.
    Listed,
}

/// The source of an issuer's keys.
#[derive(Debug)]
pub enum IssuerKeys {
    /// A key set in the configuration, or one made from a shared secret.
    Local(Arc<KeySet>),
    /// A remote key set, which the gateway fetches.
    Remote(PolledId),
}

/// The time range in which a token is valid, including the leeway. Both times count from the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The token is valid from this time.
    pub from: Duration,
    /// The token is valid before this time.
    pub until: Duration,
}

impl Issuer {
    /// Checks the length, place, type and algorithm of a token before the signature is verified. The claims are not checked here.
    pub fn check_form(&self, token: &UnverifiedToken<'_>, bytes: usize, source: usize) -> Result<(), Rejection> {
        if bytes > self.rules.max_token_bytes {
            return Err(invalid("token_too_long"));
        }
        if !self.sources.contains(&source) {
            return Err(invalid("token_in_wrong_place"));
        }
        // An absent `typ` means `jwt` (RFC 7519 §5.1 makes it optional).
        let typ = token.typ.as_deref().unwrap_or("jwt");
        if !self.token_types.iter().any(|accepted| accepted == typ) {
            return Err(invalid("token_type_not_accepted"));
        }
        if !self.algorithms.contains(&token.algorithm) {
            return Err(invalid("token_algorithm_not_accepted"));
        }
        Ok(())
    }

    /// Checks the claims of a token with a verified signature (RFC 7519 §4.1). Does not compare the returned time range with
    /// the current time.
    pub fn check_claims(&self, claims: &Value) -> Result<Validity, Rejection> {
        let is_text = |name: &str| matches!(claims.get(name), None | Some(Value::Null | Value::String(_)));
        if let Some(name) = TEXT_CLAIMS.into_iter().find(|name| !is_text(name)) {
            return Err(malformed(name));
        }
        let audiences: &[Value] = match claims.get("aud") {
            None | Some(Value::Null) => &[],
            Some(Value::Array(list)) if list.iter().all(Value::is_string) => list.as_slice(),
            Some(one @ Value::String(_)) => std::slice::from_ref(one),
            Some(_) => return Err(malformed("aud")),
        };
        let ours = |aud: &Value| aud.as_str().is_some_and(|aud| self.rules.audiences.iter().any(|a| a == aud));
        if !audiences.iter().any(ours) {
            return Err(invalid("token_audience_mismatch"));
        }
        for required in &self.rules.require_claims {
            if !holds(required, claims) {
                return Err(invalid("token_claim_mismatch").with(format!("claim {}", required.claim.text)));
            }
        }
        self.validity(claims)
    }

    /// Returns the SHA-256 of the certificate that a token is bound to (RFC 8705 §3.1). A token that is bound to anything else,
    /// such as a DPoP key (RFC 9449 §6.1), is refused, because the filter does not check such a binding and would accept a
    /// stolen token.
    pub fn binding(&self, claims: &Value) -> Result<Option<[u8; 32]>, Rejection> {
        let Some(confirmation) = claims.get("cnf") else {
            return if self.rules.require_bound { Err(invalid("token_not_bound")) } else { Ok(None) };
        };
        let members = confirmation.as_object().filter(|members| !members.is_empty());
        let members = members.ok_or_else(|| invalid("token_binding_malformed"))?;
        if let Some(unchecked) = members.keys().find(|name| *name != THUMBPRINT) {
            let known = CONFIRMATIONS.into_iter().find(|known| known == unchecked);
            return Err(invalid("token_binding_not_supported").with(format!("cnf.{}", known.unwrap_or("(unknown)"))));
        }
        let thumbprint = members.get(THUMBPRINT).and_then(Value::as_str);
        let bytes = thumbprint.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let digest = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        digest.map(Some).ok_or_else(|| invalid("token_binding_malformed"))
    }

    fn validity(&self, claims: &Value) -> Result<Validity, Rejection> {
        let expires = numeric_date(claims, "exp")?.ok_or_else(|| invalid("token_without_expiry"))?;
        let not_before = numeric_date(claims, "nbf")?;
        let issued = numeric_date(claims, "iat")?;
        if let Some(longest) = self.rules.max_lifetime {
            // Without `iat`, the lifetime of the token is unknown.
            let issued = issued.ok_or_else(|| invalid("token_without_issue_time"))?;
            if expires > issued + longest {
                return Err(invalid("token_lifetime_too_long"));
            }
        }
        // `iat` in the future means that a clock is wrong. The leeway covers small differences; a larger difference makes the
        // token invalid.
        let from = not_before.unwrap_or_default().max(issued.unwrap_or_default());
        Ok(Validity { from: from.saturating_sub(self.rules.leeway), until: expires + self.rules.leeway })
    }
}

impl Validity {
    /// Checks that the token is valid at this time.
    pub fn check(&self, now: Duration) -> Result<(), Rejection> {
        if now >= self.until {
            return Err(Rejection::new(RejectionKind::ExpiredToken, "token_expired"));
        }
        if now < self.from {
            return Err(invalid("token_not_yet_valid"));
        }
        Ok(())
    }
}

/// Returns `true` if the claim equals one of the accepted values, or is a list that contains one of the accepted values.
pub fn holds(required: &RequiredClaim, claims: &Value) -> bool {
    match required.claim.find(claims) {
        Some(Value::Array(items)) => items.iter().any(|item| required.any_of.contains(item)),
        Some(value) => required.any_of.contains(value),
        None => false,
    }
}

/// Parses a NumericDate (RFC 7519 §2): seconds since the Unix epoch. Fractions are kept, because a truncated `nbf` would make the
/// token valid too early.
fn numeric_date(claims: &Value, name: &str) -> Result<Option<Duration>, Rejection> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let date = match value.as_u64() {
        Some(seconds) => Some(Duration::from_secs(seconds)),
        None => value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
    };
    match date.filter(|date| *date <= LAST_DATE) {
        Some(date) => Ok(Some(date)),
        None => Err(invalid("token_time_malformed")),
    }
}

fn malformed(claim: &str) -> Rejection {
    invalid("token_claim_malformed").with(format!("claim {claim}"))
}

fn invalid(reason: &'static str) -> Rejection {
    Rejection::new(RejectionKind::InvalidToken, reason)
}

/// Claims that must be strings (RFC 7519 §4.1, RFC 9068 §2.2, OpenID Connect Core §2). A claim of another type must not be
/// treated as absent: a token whose `jti` is a number could not be revoked, and a token whose `client_id` is a list would have no
/// client.
const TEXT_CLAIMS: [&str; 4] = ["sub", "jti", "client_id", "azp"];

/// The only supported confirmation method (RFC 8705 §3.1).
const THUMBPRINT: &str = "x5t#S256";

/// Other registered confirmation methods (RFC 7800 §3.1, RFC 9449 §6.1), whose names may be written in the audit record.
const CONFIRMATIONS: [&str; 5] = ["jkt", "jwk", "jwe", "kid", "jku"];

/// The end of the year 9999. Later dates are invalid, because adding the leeway to such a date could overflow.
const LAST_DATE: Duration = Duration::from_secs(253_402_300_799);
