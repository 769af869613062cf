//! May this caller do this? The only place where a [`Grant`] is made, without which nothing can be forwarded or answered.

use std::rc::Rc;

use serde_json::Value;

use super::authenticate::Caller;
use super::condition::{Circumstances, Condition};
use super::issuer::holds;
use super::permission::PermissionNeed;
use super::rejection::{Kind, Rejection};
use super::scopes::ScopeSet;
use crate::config::document::{Auth, RequiredClaim};

/// What a route asks of its callers.
#[derive(Debug)]
pub struct Requirements {
    /// Whether a caller must be known.
    pub auth: Auth,
    /// Accepted issuers, as indexes; empty accepts every one.
    pub issuers: Vec<usize>,
    /// Scopes of which all are needed.
    pub scopes: ScopeSet,
    /// Scopes of which one is needed.
    pub any_scope: ScopeSet,
    /// Permissions of which all are needed, and those of which one is.
    pub permissions: PermissionNeed,
    /// How a caller without them is refused.
    pub permission_denied: Kind,
    /// The scopes as a challenge names them (RFC 6750 §3): a space-delimited list.
    pub scope_text: Rc<str>,
    /// Claims that must have one of the listed values.
    pub require_claims: Vec<RequiredClaim>,
    /// Conditions that must all be true.
    pub conditions: Vec<Condition>,
}

impl Requirements {
    /// Asks for nothing and nobody.
    pub fn nothing() -> Requirements {
        Requirements {
            auth: Auth::None,
            issuers: Vec::new(),
            scopes: ScopeSet::default(),
            any_scope: ScopeSet::default(),
            permissions: PermissionNeed::default(),
            permission_denied: Kind::PermissionDenied,
            scope_text: "".into(),
            require_claims: Vec::new(),
            conditions: Vec::new(),
        }
    }
}

/// Proof that a request was authorised. Its field is private: only this file can make one.
#[derive(Debug)]
pub struct Grant {
    caller: Option<Rc<Caller>>,
}

impl Grant {
    /// Who was authorised; nobody on a route that asks nobody.
    pub fn caller(&self) -> Option<&Caller> {
        self.caller.as_deref()
    }
}

/// Decides whether a caller may do what the route stands for. `None` is an anonymous request.
pub fn authorize(
    requirements: &Requirements,
    caller: Option<Rc<Caller>>,
    circumstances: &Circumstances<'_>,
) -> Result<Grant, Rejection> {
    match (&caller, requirements.auth) {
        (Some(known), _) => check_caller(requirements, known)?,
        (None, Auth::Required) => return Err(Rejection::new(Kind::MissingToken, "token_missing")),
        (None, Auth::Optional | Auth::None) => {}
    }
    let claims = caller.as_ref().map_or(&Value::Null, |known| &known.claims);
    check_conditions(&requirements.conditions, claims, circumstances)?;
    Ok(Grant { caller })
}

/// Whether a caller has what the route asks of it.
fn check_caller(requirements: &Requirements, known: &Caller) -> Result<(), Rejection> {
    if !requirements.issuers.is_empty() && !requirements.issuers.contains(&known.issuer) {
        return Err(Rejection::new(Kind::Forbidden, "issuer_not_accepted_here"));
    }
    if !known.scopes.has_all(&requirements.scopes) || !known.scopes.has_any(&requirements.any_scope) {
        return Err(Rejection::new(Kind::InsufficientScope(requirements.scope_text.clone()), "scope_missing"));
    }
    if !requirements.permissions.is_met(&known.permissions) {
        let missing = requirements.permissions.missing(&known.permissions);
        return Err(Rejection::new(requirements.permission_denied.clone(), "permission_missing").with(missing));
    }
    for required in &requirements.require_claims {
        if !holds(required, &known.claims) {
            let detail = format!("claim {}", required.claim.text);
            return Err(Rejection::new(Kind::Forbidden, "claim_mismatch").with(detail));
        }
    }
    if let Some(claim) = &known.identity.missing {
        return Err(Rejection::new(Kind::Forbidden, "claim_missing").with(format!("claim {claim}")));
    }
    Ok(())
}

/// Whether every condition is true. The record has the condition's own text, never a value.
fn check_conditions(conditions: &[Condition], claims: &Value, at: &Circumstances<'_>) -> Result<(), Rejection> {
    for (i, condition) in conditions.iter().enumerate() {
        if condition.verdict(claims, at) != Some(true) {
            let detail = format!("when[{i}] {}", condition.text());
            return Err(Rejection::new(Kind::Forbidden, "condition_false").with(detail));
        }
    }
    Ok(())
}
