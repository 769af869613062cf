//! Reads the rules that the tokens of an issuer must meet.

use std::time::Duration;

use super::claim::{ClaimPath, RequiredClaim, required_claims};
use super::node::Value;
use super::problem::At;
use super::reader::{Field, Fields};
use super::schema_keys::{DefaultKey, issuer as key};

/// The rules that the tokens of an issuer must meet, and the claims that contain scopes and permissions. The decision core uses
/// these settings directly, without a compiled form.
#[derive(Clone, Debug)]
pub struct TokenRules {
    /// The accepted values of `aud`; a token needs at least one of them.
    pub audiences: Vec<String>,
    /// Clock leeway for `exp`, `nbf` and `iat`.
    pub leeway: Duration,
    /// The maximum time between `iat` (or the current time) and `exp`.
    pub max_lifetime: Option<Duration>,
    /// Required claims; each of them must have one of its listed values.
    pub require_claims: Vec<RequiredClaim>,
    /// The claims that contain scopes, in order of preference.
    pub scope_claims: Vec<ClaimPath>,
    /// The claims that contain permissions. The caller gets the permissions of all these claims.
    pub permission_claims: Vec<ClaimPath>,
    /// The maximum length of a token in bytes.
    pub max_token_bytes: usize,
    /// Whether a token must be bound to a certificate (RFC 8705 §3).
    pub require_bound: bool,
}

impl TokenRules {
    /// Reads the keys of an issuer that define rules. If developers mint the tokens themselves, the default maximum lifetime is
    /// short.
    pub(super) fn read(fields: &Fields<'_>, is_self_issued: bool) -> TokenRules {
        let audiences = fields.require("audiences").map(|f| audiences(&f)).unwrap_or_default();
        let claims = |key: &DefaultKey<&[&str]>, read: fn(&Field<'_>) -> Option<ClaimPath>| match fields.get(key.name) {
            Some(field) => field.one_or_more().iter().filter_map(read).collect(),
            None => key.default.iter().map(|name| claim_named(name)).collect(),
        };
        let longest = is_self_issued.then_some(LONGEST_SELF_ISSUED);
        TokenRules {
            audiences: audiences.into_iter().map(|audience| audience.value).collect(),
            leeway: fields.duration(&key::LEEWAY),
            max_lifetime: fields.get("max_lifetime").and_then(|f| f.duration()).or(longest),
            require_claims: fields.get("require_claims").map(|f| required_claims(&f)).unwrap_or_default(),
            scope_claims: claims(&key::SCOPE_CLAIMS, ClaimPath::read),
            permission_claims: claims(&key::PERMISSION_CLAIMS, permission_place),
            max_token_bytes: fields.size(&key::MAX_TOKEN_BYTES),
            require_bound: fields.flag(&key::REQUIRE_BOUND),
        }
    }
}

/// Reads the accepted audiences. At least one is required, because a token without an audience could be used at every service.
fn audiences(field: &Field<'_>) -> Vec<At<String>> {
    if field.one_or_more().is_empty() {
        field.problem("`audiences` is empty: list at least one, or tokens for any audience would be accepted");
    }
    field.texts()
}

/// Reads the claim that contains permissions. The value `.` means top-level claims with the names of the domains.
fn permission_place(field: &Field<'_>) -> Option<ClaimPath> {
    match &field.node.value {
        Value::Text(text) if text == ALL_CLAIMS => Some(claim_named(text)),
        _ => ClaimPath::read(field),
    }
}

/// Returns the top-level claim with this name, or all claims for `.`.
fn claim_named(name: &str) -> ClaimPath {
    if name == ALL_CLAIMS { ClaimPath::members(&[]) } else { ClaimPath::top(name) }
}

/// The maximum lifetime of a token that a developer mints.
pub const LONGEST_SELF_ISSUED: Duration = Duration::from_secs(900);
const ALL_CLAIMS: &str = ".";
