//! Counts requests and failed authentications against the limits of a route, and reports the results to clients and operators.

pub mod memory;
pub mod rate_limit;
pub mod rate_limit_client;
pub mod set;
pub mod shared_limit;

use std::sync::Arc;

use super::authority::authorize::Grant;
use super::pipeline::progress::Progress;
use super::pipeline::rule::Rule;
use super::request::RequestParts;
use super::request::peer::Peer;
use super::verdict::rejection::{Rejection, RejectionKind};
use super::verdict::stop::Stop;
use super::world::World;
use crate::config::auth::Auth;
use rate_limit::key::Subject;
use rate_limit::{Charge, CountResult, CountingMode, Limit, count, record};
use set::LimitSet;

/// Counts a request against the arrival limits of its route, or against `unrouted` if it has no route. Counts each request once,
/// even if it is refused or is decided again after a wait.
pub(super) fn arrive(
    unrouted: &LimitSet,
    rule: Option<&Rule>,
    parts: &RequestParts<'_>,
    world: &mut World<'_>,
    progress: &mut Progress,
) -> Result<(), Rejection> {
    let limits = rule.map_or(unrouted, |rule| &rule.limits);
    if std::mem::replace(&mut progress.arrived, true) || limits.arrival.is_empty() {
        return Ok(());
    }
    spend(&limits.arrival, &subject(rule, parts, world.peer), world, progress)
}

/// Refuses a credential if the limits for failed authentications are exhausted. A token in the cache was verified before, so it
/// is never refused here.
pub(super) fn before_authentication(
    rule: &Rule,
    token: &[u8],
    parts: &RequestParts<'_>,
    world: &mut World<'_>,
    progress: &mut Progress,
) -> Result<(), Rejection> {
    if rule.limits.failures.is_empty() || world.tokens.get(token).is_some() {
        return Ok(());
    }
    let subject = subject(Some(rule), parts, world.peer);
    let charges = charges(&rule.limits.failures, &subject, world);
    let counted = count(&charges, CountingMode::Try, world.now, world.limits);
    refusal(&charges, counted, "too_many_failed_authentications", world, progress)
}

/// Counts a failed authentication if the credential is invalid. Expired tokens and failed key fetches do not count.
pub(super) fn after_authentication(rule: &Rule, stop: Stop, parts: &RequestParts<'_>, world: &mut World<'_>) -> Stop {
    if let Stop::Refuse(Rejection { kind, .. }) = &stop
        && matches!(
            kind,
            RejectionKind::InvalidToken | RejectionKind::InvalidTokenRequest | RejectionKind::InvalidCredential
        )
    {
        let charges = charges(&rule.limits.failures, &subject(Some(rule), parts, world.peer), world);
        record(&charges, world.now, world.limits);
    }
    stop
}

/// Counts a request against the limits for authenticated callers. Does nothing on a route without authentication.
pub(super) fn count_caller(
    rule: &Rule,
    auth: &Auth,
    grant: &Grant,
    parts: &RequestParts<'_>,
    world: &mut World<'_>,
    progress: &mut Progress,
) -> Result<(), Rejection> {
    if *auth == Auth::None || rule.limits.caller.is_empty() {
        return Ok(());
    }
    let subject = Subject { caller: grant.caller(), ..subject(Some(rule), parts, world.peer) };
    spend(&rule.limits.caller, &subject, world, progress)
}

pub(super) fn subject<'s>(rule: Option<&'s Rule>, parts: &RequestParts<'s>, peer: &'s dyn Peer) -> Subject<'s> {
    Subject { peer, headers: parts.headers, route: rule.map_or("", |rule| &rule.name), caller: None }
}

fn charges<'l>(limits: &'l [Arc<Limit>], subject: &Subject<'_>, world: &World<'_>) -> Vec<Charge<'l>> {
    let hash_key = world.limits.hash_key();
    limits.iter().filter_map(|limit| limit.charge(subject, hash_key)).collect()
}

pub(super) fn spend(
    limits: &[Arc<Limit>],
    subject: &Subject<'_>,
    world: &mut World<'_>,
    progress: &mut Progress,
) -> Result<(), Rejection> {
    let charges = charges(limits, subject, world);
    let counted = count(&charges, CountingMode::Take, world.now, world.limits);
    for (charge, remaining) in charges.iter().zip(&counted.remaining).filter(|(charge, _)| !charge.limit.shadow) {
        if let Some(remaining) = remaining {
            world.note("limit", || format!("{}: {} left of {}", remaining.window, remaining.left, remaining.most));
            progress.plan.budget.add(&charge.meter.policy, remaining.clone());
        }
    }
    refusal(&charges, counted, "rate_limited", world, progress)
}

/// Records the shadow limits that would have refused the request. If an enforced limit refuses the request, returns the
/// refusal.
fn refusal(
    charges: &[Charge<'_>],
    counted: CountResult,
    reason: &'static str,
    world: &mut World<'_>,
    progress: &mut Progress,
) -> Result<(), Rejection> {
    for name in &counted.would {
        world.note("limit", || format!("{name}: would refuse the request, but is only a shadow limit"));
    }
    counted.would.iter().for_each(|limit| progress.note_shadow(limit));
    let Some(refused) = counted.refused else { return Ok(()) };
    let seconds = refused.remaining.seconds;
    world.note("limit", || {
        format!("{}: exhausted; the next request is allowed in {seconds} s", refused.remaining.window)
    });
    progress.audit.limit = Some(refused.remaining.window.clone());
    if reason == "rate_limited"
        && let Some(charge) = charges.get(refused.charge)
    {
        for charge in charges.iter().filter(|charge| !charge.limit.shadow) {
            progress.plan.budget.list(&charge.meter.policy);
        }
        progress.plan.budget.refused(&charge.meter.policy, refused.remaining);
    }
    let reason = if refused.contended { "limit_contended" } else { reason };
    Err(Rejection::new(RejectionKind::RateLimited(u32::try_from(seconds).unwrap_or(u32::MAX)), reason))
}
