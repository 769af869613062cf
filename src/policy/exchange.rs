//! What is known about one request so far: what its reply and its record are made of when a stage stops it.

use std::rc::Rc;

use super::audit::{AuditRecord, Outcome, Witness};
use super::authorize::Grant;
use super::caller::Caller;
use super::checks::{BodyPlan, Checks};
use super::cors::PreflightAnswer;
use super::decision::{Decision, Reply, ResponsePlan};
use super::forward::Forward;
use super::guard::{self, SafePath};
use super::inspection::Inspection;
use super::rejection::{Kind, Rejection};
use super::reply::{Asked, Refusals};
use super::request::Request;
use super::rule::{Rule, StaticAnswer};
use super::world::World;

/// What is known about a request so far; what the reply and the record are made of when a stage stops it.
#[derive(Debug, Default)]
pub(super) struct Exchange<'p, 'r> {
    pub(super) audit: AuditRecord<'r>,
    pub(super) plan: ResponsePlan,
    pub(super) rule: Option<&'p Rule>,
    /// The limits on what arrives have been asked.
    pub(super) arrived: bool,
}

impl<'p, 'r> Exchange<'p, 'r> {
    /// Makes the target safe, or refuses it: what is matched is what is forwarded.
    pub(super) fn guard_target(
        &mut self,
        request: &Request<'r>,
        world: &mut World<'_>,
    ) -> Result<SafePath<'r>, Rejection> {
        match guard::read_target(request.target) {
            Ok(target) => {
                self.audit.path = target.path().to_string().into();
                Ok(target)
            }
            Err(fault) => {
                world.note("guard", || format!("the path is refused: {}", fault.reason()));
                Err(Rejection::new(Kind::BadRequest, fault.reason()))
            }
        }
    }

    pub(super) fn enter(&mut self, rule: &'p Rule, request: &Request<'_>) {
        self.rule = Some(rule);
        self.audit.route = Some(rule.name.clone());
        self.plan.cors = rule.cors.as_ref().map(|cors| cors.response(request.origin.value()));
    }

    pub(super) fn note_caller(&mut self, caller: &Caller) {
        self.audit.credential = Some(caller.kind().word());
        self.audit.issuer = caller.issuer_name().cloned();
        self.audit.subject = caller.subject.clone();
        self.audit.client = caller.client_id.clone();
        self.audit.key = caller.key().cloned();
    }

    /// Writes down a further credential that holds.
    pub(super) fn note_witness(&mut self, caller: &Caller) {
        self.audit.also.push(Witness {
            credential: caller.kind().word(),
            issuer: caller.issuer_name().cloned(),
            subject: caller.subject.clone(),
            client: caller.client_id.clone(),
            key: caller.key().cloned(),
        });
    }

    pub(super) fn allowed(&mut self) {
        self.audit.outcome = Outcome::Allow;
        self.audit.reason = "allowed";
    }

    /// Runs checks of the route's, if it has any: a refusal, or where they only write down, a note in the record.
    pub(super) fn examine(
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

    /// Lets a request go on: at once, counted on its way, or when its body has been judged.
    pub(super) fn release(&mut self, forward: Forward, rule: &Rule, request: &Request<'_>) -> Decision {
        // One reason is enough for a record that only says what would have been.
        let checks = rule.checks.as_ref().filter(|_| self.audit.would_refuse.is_none());
        match checks.map_or(BodyPlan::Pass, |checks| checks.body(request)) {
            BodyPlan::Pass => Decision::Forward(forward),
            BodyPlan::Count(meter) => Decision::Forward(forward.metered(meter)),
            BodyPlan::Read { check, is_json } => {
                let (audit, plan) = (self.audit.clone(), self.plan.clone());
                Decision::Inspect(Box::new(Inspection::new(check, is_json, forward, audit, plan)))
            }
        }
    }

    pub(super) fn answer(&mut self, answer: &StaticAnswer, _authorised: &Grant) -> Reply {
        self.audit.outcome = Outcome::Answer;
        self.audit.status = Some(answer.status);
        self.audit.reason = "static_route";
        let mut headers = answer.headers.clone();
        if let Some(cors) = &self.plan.cors {
            // Two `Access-Control-Allow-Origin` are none to a browser (Fetch §4.10, step 2): the policy is the only source.
            headers.retain(|(name, _)| !cors.remove.contains(&name.as_ref()));
        }
        self.plan.add_to_reply(&mut headers);
        Reply { status: answer.status, headers, body: answer.body.clone(), grpc: None, details: "static_route" }
    }

    /// The reply to a preflight, which has the CORS headers of its own answer, and the record of it.
    pub(super) fn answer_preflight(&mut self, rule: &Rule, answer: PreflightAnswer) -> Reply {
        self.plan.cors = None;
        self.audit.route = Some(rule.name.clone());
        self.audit.outcome = if answer.reason.is_none() { Outcome::Answer } else { Outcome::Deny };
        self.audit.status = Some(answer.status);
        self.audit.reason = answer.reason.unwrap_or("preflight_allowed");
        self.audit.detail = answer.detail;
        let mut headers = answer.headers;
        self.plan.add_to_reply(&mut headers);
        Reply { status: answer.status, headers, body: Rc::from([]), grpc: None, details: self.audit.reason }
    }

    /// The reply to a refused request, and the record of it.
    pub(super) fn refuse(&mut self, rejection: Rejection, refusals: &Refusals, world: &mut World<'_>) -> Reply {
        let asked = self
            .rule
            .map(|rule| Asked { auth: &rule.requirements.auth, scopes: rule.requirements.scope_text.as_ref() });
        let reply = refusals.reply(&rejection, &self.plan, asked, world.now);
        world.note("refuse", || format!("{} ({})", rejection.reason, rejection.kind.appearance().code));
        self.audit.outcome = Outcome::Deny;
        self.audit.status = Some(reply.status);
        self.audit.code = Some(rejection.kind.appearance().code);
        self.audit.reason = rejection.reason;
        self.audit.detail = rejection.detail;
        reply
    }
}
