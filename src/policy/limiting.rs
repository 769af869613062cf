//! Where in a request's way limits are asked, and what of it client and record are told.

use std::rc::Rc;

use super::Policy;
use super::authenticate::Stop;
use super::authorize::Grant;
use super::exchange::Exchange;
use super::limit::key::Subject;
use super::limit::{Charge, Counted, How, Limit, count, record};
use super::peer::Peer;
use super::rejection::{Kind, Rejection};
use super::request::RequestParts;
use super::rule::Rule;
use super::world::World;
use crate::config::auth::Auth;

impl Policy {
    /// Counts a request that has arrived: once, whatever becomes of it, and not again when it waited and is decided once more.
    pub(super) fn arrive(
        &self,
        rule: Option<&Rule>,
        parts: &RequestParts<'_>,
        world: &mut World<'_>,
        exchange: &mut Exchange<'_, '_>,
    ) -> Result<(), Rejection> {
        let limits = rule.map_or(&self.limits, |rule| &rule.limits);
        if std::mem::replace(&mut exchange.arrived, true) || limits.arrival.is_empty() {
            return Ok(());
        }
        let how = if parts.again { How::Look } else { How::Take };
        spend(&limits.arrival, &subject(rule, parts, world.peer), how, world, exchange)
    }

    /// A request that was stopped before any route was found has arrived all the same, and may have come too often.
    pub(super) fn arrive_late(
        &self,
        rejection: Rejection,
        parts: &RequestParts<'_>,
        world: &mut World<'_>,
        exchange: &mut Exchange<'_, '_>,
    ) -> Rejection {
        self.arrive(None, parts, world, exchange).err().unwrap_or(rejection)
    }
}

impl Rule {
    /// Refuses to look at a credential where too many did not hold. One that was verified before is no attempt at anything.
    pub(super) fn before_authentication(
        &self,
        token: &[u8],
        parts: &RequestParts<'_>,
        world: &mut World<'_>,
        exchange: &mut Exchange<'_, '_>,
    ) -> Result<(), Rejection> {
        if self.limits.failures.is_empty() || world.tokens.get(token).is_some() {
            return Ok(());
        }
        let subject = subject(Some(self), parts, world.peer);
        let charges = charges(&self.limits.failures, &subject, world);
        let counted = count(&charges, How::Try, world.now, world.limits);
        refusal(&charges, counted, "too_many_failed_authentications", world, exchange)
    }

    /// Counts a credential that did not hold. One whose time is over did hold, and keys that cannot be had are not its fault.
    pub(super) fn after_authentication(&self, stop: Stop, parts: &RequestParts<'_>, world: &mut World<'_>) -> Stop {
        if let Stop::Refuse(Rejection { kind, .. }) = &stop
            && matches!(kind, Kind::InvalidToken | Kind::InvalidTokenRequest | Kind::InvalidCredential)
        {
            let charges = charges(&self.limits.failures, &subject(Some(self), parts, world.peer), world);
            record(&charges, world.now, world.limits);
        }
        stop
    }

    /// Counts a request of a caller who may make it. Where nobody is asked there is no caller to count.
    pub(super) fn spend(
        &self,
        auth: &Auth,
        grant: &Grant,
        parts: &RequestParts<'_>,
        world: &mut World<'_>,
        exchange: &mut Exchange<'_, '_>,
    ) -> Result<(), Rejection> {
        if *auth == Auth::None || self.limits.caller.is_empty() {
            return Ok(());
        }
        let subject = Subject { caller: grant.caller(), ..subject(Some(self), parts, world.peer) };
        spend(&self.limits.caller, &subject, How::Take, world, exchange)
    }
}

pub(super) fn subject<'s>(rule: Option<&'s Rule>, parts: &RequestParts<'s>, peer: &'s dyn Peer) -> Subject<'s> {
    Subject { peer, headers: parts.headers, route: rule.map_or("", |rule| &rule.name), caller: None }
}

fn charges<'l>(limits: &'l [Rc<Limit>], subject: &Subject<'_>, world: &World<'_>) -> Vec<Charge<'l>> {
    let hash_key = world.limits.hash_key();
    limits.iter().filter_map(|limit| limit.charge(subject, hash_key)).collect()
}

pub(super) fn spend(
    limits: &[Rc<Limit>],
    subject: &Subject<'_>,
    how: How,
    world: &mut World<'_>,
    exchange: &mut Exchange<'_, '_>,
) -> Result<(), Rejection> {
    let charges = charges(limits, subject, world);
    let counted = count(&charges, how, world.now, world.limits);
    for (charge, standing) in charges.iter().zip(&counted.standings).filter(|(charge, _)| !charge.limit.shadow) {
        if let Some(standing) = standing {
            world.note("limit", || format!("{}: {} left of {}", standing.window, standing.left, standing.most));
            exchange.plan.budget.add(&charge.meter.policy, standing.clone());
        }
    }
    refusal(&charges, counted, "rate_limited", world, exchange)
}

/// Writes down what limits refused, or would have, and refuses.
fn refusal(
    charges: &[Charge<'_>],
    counted: Counted,
    reason: &'static str,
    world: &mut World<'_>,
    exchange: &mut Exchange<'_, '_>,
) -> Result<(), Rejection> {
    for name in &counted.would {
        world.note("limit", || format!("{name}: would refuse, and is a shadow only"));
    }
    exchange.audit.would_limit.extend(counted.would);
    let Some(refused) = counted.refused else { return Ok(()) };
    let seconds = refused.standing.seconds;
    world.note("limit", || format!("{}: nothing left for {seconds} s", refused.standing.window));
    exchange.audit.limit = Some(refused.standing.window.clone());
    if reason == "rate_limited"
        && let Some(charge) = charges.get(refused.charge)
    {
        for charge in charges.iter().filter(|charge| !charge.limit.shadow) {
            exchange.plan.budget.list(&charge.meter.policy);
        }
        exchange.plan.budget.refused(&charge.meter.policy, refused.standing);
    }
    let reason = if refused.contended { "limit_contended" } else { reason };
    Err(Rejection::new(Kind::RateLimited(u32::try_from(seconds).unwrap_or(u32::MAX)), reason))
}
