//! The state of one request.
//!
//! The filter keeps this state while the request waits and until the request ends, and builds the response and the audit record
//! from it.

use std::borrow::Cow;
use std::sync::Arc;

use super::decision::Decision;
use super::forward::Forward;
use super::inspection::Inspection;
use super::rule::{Rule, StaticAnswer};
use crate::policy::authority::authorize::Grant;
use crate::policy::checks::{BodyPlan, Checks};
use crate::policy::credentials::caller::Caller;
use crate::policy::request::Request;
use crate::policy::request::guard::{self, SafePath};
use crate::policy::respond::cors::PreflightAnswer;
use crate::policy::respond::held::ResponseMapping;
use crate::policy::respond::refusal::{ReplyRenderer, RouteCredentials};
use crate::policy::verdict::audit::{AcceptedCredential, AuditRecord, Outcome};
use crate::policy::verdict::plan::ResponsePlan;
use crate::policy::verdict::rejection::{Rejection, RejectionKind};
use crate::policy::verdict::reply::Reply;
use crate::policy::world::World;

/// The state of one request. Pass the same value to every call of [`crate::policy::Policy`] for this request.
#[derive(Debug, Default)]
pub struct Progress {
    /// The audit record. Each stage adds its results to the record.
    pub audit: AuditRecord,
    /// The response headers that are known so far, and whether the client uses gRPC.
    pub plan: ResponsePlan,
    pub(in crate::policy) rule: Option<Arc<Rule>>,
    /// The client's target without credentials, for the `self` link of a mapped response; empty if the route maps no responses.
    pub(in crate::policy) self_target: String,
    /// Whether the arrival limits have counted the request. They count it once, even if the request is decided several times.
    pub(in crate::policy) arrived: bool,
}

impl Progress {
    /// Prepares for another decision after a wait. The next decision runs all stages again, because the time and the polled
    /// documents may have changed. It repeats no side effect: the request keeps its id and the results of the limits that have
    /// counted it.
    pub(in crate::policy) fn resume(&mut self) {
        let Progress { audit, plan, arrived, .. } = std::mem::take(self);
        self.arrived = arrived;
        self.plan.request_id = plan.request_id;
        self.plan.budget = plan.budget;
        self.audit.would_limit = audit.would_limit;
    }

    /// Records the method. Does not allocate for the usual methods.
    pub(in crate::policy) fn record_method(&mut self, method: &str) {
        const USUAL: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
        let usual = USUAL.into_iter().find(|usual| *usual == method);
        self.audit.method = usual.map_or_else(|| method.to_string().into(), Cow::Borrowed);
    }

