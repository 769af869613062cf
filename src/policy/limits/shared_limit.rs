//! Consults the rate limit service for limits that several proxies share.
//!
//! This stage runs after authorization, and before this proxy counts its own limits for callers.

mod descriptor;

use std::sync::Arc;
use std::time::Duration;

use super::rate_limit::Limit;
use super::rate_limit::key::Subject;
use super::rate_limit_client::{QuotaState, RemainingQuota};
use super::{spend, subject};
use crate::config::auth::Auth;
use crate::config::limit::service::OnFailure;
use crate::policy::authority::authorize::Grant;
use crate::policy::pipeline::progress::Progress;
use crate::policy::pipeline::rule::Rule;
use crate::policy::request::RequestParts;
use crate::policy::verdict::budget::{Remaining as Budgeted, whole_seconds};
use crate::policy::verdict::rejection::{Rejection, RejectionKind};
use crate::policy::verdict::stop::Stop;
use crate::policy::verdict::wait::{Await, Awaited, LeaseId};
use crate::policy::world::World;

/// Reserved hits. They are spent only after all limits have accepted the request.
#[must_use]
#[derive(Debug, Default)]
pub(in crate::policy) struct ReservedHits(Vec<LeaseId>);

impl ReservedHits {
    pub(in crate::policy) fn spend(self, world: &mut World<'_>) {
        for lease in self.0 {
            world.quotas.spend(lease);
        }
    }
}

/// Reserves one hit of every shared limit. Hits are spent later, after all limits were checked. A request that waits or is
/// refused therefore costs no hit, and the calls for all limits run in parallel.
pub(in crate::policy) fn reserve(
    rule: &Rule,
    auth: &Auth,
    grant: &Grant,
    parts: &RequestParts<'_>,
    world: &mut World<'_>,
    progress: &mut Progress,
) -> Result<ReservedHits, Stop> {
    let limits = rule.limits.shared.iter().filter(|limit| *auth != Auth::None || !limit.needs_caller());
    let subject = Subject { caller: grant.caller(), ..subject(Some(rule), parts, world.peer) };
    let asked = ask(limits, &subject, parts, world, progress)?;
    if let Some((until, lease, limit)) = asked.exhausted {
        let rest = world.quotas.remaining(lease, world.now);
        asked.list_limits(rule, auth, &subject, world, progress);
        return Err(refuse(limit, &subject, until - world.now, rest, progress).into());
    }
    if let Some(wait) = asked.wait {
        return Err(Stop::Wait(wait));
    }
    progress.audit.uncounted.extend(asked.local.iter().map(|limit| limit.name.clone()));
    let spent = spend(&asked.local, &subject, world, progress);
    if spent.is_err() {
        asked.list_limits(rule, auth, &subject, world, progress);
    }
    spent?;
    for (lease, limit) in &asked.available {
        report(*lease, limit, &subject, world, progress);
    }
    Ok(asked.reserved)
}

/// The results of all shared limits for one request, grouped by their effect.
#[derive(Default)]
struct ServiceAnswers<'l> {
    reserved: ReservedHits,
    /// Enforced limits that have a hit left.
    available: Vec<(LeaseId, &'l Limit)>,
    /// All enforced limits that the service has answered for.
    answered: Vec<(LeaseId, &'l Limit)>,
    /// The exhausted limit with the longest wait, and the time when it can be used again.
    exhausted: Option<(Duration, LeaseId, &'l Limit)>,
    /// Limits that this proxy counts itself while the service fails.
    local: Vec<Arc<Limit>>,
    /// The wait for the first limit whose answer is missing. The request waits for one answer at a time.
    wait: Option<Await>,
}

fn ask<'l>(
    limits: impl Iterator<Item = &'l Arc<Limit>>,
    subject: &Subject<'_>,
    parts: &RequestParts<'_>,
    world: &mut World<'_>,
    progress: &mut Progress,
) -> Result<ServiceAnswers<'l>, Rejection> {
    let mut asked = ServiceAnswers::default();
    for limit in limits {
        let Some(sharing) = &limit.sharing else { continue };
        let descriptor = descriptor::of(limit, subject);
        let (lease, state) = world.quotas.check(&sharing.limit, &descriptor, parts.received_at, world.now);
        let now = world.now;
        world.note("limit", || format!("{}: the rate limit service {}", limit.name, state.describe(now)));
        match state {
            QuotaState::Free => {
                asked.reserved.0.push(lease);
                if !limit.shadow {
                    asked.answered.push((lease, limit));
                    asked.available.push((lease, limit));
                }
            }
            QuotaState::Over(_) if limit.shadow => progress.note_shadow(&limit.name),
            QuotaState::Over(until) => {
                asked.answered.push((lease, limit));
                if asked.exhausted.is_none_or(|(other, ..)| until > other) {
                    asked.exhausted = Some((until, lease, limit));
                }
            }
            QuotaState::Wait(until) => {
                asked.wait.get_or_insert(Await { on: Awaited::Quota(lease), until });
            }
            QuotaState::Failed | QuotaState::Late if limit.shadow => {}
            QuotaState::Failed | QuotaState::Late => match (sharing.on_failure, state) {
                (OnFailure::Local, _) => asked.local.push(limit.clone()),
                (OnFailure::Open, QuotaState::Failed) => progress.audit.uncounted.push(limit.name.clone()),
                // `OnFailure::Open` does not apply to `Late`: a client can keep a worker busy, and must not bypass a limit that
                // way.
                (_, state) => {
                    progress.audit.limit = Some(limit.name.clone());
                    return Err(Rejection::new(
                        RejectionKind::LimitUnavailable,
                        match state {
                            QuotaState::Late => "rate_limit_worker_busy",
                            _ => "rate_limit_service_unavailable",
                        },
                    ));
                }
            },
        }
    }
    Ok(asked)
}

