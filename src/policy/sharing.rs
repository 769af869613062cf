//! Where limits that several proxies share are asked: after it is known who calls and that he may, before anything is counted here.

mod descriptor;

use std::rc::Rc;
use std::time::Duration;

use super::authenticate::Stop;
use super::authorize::Grant;
use super::decision::{Await, Awaited};
use super::exchange::Exchange;
use super::limit::budget::Standing as Budgeted;
use super::limit::key::Subject;
use super::limit::{How, Limit};
use super::limiting::{spend, subject};
use super::quota::{AccountId, Rest, SharedLimit, Standing};
use super::rejection::{Kind, Rejection};
use super::request::RequestParts;
use super::rule::Rule;
use super::world::World;
use crate::config::auth::Auth;
use crate::config::limit::service::OnFailure;

/// How a limit is shared.
#[derive(Debug)]
pub struct Sharing {
    /// What the service is asked.
    pub limit: Rc<SharedLimit>,
    /// What holds while it does not answer.
    pub on_failure: OnFailure,
}

/// Hits that were found free, to be spent when nothing else stops the request.
#[must_use]
#[derive(Debug, Default)]
pub(super) struct Reserved(Vec<AccountId>);

impl Reserved {
    pub(super) fn spend(self, world: &mut World<'_>) {
        for account in self.0 {
            world.quotas.spend(account);
        }
    }
}

impl Rule {
    /// Asks every shared limit for one hit. All of them are asked before any is spent, so that a request that waits for one,
    /// or that one refuses, costs none; and all calls that are needed run at the same time.
    pub(super) fn reserve(
        &self,
        auth: &Auth,
        grant: &Grant,
        parts: &RequestParts<'_>,
        world: &mut World<'_>,
        exchange: &mut Exchange<'_, '_>,
    ) -> Result<Reserved, Stop> {
        let limits = self.limits.shared.iter().filter(|limit| *auth != Auth::None || !limit.needs_caller());
        let subject = Subject { caller: grant.caller(), ..subject(Some(self), parts, world.peer) };
        let (mut reserved, mut told, mut local) = (Reserved::default(), Vec::new(), Vec::new());
        let mut asked: Vec<(AccountId, &Limit)> = Vec::new();
        let mut refused: Option<(Duration, AccountId, &Limit)> = None;
        let mut wait = None;
        for limit in limits {
            let Some(sharing) = &limit.sharing else { continue };
            let descriptor = descriptor::of(limit, &subject);
            let (account, standing) = world.quotas.standing(&sharing.limit, &descriptor, parts.received_at, world.now);
            let now = world.now;
            world.note("limit", || format!("{}: the rate limit service {}", limit.name, standing.describe(now)));
            if !limit.shadow && matches!(standing, Standing::Free | Standing::Over(_)) {
                asked.push((account, limit));
            }
            match standing {
                Standing::Free => {
                    reserved.0.push(account);
                    told.extend((!limit.shadow).then_some((account, limit)));
                }
                Standing::Over(_) if limit.shadow => exchange.audit.would_limit.push(limit.name.clone()),
                Standing::Over(until) if refused.is_none_or(|(other, ..)| until > other) => {
                    refused = Some((until, account, limit));
                }
                Standing::Over(_) => {}
                Standing::Wait(until) => wait = wait.or(Some(Await { on: Awaited::Quota(account), until })),
                Standing::Failed | Standing::Late if limit.shadow => {}
                Standing::Failed | Standing::Late => match (sharing.on_failure, standing) {
                    (OnFailure::Local, _) => local.push(limit.clone()),
                    (OnFailure::Open, Standing::Failed) => exchange.audit.uncounted.push(limit.name.clone()),
                    // A client can keep a worker busy. That must not lift a limit.
                    (_, standing) => {
                        let reason = match standing {
                            Standing::Late => "rate_limit_worker_busy",
                            _ => "rate_limit_service_unavailable",
                        };
                        exchange.audit.limit = Some(limit.name.clone());
                        return Err(Rejection::new(Kind::LimitUnavailable, reason).into());
                    }
                },
            }
        }
        if let Some((until, account, limit)) = refused {
            let rest = world.quotas.rest(account, world.now);
            self.list_limits(auth, &local, &asked, &subject, world, exchange);
            return Err(refuse(limit, &subject, until - world.now, rest, exchange).into());
        }
        if let Some(wait) = wait {
            return Err(Stop::Wait(wait));
        }
        exchange.audit.uncounted.extend(local.iter().map(|limit| limit.name.clone()));
        let spent = spend(&local, &subject, How::Take, world, exchange);
        if spent.is_err() {
            self.list_limits(auth, &local, &asked, &subject, world, exchange);
        }
        spent?;
        for (account, limit) in told {
            let rest = world.quotas.rest(account, world.now);
            if let (Some(left), Some(reset)) = (rest.remaining, rest.reset) {
                let (policy, most) = policy(limit, &subject, rest);
                let left = u64::from(left).saturating_sub(1);
                exchange
                    .plan
                    .budget
                    .add(&policy, Budgeted { window: limit.name.clone(), most, left, seconds: seconds(reset) });
            }
        }
        Ok(reserved)
    }

