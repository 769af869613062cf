//! Compares the requirements of two routes: authentication, issuers, scopes, permissions, claims and conditions.

use crate::config::auth::Auth;
use crate::config::document::Route;
use crate::config::problem::At;

/// Returns whether a route with this `auth` accepts only authenticated callers.
pub fn has_caller(auth: &Auth) -> bool {
    !matches!(auth, Auth::None | Auth::Optional)
}

/// Returns the requirements of the strict route that the looser route does not have. Each item completes the phrase "so such
/// requests need …" in a note of `looser_routes.rs`.
pub fn missing(strict: &Route, loose: &Route) -> Vec<String> {
    let mut missing = Vec::new();
    missing.extend(
        strict
            .when
            .iter()
            .filter(|condition| !loose.when.iter().any(|other| other.value == condition.value))
            .map(|condition| format!("not fulfil `{}`", condition.value)),
    );
    if !has_caller(&strict.auth.value) {
        return missing;
    }
    if !has_caller(&loose.auth.value) {
        missing.insert(0, NO_CREDENTIAL.to_string());
        return missing;
    }
    missing.extend(credentials(&strict.auth.value, &loose.auth.value));
    let values = |list: &[At<String>]| list.iter().map(|at| at.value.clone()).collect::<Vec<_>>();
    names("scope", (&strict.scopes, &strict.any_scope), (&loose.scopes, &loose.any_scope), &mut missing);
    let (all, any) = (values(&strict.permissions), values(&strict.any_permission));
    let (other_all, other_any) = (values(&loose.permissions), values(&loose.any_permission));
    names("permission", (&all, &any), (&other_all, &other_any), &mut missing);
    for claim in &strict.require_claims {
        let is_kept = loose
            .require_claims
            .iter()
            .any(|other| other.claim == claim.claim && other.any_of.iter().all(|value| claim.any_of.contains(value)));
        if !is_kept {
            missing.push(format!("no claim `{}` with one of the required values", claim.claim.text));
        }
    }
    let issuers = values(&strict.issuers);
    let has_same_issuers = !loose.issuers.is_empty() && loose.issuers.iter().all(|i| issuers.contains(&i.value));
    if !issuers.is_empty() && !has_same_issuers {
        missing.push(format!("no token from issuer {}", issuers.join(" or ")));
    }
    missing
}

/// Returns the requirements of the strict route that do not apply to a public path. Each item completes the phrase "so such
/// requests need …" in a note of `looser_routes.rs`.
pub fn missing_on_public_path(strict: &Route) -> Vec<String> {
    match has_caller(&strict.auth.value) {
        true => vec![NO_CREDENTIAL.to_string()],
        false => strict.when.iter().map(|condition| format!("not fulfil `{}`", condition.value)).collect(),
    }
}

/// Returns a phrase for the kinds of credentials that the looser route accepts, if some of them do not satisfy the strict route.
/// Call this only if both routes require credentials.
fn credentials(strict: &Auth, loose: &Auth) -> Option<String> {
    let words = |auth: &Auth, between: &str| {
        auth.kinds().iter().map(|kind| kind.word().replace('_', " ")).collect::<Vec<_>>().join(between)
    };
    let is_met = match (strict, loose) {
        // Each arm checks whether every set of credentials that the looser route accepts also satisfies the strict route.
        (Auth::AnyOf(accepted), Auth::AnyOf(others)) => others.iter().all(|kind| accepted.contains(kind)),
        (Auth::AnyOf(accepted), Auth::AllOf(others)) => others.iter().any(|kind| accepted.contains(kind)),
        (Auth::AllOf(demanded), Auth::AllOf(others)) => demanded.iter().all(|kind| others.contains(kind)),
        (Auth::AllOf(demanded), Auth::AnyOf(others)) => demanded.iter().all(|kind| others == &[*kind]),
        _ => true,
    };
    let between = if matches!(loose, Auth::AllOf(_)) { " and " } else { " or " };
    (!is_met).then(|| format!("only {}", words(loose, between)))
}

/// `all` and `any` are the scopes or permissions of the strict route. Adds a phrase for each name in `all` that the looser route
/// does not require, and one phrase for `any` if the looser route requires none of its names. `what` is `scope` or `permission`.
fn names(
    what: &str,
    (all, any): (&[String], &[String]),
    (other_all, other_any): (&[String], &[String]),
    missing: &mut Vec<String>,
) {
    let is_needed = |name: &String| other_all.contains(name) || other_any == std::slice::from_ref(name);
    missing.extend(all.iter().filter(|name| !is_needed(name)).map(|name| format!("no {what} `{name}`")));
    let one_is_needed =
        any.iter().any(is_needed) || !other_any.is_empty() && other_any.iter().all(|name| any.contains(name));
    if !any.is_empty() && !one_is_needed {
        missing.push(format!("none of the {what}s `{}`", any.join("`, `")));
    }
}

const NO_CREDENTIAL: &str = "no credential";
