//! Decides whether a request is authorized.
//!
//! Only this module can create a [`Grant`], which is needed to forward or answer a request.

use std::sync::Arc;

use super::circumstances::{Circumstances, Facts};
use super::condition::Condition;
use super::permission::PermissionNeed;
use super::scopes::ScopeSet;
use crate::config::auth::Auth;
use crate::config::claim::RequiredClaim;
use crate::policy::credentials::caller::{Caller, Callers};
use crate::policy::credentials::issuer::holds;
use crate::policy::verdict::rejection::{Rejection, RejectionKind};

/// The requirements of a route for its callers.
#[derive(Debug)]
pub struct Requirements {
    /// The kinds of credentials that the route accepts or requires.
    pub auth: Auth,
    /// The indexes of the issuers whose tokens the route accepts; an empty list means all issuers.
    pub issuers: Vec<usize>,
    /// The caller must have all of these scopes.
    pub scopes: ScopeSet,
    /// The caller must have at least one of these scopes, unless the set is empty.
    pub any_scope: ScopeSet,
    /// The permissions that the caller must have.
    pub permissions: PermissionNeed,
    /// The kind of rejection for a caller without the required permissions: the document chooses between the statuses 403 and
    /// 401.
    pub permission_denied: RejectionKind,
    /// The scopes for a challenge (RFC 6750 §3): all scopes of `scopes` and `any_scope`, separated by spaces.
    pub scope_text: Arc<str>,
    /// The claims that the caller must have, each with the accepted values.
    pub require_claims: Vec<RequiredClaim>,
    /// The compiled `when` conditions, which must all be true.
    pub conditions: Vec<Condition>,
}

impl Requirements {
    /// Returns requirements without authentication, scopes, permissions, claims and conditions.
    pub fn nothing() -> Requirements {
        Requirements {
            auth: Auth::None,
            issuers: Vec::new(),
            scopes: ScopeSet::default(),
            any_scope: ScopeSet::default(),
            permissions: PermissionNeed::default(),
            permission_denied: RejectionKind::PermissionDenied,
            scope_text: "".into(),
            require_claims: Vec::new(),
            conditions: Vec::new(),
        }
    }
}

/// The proof that a request was authorized. Its field is private, so only this module can create a `Grant`.
#[derive(Debug)]
pub struct Grant {
    callers: Option<Callers>,
}

impl Grant {
    /// Returns the caller of the first credential, whose scopes, permissions and claims were checked; `None` for an anonymous
    /// request.
    pub fn caller(&self) -> Option<&Caller> {
        self.callers.as_ref().map(|callers| callers.first.as_ref())
    }
}

/// Decides whether a caller may use the route. `callers` is `None` for an anonymous request.
pub fn authorize(
    requirements: &Requirements,
    callers: Option<Callers>,
    circumstances: &Circumstances<'_>,
) -> Result<Grant, Rejection> {
    match (&callers, &requirements.auth) {
        (Some(known), _) => check_callers(requirements, known)?,
        (None, Auth::Optional | Auth::None) => {}
        (None, auth) if auth.is_required() => return Err(Rejection::new(RejectionKind::MissingToken, "token_missing")),
        (None, _) => return Err(Rejection::new(RejectionKind::MissingCredential, "credential_missing")),
    }
    let caller = callers.as_ref().map(|known| known.first.as_ref());
    check_conditions(&requirements.conditions, &Facts::of(caller, circumstances))?;
    Ok(Grant { callers })
}

/// Checks that the first caller meets the route's requirements. Also checks that the route accepts the issuer of every caller's
/// token.
fn check_callers(requirements: &Requirements, known: &Callers) -> Result<(), Rejection> {
    let mut tokens = std::iter::once(&known.first).chain(&known.others).filter_map(|caller| caller.token());
    if !requirements.issuers.is_empty() && tokens.any(|token| !requirements.issuers.contains(&token.issuer)) {
        return Err(Rejection::new(RejectionKind::Forbidden, "issuer_not_accepted_here"));
    }
    let known = &known.first;
    if !known.scopes.has_all(&requirements.scopes) || !known.scopes.has_any(&requirements.any_scope) {
        return Err(Rejection::new(RejectionKind::InsufficientScope(requirements.scope_text.clone()), "scope_missing"));
    }
    if !requirements.permissions.is_met(&known.permissions) {
        let missing = requirements.permissions.missing(&known.permissions);
        return Err(Rejection::new(requirements.permission_denied.clone(), "permission_missing").with(missing));
    }
    for required in &requirements.require_claims {
        if !holds(required, &known.claims) {
            let detail = format!("claim {}", required.claim.text);
            return Err(Rejection::new(RejectionKind::Forbidden, "claim_mismatch").with(detail));
        }
    }
    if let Some(missing) = &known.identity.missing {
        return Err(Rejection::new(RejectionKind::Forbidden, "claim_missing").with(missing.clone()));
    }
    Ok(())
}

/// Checks that all conditions are true. The audit record gets the source text of the failed condition, but no attribute values.
fn check_conditions(conditions: &[Condition], facts: &Facts<'_>) -> Result<(), Rejection> {
    for (i, condition) in conditions.iter().enumerate() {
        if condition.verdict(facts) != Some(true) {
            let detail = format!("when[{i}] {}", condition.text());
            return Err(Rejection::new(RejectionKind::Forbidden, "condition_false").with(detail));
        }
    }
    Ok(())
}