    /// Lists the windows of every limit on the caller of a request that one of them refuses: limits counted here while the
    /// service fails, limits that the service counts, and the limits that would have been asked next.
    fn list_limits(
        &self,
        auth: &Auth,
        local: &[Rc<Limit>],
        asked: &[(AccountId, &Limit)],
        subject: &Subject<'_>,
        world: &mut World<'_>,
        exchange: &mut Exchange<'_, '_>,
    ) {
        let shared =
            asked.iter().map(|(account, limit)| policy(limit, subject, world.quotas.rest(*account, world.now)).0);
        let next: &[Rc<Limit>] = if *auth == Auth::None { &[] } else { &self.limits.caller };
        for policy in policies(local, subject).chain(shared).chain(policies(next, subject)) {
            exchange.plan.budget.list(&policy);
        }
    }
}

fn refuse(
    limit: &Limit,
    subject: &Subject<'_>,
    wait: Duration,
    rest: Rest,
    exchange: &mut Exchange<'_, '_>,
) -> Rejection {
    let seconds = seconds(wait).max(1);
    let (policy, most) = policy(limit, subject, rest);
    exchange.plan.budget.refused(&policy, Budgeted { window: limit.name.clone(), most, left: 0, seconds });
    exchange.audit.limit = Some(limit.name.clone());
    Rejection::new(Kind::RateLimited(u32::try_from(seconds).unwrap_or(u32::MAX)), "rate_limited")
}

/// The windows of limits that this proxy counts, as `RateLimit-Policy` lists them.
fn policies<'l>(limits: &'l [Rc<Limit>], subject: &'l Subject<'_>) -> impl Iterator<Item = Rc<str>> + 'l {
    let meters = limits.iter().filter(|limit| !limit.shadow).filter_map(|limit| limit.meter(subject));
    meters.map(|meter| meter.policy.clone())
}

/// The limit as clients are told it, and its number. The service's number counts; where it is the document's too, so does all
/// else that the document says of the limit.
fn policy(limit: &Limit, subject: &Subject<'_>, rest: Rest) -> (Rc<str>, u64) {
    let meter = limit.meter(subject);
    let written = meter.and_then(|meter| meter.titles.first()).map(|(_, most)| *most);
    match (rest.limit.map(u64::from), meter, written) {
        (Some(told), Some(meter), Some(written)) if told == written => (meter.policy.clone(), told),
        (Some(told), ..) => (format!("\"{}\";q={told}", limit.name).into(), told),
        (None, Some(meter), written) => (meter.policy.clone(), written.unwrap_or_default()),
        (None, None, _) => (format!("\"{}\"", limit.name).into(), 0),
    }
}

/// Whole seconds, rounded up.
fn seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests;
