//! Reads the rules that the tokens of an issuer must meet.

use std::time::Duration;

use super::claim::{ClaimPath, RequiredClaim, required_claims};
use super::node::Value;
use super::problem::At;
use super::reader::{Field, Fields};

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
        let claims = |key, read: fn(&Field<'_>) -> Option<ClaimPath>| -> Option<Vec<ClaimPath>> {
            fields.get(key).map(|f| f.one_or_more().iter().filter_map(read).collect())
        };
        let longest = is_self_issued.then_some(LONGEST_SELF_ISSUED);
        let bytes = fields.get("max_token_bytes").and_then(|f| f.number(64, 65_536));
        TokenRules {
            audiences: audiences.into_iter().map(|audience| audience.value).collect(),
            leeway: fields.get("leeway").and_then(|f| short_duration(&f, MAX_LEEWAY)).unwrap_or(LEEWAY),
            max_lifetime: fields.get("max_lifetime").and_then(|f| f.duration()).or(longest),
            require_claims: fields.get("require_claims").map(|f| required_claims(&f)).unwrap_or_default(),
            scope_claims: claims("scope_claims", ClaimPath::read)
                .unwrap_or_else(|| SCOPE_CLAIMS.iter().map(|name| ClaimPath::top(name)).collect()),
            permission_claims: claims("permission_claims", permission_place)
                .unwrap_or_else(|| vec![ClaimPath::members(&[])]),
            max_token_bytes: bytes.and_then(|n| usize::try_from(n).ok()).unwrap_or(MAX_TOKEN_BYTES),
            require_bound: fields.get("require_bound").and_then(|f| f.flag()).unwrap_or(false),
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
        Value::Text(text) if text == ALL_CLAIMS => Some(ClaimPath::members(&[])),
        _ => ClaimPath::read(field),
    }
}

pub(super) fn short_duration(field: &Field<'_>, most: Duration) -> Option<Duration> {
    let found = field.duration()?;
    if found > most {
        field.problem(format!("is longer than the {} seconds accepted here", most.as_secs()));
        return None;
    }
    Some(found)
}

/// The maximum lifetime of a token that a developer mints.
pub const LONGEST_SELF_ISSUED: Duration = Duration::from_secs(900);
/// The default leeway. The clocks of issuers and gateways differ by seconds (RFC 7519 §4.1.4: "usually no more than a few
/// minutes").
const LEEWAY: Duration = Duration::from_secs(30);
const MAX_LEEWAY: Duration = Duration::from_secs(300);
const MAX_TOKEN_BYTES: usize = 8_192;
const ALL_CLAIMS: &str = ".";
/// The default scope claims. RFC 9068 §2.2.3 defines `scope`; some well-known issuers use `scp` or `scopes` instead.
const SCOPE_CLAIMS: [&str; 3] = ["scope", "scp", "scopes"];