impl ServiceAnswers<'_> {
    /// Adds all limits to the rate limit headers of a refused request. These are the limits that the service counts, the limits
    /// that this proxy counts while the service fails, and this proxy's own limits for callers, which would have been checked
    /// next.
    fn list_limits(
        &self,
        rule: &Rule,
        auth: &Auth,
        subject: &Subject<'_>,
        world: &mut World<'_>,
        progress: &mut Progress,
    ) {
        let shared = self.answered.iter();
        let shared = shared.map(|(lease, limit)| policy(limit, subject, world.quotas.remaining(*lease, world.now)).0);
        let next: &[Arc<Limit>] = if *auth == Auth::None { &[] } else { &rule.limits.caller };
        for policy in policies(&self.local, subject).chain(shared).chain(policies(next, subject)) {
            progress.plan.budget.list(&policy);
        }
    }
}

/// Reports a limit in the rate limit headers: the hits that remain after this request, and the time until the reset. Does nothing
/// if either value is unknown.
fn report(lease: LeaseId, limit: &Limit, subject: &Subject<'_>, world: &mut World<'_>, progress: &mut Progress) {
    let rest = world.quotas.remaining(lease, world.now);
    if let (Some(left), Some(reset)) = (rest.remaining, rest.reset) {
        let (policy, most) = policy(limit, subject, rest);
        let left = u64::from(left).saturating_sub(1);
        let state = Budgeted { window: limit.name.clone(), most, left, seconds: whole_seconds(reset) };
        progress.plan.budget.add(&policy, state);
    }
}

fn refuse(
    limit: &Limit,
    subject: &Subject<'_>,
    wait: Duration,
    rest: RemainingQuota,
    progress: &mut Progress,
) -> Rejection {
    let seconds = whole_seconds(wait).max(1);
    let (policy, most) = policy(limit, subject, rest);
    progress.plan.budget.refused(&policy, Budgeted { window: limit.name.clone(), most, left: 0, seconds });
    progress.audit.limit = Some(limit.name.clone());
    Rejection::new(RejectionKind::RateLimited(u32::try_from(seconds).unwrap_or(u32::MAX)), "rate_limited")
}

/// Returns the windows of locally counted limits, in the format of `RateLimit-Policy`.
fn policies<'l>(limits: &'l [Arc<Limit>], subject: &'l Subject<'_>) -> impl Iterator<Item = Arc<str>> + 'l {
    let meters = limits.iter().filter(|limit| !limit.shadow).filter_map(|limit| limit.meter(subject));
    meters.map(|meter| meter.policy.clone())
}

/// Returns the limit in the format of `RateLimit-Policy`, and the number of requests that it allows. A number that the service
/// reports takes precedence over the number in the document. If the two numbers differ, the result does not contain the window of
/// the document.
fn policy(limit: &Limit, subject: &Subject<'_>, rest: RemainingQuota) -> (Arc<str>, u64) {
    let meter = limit.meter(subject);
    let written = meter.and_then(|meter| meter.titles.first()).map(|(_, most)| *most);
    match (rest.limit.map(u64::from), meter, written) {
        (Some(reported), Some(meter), Some(written)) if reported == written => (meter.policy.clone(), reported),
        (Some(reported), ..) => (format!("\"{}\";q={reported}", limit.name).into(), reported),
        (None, Some(meter), written) => (meter.policy.clone(), written.unwrap_or_default()),
        (None, None, _) => (format!("\"{}\"", limit.name).into(), 0),
    }
}
