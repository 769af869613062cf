//! Reads the rules that the tokens of an issuer must meet.

use std::time::Duration;

use super::claim::{ClaimPath, RequiredClaim, required_claims};
use super::node::Value;
use super::problem::At;
use super::reader::{Field, Fields};
use super::schema_keys::{DefaultKey, issuer as key};

/// The rules that the tokens of an issuer must meet, and the claims that contain scopes and permissions. The policy uses this
/// type directly, without a compiled form.
#[derive(Clone, Debug)]
pub struct TokenRules {
    /// The accepted audiences. The claim `aud` of a token must contain at least one of them.
    pub audiences: Vec<String>,
    /// The accepted difference between the clocks of the issuer and the gateway, for `exp`, `nbf` and `iat`.
    pub leeway: Duration,
    /// The maximum time between `iat` and `exp`. If it is set, a token without `iat` is refused.
    pub max_lifetime: Option<Duration>,
    /// Required claims; each of them must have one of its listed values.
    pub require_claims: Vec<RequiredClaim>,
    /// The claims that can contain scopes. The first claim that a token has determines its scopes.
    pub scope_claims: Vec<ClaimPath>,
    /// The claims that can contain permissions. The caller gets the permissions of all these claims.
    pub permission_claims: Vec<ClaimPath>,
    /// The maximum length of a token in bytes.
    pub max_token_bytes: usize,
    /// Whether a token must be bound to a certificate (RFC 8705 §3).
    pub require_bound: bool,
}

impl TokenRules {
    /// Reads the keys of an issuer that define rules for its tokens. With `self_issued: true`, the default of `max_lifetime` is
    /// [`LONGEST_SELF_ISSUED`].
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

/// Reads the accepted audiences. At least one is required, because the gateway would otherwise accept tokens that were issued
/// for other services.
fn audiences(field: &Field<'_>) -> Vec<At<String>> {
    if field.one_or_more().is_empty() {
        field.problem(
            "`audiences` is empty: list at least one audience, or tokens for other services would be accepted",
        );
    }
    field.texts()
}

/// Reads an item of `permission_claims`. The value `.` means that each domain is a top-level claim.
fn permission_place(field: &Field<'_>) -> Option<ClaimPath> {
    match &field.node.value {
        Value::Text(text) if text == ALL_CLAIMS => Some(claim_named(text)),
        _ => ClaimPath::read(field),
    }
}

/// Returns the path to the top-level claim with this name. For `.`, returns the path to the object of all claims.
fn claim_named(name: &str) -> ClaimPath {
    if name == ALL_CLAIMS { ClaimPath::members(&[]) } else { ClaimPath::top(name) }
}

/// The largest accepted `max_lifetime` of an issuer with `self_issued: true`, which is also its default.
pub const LONGEST_SELF_ISSUED: Duration = Duration::from_secs(900);
const ALL_CLAIMS: &str = ".";
