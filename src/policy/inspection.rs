//! A request that may pass by its headers and whose body has to be judged first: nothing of it goes on before.

use std::rc::Rc;
use std::time::Duration;

use super::Policy;
use super::audit::{AuditRecord, Outcome};
use super::checks::body::{Body, BodyCheck, crowded};
use super::decision::{Decision, Reply, ResponsePlan, Verdict};
use super::forward::Forward;
use super::rejection::Rejection;

/// A request that waits for its own body. What it would become comes out only of [`Policy::inspect`].
#[derive(Debug)]
pub struct Inspection {
    check: Rc<BodyCheck>,
    is_json: bool,
    forward: Forward,
    audit: AuditRecord<'static>,
    plan: ResponsePlan,
}

impl Inspection {
    pub(super) fn new(
        check: Rc<BodyCheck>,
        is_json: bool,
        forward: Forward,
        audit: AuditRecord<'_>,
        plan: ResponsePlan,
    ) -> Inspection {
        Inspection { check, is_json, forward, audit: audit.into_owned(), plan }
    }

    /// How many bytes of its own the request keeps in memory while its body arrives.
    pub fn kept_bytes(&self) -> usize {
        size_of::<Inspection>() + self.forward.kept_bytes() + self.audit.path.len() + self.audit.method.len()
    }

    /// Whether a body that has grown to this size is too large already.
    pub fn is_too_large(&self, size: usize) -> bool {
        u64::try_from(size).unwrap_or(u64::MAX) > self.check.most_bytes
    }
}

impl Policy {
    /// The reply to a request that is refused after it was let through: what passed of it was too much.
    pub fn refuse(&self, rejection: &Rejection, plan: &ResponsePlan, now: Duration) -> Reply {
        self.refusals.reply(rejection, plan, None, now)
    }

    /// The second half of a verdict: the request goes on, or is refused for what its body is.
    pub fn inspect(&self, inspection: Inspection, body: Body<'_>, now: Duration) -> Verdict<'static> {
        let Inspection { check, is_json, forward, audit, plan } = inspection;
        match check.judge(body, is_json) {
            Ok(()) => Verdict { decision: Decision::Forward(forward), audit, response: plan },
            Err(rejection) => self.refuse_held(rejection, audit, plan, now),
        }
    }

    /// The verdict about a request that waits for something while more of its body arrives than the worker may hold.
    pub fn refuse_crowded(&self, audit: AuditRecord<'static>, plan: ResponsePlan, now: Duration) -> Verdict<'static> {
        self.refuse_held(crowded(), audit, plan, now)
    }

    fn refuse_held(
        &self,
        rejection: Rejection,
        mut audit: AuditRecord<'static>,
        plan: ResponsePlan,
        now: Duration,
    ) -> Verdict<'static> {
        let reply = self.refuse(&rejection, &plan, now);
        audit.outcome = Outcome::Deny;
        audit.status = Some(reply.status);
        audit.code = Some(rejection.kind.appearance().code);
        audit.reason = rejection.reason;
        audit.detail = rejection.detail;
        Verdict { decision: Decision::Reply(reply), audit, response: plan }
    }
}
