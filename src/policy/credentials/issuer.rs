//! An issuer as compiled: what a token must say to be one of its own, and where the keys are that prove it.

use std::rc::Rc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::algorithm::Algorithm;
use super::jwks::KeySet;
use super::token::UnverifiedToken;
use crate::config::claim::{ClaimPath, RequiredClaim};
use crate::policy::verdict::rejection::{Kind, Rejection};
use crate::policy::verdict::wait::PolledId;

/// One issuer.
#[derive(Debug)]
pub struct Issuer {
    /// Its name in routes and in the audit record.
    pub name: Rc<str>,
    /// The exact `iss`.
    pub issuer: String,
    /// Accepted audiences.
    pub audiences: Vec<String>,
    /// Accepted algorithms; the key must fit as well.
    pub algorithms: Vec<Algorithm>,
    /// Where its keys are.
    pub keys: IssuerKeys,
    /// Clock leeway.
    pub leeway: Duration,
    /// Longest life of a token.
    pub max_lifetime: Option<Duration>,
    /// Accepted types, in lower case and without `application/`.
    pub token_types: Vec<String>,
    /// Claims its tokens must have.
    pub require_claims: Vec<RequiredClaim>,
    /// Where its tokens hold scopes.
    pub scope_claims: Vec<ClaimPath>,
    /// Where its tokens hold permissions.
    pub permission_claims: Vec<ClaimPath>,
    /// The places its tokens may stand in, as indexes into the policy's list.
    pub sources: Vec<usize>,
    /// Those of them whose cookies count whichever page asks.
    pub cross_origin: Vec<usize>,
    /// Longest token.
    pub max_token_bytes: usize,
    /// Only tokens bound to a certificate.
    pub require_bound: bool,
    /// Which clients its tokens may name.
    pub clients: AcceptedClients,
}

/// Which clients the tokens of an issuer may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptedClients {
    /// Any client, or none.
    Any,
    /// A listed client, or none. A client's limits must not end with its entry: a token that names an id which is not listed,
    /// or not any more, is refused.
    ListedOrNone,
    /// A listed client.
    Listed,
}

/// Where an issuer's keys are.
#[derive(Debug)]
pub enum IssuerKeys {
    /// In the configuration.
    Local(Rc<KeySet>),
    /// In a remote key set.
    Remote(PolledId),
}

/// When a token holds, in seconds since the Unix epoch with leeway already counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// From this time on.
    pub from: Duration,
    /// Before this time.
    pub until: Duration,
}

impl Issuer {
    /// Checks what can be known before the signature: type, algorithm and place. Cheap, and never a word about the claims.
    pub fn check_form(&self, token: &UnverifiedToken<'_>, bytes: usize, source: usize) -> Result<(), Rejection> {
        if bytes > self.max_token_bytes {
            return Err(invalid("token_too_long"));
        }
        if !self.sources.contains(&source) {
            return Err(invalid("token_in_wrong_place"));
        }
        // An absent `typ` is taken for `jwt` (RFC 7519 §5.1 makes it optional).
        let typ = token.typ.as_deref().unwrap_or("jwt");
        if !self.token_types.iter().any(|accepted| accepted == typ) {
            return Err(invalid("token_type_not_accepted"));
        }
        if !self.algorithms.contains(&token.algorithm) {
            return Err(invalid("token_algorithm_not_accepted"));
        }
        Ok(())
    }

    /// Checks the claims of a token whose signature holds (RFC 7519 §4.1), except for the time.
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
        let ours = |aud: &Value| aud.as_str().is_some_and(|aud| self.audiences.iter().any(|a| a == aud));
        if !audiences.iter().any(ours) {
            return Err(invalid("token_audience_mismatch"));
        }
        for required in &self.require_claims {
            if !holds(required, claims) {
                return Err(invalid("token_claim_mismatch").with(format!("claim {}", required.claim.text)));
            }
        }
        self.validity(claims)
    }

    /// The certificate that a token is bound to, by its SHA-256 (RFC 8705 §3.1). A binding to anything else, such as a DPoP key
    /// (RFC 9449 §6.1), refuses the token: nothing here checks the proof, and without it a stolen token would be as good.
    pub fn binding(&self, claims: &Value) -> Result<Option<[u8; 32]>, Rejection> {
        let Some(confirmation) = claims.get("cnf") else {
            return if self.require_bound { Err(invalid("token_not_bound")) } else { Ok(None) };
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
        if let Some(longest) = self.max_lifetime {
            // Without `iat` nobody can say how long the token has been alive.
            let issued = issued.ok_or_else(|| invalid("token_without_issue_time"))?;
            if expires > issued + longest {
                return Err(invalid("token_lifetime_too_long"));
            }
        }
        // `iat` in the future says that a clock is wrong: leeway covers the small cases, and the rest is not believed.
        let from = not_before.unwrap_or_default().max(issued.unwrap_or_default());
        Ok(Validity { from: from.saturating_sub(self.leeway), until: expires + self.leeway })
    }
}

impl Validity {
    /// Whether the token holds at this time.
    pub fn check(&self, now: Duration) -> Result<(), Rejection> {
        if now >= self.until {
            return Err(Rejection::new(Kind::ExpiredToken, "token_expired"));
        }
        if now < self.from {
            return Err(invalid("token_not_yet_valid"));
        }
        Ok(())
    }
}

/// Whether a claim has one of the values, or, being a list, contains one.
pub fn holds(required: &RequiredClaim, claims: &Value) -> bool {
    match required.claim.find(claims) {
        Some(Value::Array(items)) => items.iter().any(|item| required.any_of.contains(item)),
        Some(value) => required.any_of.contains(value),
        None => false,
    }
}

/// A NumericDate (RFC 7519 §2): seconds since the Unix epoch. Fractions count: cut off, they would let a token hold too early.
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
    Rejection::new(Kind::InvalidToken, reason)
}

/// Claims that are text (RFC 7519 §4.1, RFC 9068 §2.2, OpenID Connect Core §2). One of another type must not pass for an absent
/// one: a token whose `jti` is a number could not be revoked, and one whose `client_id` is a list would have no client.
const TEXT_CLAIMS: [&str; 4] = ["sub", "jti", "client_id", "azp"];

/// The only confirmation method that is checked (RFC 8705 §3.1).
const THUMBPRINT: &str = "x5t#S256";

/// Other registered confirmation methods (RFC 7800 §3.1, RFC 9449 §6.1), which the record may name.
const CONFIRMATIONS: [&str; 5] = ["jkt", "jwk", "jwe", "kid", "jku"];

/// The end of the year 9999: later dates are garbage, and sums with them could overflow.
const LAST_DATE: Duration = Duration::from_secs(253_402_300_799);
