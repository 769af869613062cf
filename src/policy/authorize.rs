//! May this caller do this? The only place where a [`Grant`] is made, without which nothing can be forwarded or answered.

use std::rc::Rc;

use super::authenticate::Caller;
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
pub fn authorize(requirements: &Requirements, caller: Option<Rc<Caller>>) -> Result<Grant, Rejection> {
    let Some(known) = &caller else {
        return match requirements.auth {
            Auth::Required => Err(Rejection::new(Kind::MissingToken, "token_missing")),
            Auth::Optional | Auth::None => Ok(Grant { caller: None }),
        };
    };
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
    Ok(Grant { caller })
}
