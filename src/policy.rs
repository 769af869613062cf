//! The decision core: a compiled policy, and one function that decides about one request. It reads no clock, file or network.

pub mod algorithm;
pub mod audit;
pub mod authenticate;
pub mod authorize;
pub mod compile;
pub mod condition;
pub mod cors;
pub mod credential;
pub mod decision;
mod exchange;
pub mod forward;
mod granting;
pub mod guard;
pub mod identity;
pub mod issuer;
pub mod jwks;
pub mod local_reply;
pub mod origin;
pub mod peer;
pub mod permission;
pub mod polled;
pub mod rejection;
pub mod reply;
pub mod request;
pub mod route;
mod routing;
pub mod rule;
pub mod scopes;
pub mod signature;
pub mod token;
pub mod token_cache;
pub mod world;

use std::rc::Rc;
use std::time::Duration;

use authenticate::{Authenticator, Caller, Stop};
use authorize::Requirements;
use condition::Circumstances;
use cors::CorsPolicy;
use decision::{Decision, HeaderEdit, Reply, ResponsePlan, Verdict};
use exchange::Exchange;
use forward::{Forward, Passage};
use guard::SafePath;
use identity::IdentityHeaders;
use issuer::Issuer;
use permission::PermissionRegistry;
use polled::{PollPlan, Polled};
use rejection::{Kind, Rejection};
use reply::Refusals;
use request::{Request, RequestParts};
use route::RouteTable;
use routing::Taken;
use rule::{Action, Rule};
use scopes::ScopeRegistry;
use world::World;

use crate::config::document::{Audit, Auth, TokenSource};

/// A compiled document. Immutable; nothing in it is checked again per request.
#[derive(Debug)]
pub struct Policy {
    issuers: Vec<Issuer>,
    plans: Vec<PollPlan>,
    sources: Vec<TokenSource>,
    scopes: ScopeRegistry,
    permissions: PermissionRegistry,
    identity: IdentityHeaders,
    cors: Option<Rc<CorsPolicy>>,
    routes: RouteTable<Rc<Rule>>,
    /// Paths open to everyone; their rules hold where no route does.
    public: RouteTable<Rc<Rule>>,
    /// What is asked of callers on a public path: nothing.
    open: Requirements,
    refusals: Refusals,
    audit: Audit,
}

impl Policy {
    /// Decides about one request. The same policy, world and request give the same verdict.
    pub fn decide<'r>(&self, parts: &RequestParts<'r>, world: &mut World<'_>) -> Verdict<'r> {
        let mut exchange = Exchange::default();
        let decision = match self.pipeline(parts, world, &mut exchange) {
            Ok(decision) => decision,
            Err(Stop::Wait(wait)) => Decision::Await(wait),
            Err(Stop::Refuse(rejection)) => Decision::Reply(exchange.refuse(rejection, &self.refusals, world)),
        };
        Verdict { decision, audit: exchange.audit, response: exchange.plan }
    }

    /// The stages, in their order; any of them may stop the request.
    fn pipeline<'p, 'r>(
        &'p self,
        parts: &RequestParts<'r>,
        world: &mut World<'_>,
        exchange: &mut Exchange<'p, 'r>,
    ) -> Result<Decision, Stop> {
        let request = self.guard(parts, world, exchange)?;
        let target = exchange.guard_target(&request, world)?;
        let host = guard::read_host(request.authority).map_err(|f| Rejection::new(Kind::BadRequest, f.reason()))?;
        if let Some(reply) = self.preflight(&request, host.name(), target.path(), world, exchange)? {
            return Ok(Decision::Reply(reply));
        }
        let Taken { rule, tail, params } = self.route(&request, host.name(), target.path(), world, exchange)?;
        let mut edits = Vec::with_capacity(8);
        exchange.audit.spoofed = self.identity.strip(request.headers, &mut edits);
        let requirements = self.requirements(rule, target.path(), world);
        let caller = self.caller(requirements, &request, &target, parts.received_at, world)?;
        exchange.note_caller(caller.as_deref());
        let (request, target) = (&request, &target);
        let circumstances =
            Circumstances { request, host: host.name(), target, params, peer: world.peer, now: world.now };
        let grant = self.grant(requirements, caller, &circumstances, world)?;
        Ok(match &rule.action {
            Action::Answer(answer) => Decision::Reply(exchange.answer(answer, &grant)),
            Action::Forward(to) => {
                let passage =
                    Passage { request, target, tail, sources: &self.sources, request_id: &exchange.plan.request_id };
                let forward = Forward::new(&grant, to, &passage, edits);
                exchange.allowed();
                world.note("forward", || to.describe());
                Decision::Forward(forward)
            }
        })
    }