    /// Validates the target with the guard, so that the routes match the same path that is forwarded.
    pub(in crate::policy) fn guard_target<'r>(
        &mut self,
        request: &Request<'r>,
        world: &mut World<'_>,
    ) -> Result<SafePath<'r>, Rejection> {
        match guard::read_target(request.target) {
            Ok(target) => {
                self.audit.path = target.path().to_string();
                Ok(target)
            }
            Err(fault) => {
                world.note("guard", || format!("the path is refused: {}", fault.reason()));
                Err(Rejection::new(RejectionKind::BadRequest, fault.reason()))
            }
        }
    }

    pub(in crate::policy) fn enter(&mut self, rule: &Arc<Rule>, request: &Request<'_>) {
        self.rule = Some(rule.clone());
        self.audit.route = Some(rule.name.clone());
        self.plan.cors = rule.cors.as_ref().map(|cors| cors.response(request.origin.value()));
    }

    /// Returns the response mapping of the matched route; `None` if the route maps no responses.
    pub(in crate::policy) fn mapping(&self) -> Option<&Arc<ResponseMapping>> {
        self.rule.as_ref()?.mapping()
    }

    /// Returns `true` if the checks of the matched route may hold the request's body.
    pub fn may_hold_body(&self) -> bool {
        self.rule.as_ref().and_then(|rule| rule.checks.as_ref()?.holds()).is_some()
    }

    /// Records a valid credential. The first recorded credential identifies the caller.
    pub(in crate::policy) fn note_caller(&mut self, caller: &Caller) {
        let accepted = AcceptedCredential {
            credential: caller.kind().word(),
            issuer: caller.issuer_name().cloned(),
            subject: caller.subject.clone(),
            client: caller.client_id.clone(),
            key: caller.key().cloned(),
        };
        match &self.audit.caller {
            None => self.audit.caller = Some(accepted),
            Some(_) => self.audit.also.push(accepted),
        }
    }

    /// Records a shadow limit that would have refused the request.
    pub(in crate::policy) fn note_shadow(&mut self, limit: &Arc<str>) {
        if !self.audit.would_limit.contains(limit) {
            self.audit.would_limit.push(limit.clone());
        }
    }

    pub(in crate::policy) fn allowed(&mut self) {
        self.audit.outcome = Outcome::Allow;
        self.audit.reason = "allowed";
    }

    /// Runs a check if the route has checks. If the route's checks are report-only, records a failure and returns `Ok`.
    pub(in crate::policy) fn examine(
        &mut self,
        rule: &Rule,
        check: impl FnOnce(&Checks) -> Result<(), Rejection>,
    ) -> Result<(), Rejection> {
        let Some(checks) = &rule.checks else { return Ok(()) };
        match check(checks) {
            Err(rejection) if checks.log_only => {
                self.audit.would_refuse.get_or_insert(rejection.reason);
                Ok(())
            }
            result => result,
        }
    }

    /// Decides how to forward a request: immediately, while a [`BodyPlan::Count`] meter counts its body, or after its body was
    /// checked.
    pub(in crate::policy) fn release(&mut self, forward: Forward, rule: &Rule, request: &Request<'_>) -> Decision {
        // The audit record stores only the first failure of report-only checks. If there is one already, the body need not be
        // checked.
        let checks = rule.checks.as_ref().filter(|_| self.audit.would_refuse.is_none());
        match checks.map_or(BodyPlan::Pass, |checks| checks.body(request)) {
            BodyPlan::Pass => {
                self.allowed();
                Decision::Forward(forward)
            }
            BodyPlan::Count(meter) => {
                self.allowed();
                Decision::Forward(forward.metered(meter))
            }
            BodyPlan::Read { check, is_json } => Decision::Inspect(Box::new(Inspection::new(check, is_json, forward))),
        }
    }

    pub(in crate::policy) fn answer(&mut self, answer: &StaticAnswer, _authorised: &Grant) -> Reply {
        self.audit.outcome = Outcome::Answer;
        self.audit.status = Some(answer.status);
        self.audit.reason = "static_route";
        let mut headers = answer.headers.clone();
        if let Some(cors) = &self.plan.cors {
            // Removes the CORS headers of the configured answer, because the CORS policy adds its own. A browser rejects a
            // repeated `Access-Control-Allow-Origin` (Fetch §4.10, step 2).
            headers.retain(|(name, _)| !cors.remove.contains(&name.as_ref()));
        }
        self.plan.add_to_reply(&mut headers);
        Reply { status: answer.status, headers, body: answer.body.clone(), grpc: None, details: "static_route" }
    }

    /// Builds and records the reply to a preflight. The CORS headers in `answer` replace the CORS headers that other replies on
    /// this route get.
    pub(in crate::policy) fn answer_preflight(&mut self, rule: &Rule, answer: PreflightAnswer) -> Reply {
        self.plan.cors = None;
        self.audit.route = Some(rule.name.clone());
        self.audit.outcome = if answer.reason.is_none() { Outcome::Answer } else { Outcome::Deny };
        self.audit.status = Some(answer.status);
        self.audit.reason = answer.reason.unwrap_or("preflight_allowed");
        self.audit.detail = answer.detail;
        let mut headers = answer.headers;
        self.plan.add_to_reply(&mut headers);
        Reply { status: answer.status, headers, body: Arc::from([]), grpc: None, details: self.audit.reason }
    }

    /// Builds and records the reply to a refused request.
    pub(in crate::policy) fn refuse(
        &mut self,
        rejection: Rejection,
        refusals: &ReplyRenderer,
        world: &mut World<'_>,
    ) -> Reply {
        let required = self.rule.as_ref().map(|rule| RouteCredentials {
            auth: &rule.requirements.auth,
            scopes: rule.requirements.scope_text.as_ref(),
        });
        let reply = refusals.reply(&rejection, &self.plan, required, world.now);
        world.note("refuse", || format!("{} ({})", rejection.reason, rejection.kind.appearance().code));
        self.record_refusal(rejection, &reply);
        reply
    }

    pub(in crate::policy) fn record_refusal(&mut self, rejection: Rejection, reply: &Reply) {
        self.audit.outcome = Outcome::Deny;
        self.audit.status = Some(reply.status);
        self.audit.code = Some(rejection.kind.appearance().code);
        self.audit.reason = rejection.reason;
        self.audit.detail = rejection.detail;
    }
}
