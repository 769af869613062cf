//! Authorizes callers, and records the requirements and the result in the trace.

pub mod authorize;
pub mod circumstances;
pub mod condition;
pub mod identity;
pub mod permission;
pub mod permission_set;
pub mod scopes;

use super::credentials::caller::{Caller, Callers};
use super::verdict::rejection::Rejection;
use super::world::World;
use authorize::{Grant, Requirements, authorize};
use circumstances::{Circumstances, Facts};
use permission::PermissionRegistry;

/// Authorizes a request. Returns the grant that is needed to forward or answer the request, or the rejection.
pub(super) fn grant(
    permissions: &PermissionRegistry,
    requirements: &Requirements,
    callers: Option<Callers>,
    circumstances: &Circumstances<'_>,
    world: &mut World<'_>,
) -> Result<Grant, Rejection> {
    if world.trace.is_some() {
        let caller = callers.as_ref().map(|callers| callers.first.as_ref());
        explain_permissions(permissions, requirements, caller, world);
        explain_conditions(requirements, caller, circumstances, world);
    }
    let grant = authorize(requirements, callers, circumstances);
    world.note("authorize", || match &grant {
        Ok(grant) if grant.caller().is_some() => "the caller meets the route's requirements".to_string(),
        Ok(_) => "no caller is required".to_string(),
        Err(rejection) => format!("refused: {}", rejection.reason),
    });
    grant
}

fn explain_permissions(
    permissions: &PermissionRegistry,
    requirements: &Requirements,
    caller: Option<&Caller>,
    world: &mut World<'_>,
) {
    let Some(caller) = caller.filter(|_| !requirements.permissions.is_empty()) else { return };
    world.note("authorize", || {
        let (all, any) = requirements.permissions.names();
        let (all, any) = (all.collect::<Vec<_>>().join(", "), any.collect::<Vec<_>>().join(", "));
        let required = match (all.is_empty(), any.is_empty()) {
            (_, true) => all,
            (true, false) => format!("one of {any}"),
            (false, false) => format!("{all}, and one of {any}"),
        };
        format!("the route requires {required}; the caller has {:?}", permissions.names_of(&caller.permissions))
    });
}

fn explain_conditions(
    requirements: &Requirements,
    caller: Option<&Caller>,
    circumstances: &Circumstances<'_>,
    world: &mut World<'_>,
) {
    let facts = Facts::of(caller, circumstances);
    for condition in &requirements.conditions {
        let verdict = match condition.verdict(&facts) {
            Some(true) => "true",
            Some(false) => "false",
            None => "unknown (it reads a value that is absent, repeated, unreadable or of another type)",
        };
        world.note("authorize", || format!("the condition `{}` is {verdict}", condition.text()));
    }
}