    /// Reads the request and gives it an id. CORS of the document holds until a route says otherwise.
    fn guard<'r>(
        &self,
        parts: &RequestParts<'r>,
        world: &mut World<'_>,
        exchange: &mut Exchange<'_, 'r>,
    ) -> Result<Request<'r>, Rejection> {
        let request = Request::read(parts);
        let known = request.as_ref().ok();
        let id = known.and_then(Request::usable_request_id);
        exchange.plan.request_id = id.map_or_else(|| (world.fresh_id)().into(), Rc::from);
        exchange.audit.request_id = exchange.plan.request_id.clone();
        if let Some(request) = known {
            exchange.audit.method = request.method;
            exchange.plan.grpc = request.grpc;
            exchange.plan.cors = self.cors.as_ref().map(|cors| cors.response(request.origin.value()));
        }
        request
    }

    /// What is asked of callers here: a public path is open whatever its route says.
    fn requirements<'p>(&'p self, rule: &'p Rule, path: &str, world: &mut World<'_>) -> &'p Requirements {
        let is_public = self.is_public(path);
        if is_public {
            world.note("authenticate", || "the path is public: nobody is asked".to_string());
        }
        if is_public { &self.open } else { &rule.requirements }
    }

    /// The caller, if one is asked for and the request has a token. A token that is present and bad always refuses.
    fn caller(
        &self,
        requirements: &Requirements,
        request: &Request<'_>,
        target: &SafePath<'_>,
        received_at: Duration,
        world: &mut World<'_>,
    ) -> Result<Option<Rc<Caller>>, Stop> {
        if requirements.auth == Auth::None {
            return Ok(None);
        }
        let Some(credential) = credential::find(request, target.query(), &self.sources)? else { return Ok(None) };
        let authenticator = Authenticator {
            issuers: &self.issuers,
            scopes: &self.scopes,
            permissions: &self.permissions,
            identity: &self.identity,
        };
        let caller = authenticator.authenticate(&credential, received_at, world)?;
        world.note("authenticate", || format!("caller {:?} of issuer {}", caller.subject, caller.issuer_name));
        Ok(Some(caller))
    }

    /// What takes the place of a reply that the proxy made by itself; `None` when it is the upstream's own.
    pub fn translate_local_reply(
        &self,
        status: u16,
        details: &str,
        plan: &ResponsePlan,
        now: Duration,
    ) -> Option<(Reply, &'static str)> {
        local_reply::translate(&self.refusals, status, details, plan, now)
    }

    /// The edits that remove what only the gateway may say from a map of headers or trailers.
    pub fn forged(&self, sent: &[(&[u8], &[u8])]) -> Vec<HeaderEdit> {
        let mut edits = Vec::new();
        self.identity.strip(sent, &mut edits);
        edits
    }

    /// The documents that this policy polls, none of them fetched yet.
    pub fn polled(&self) -> Polled {
        Polled::new(self.plans.iter().cloned())
    }

    /// Where audit records go.
    pub fn audit(&self) -> Audit {
        self.audit
    }

    /// The permissions there are, for the tools.
    pub fn permissions(&self) -> &PermissionRegistry {
        &self.permissions
    }

    /// Whether a path is open to everyone.
    pub fn is_public(&self, path: &str) -> bool {
        !self.public.is_empty() && self.public_rule(path).is_some()
    }

    /// The routes, for the tools.
    pub fn routes(&self) -> &RouteTable<Rc<Rule>> {
        &self.routes
    }
}
