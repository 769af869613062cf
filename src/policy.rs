//! The decision core: a compiled policy, and one function that decides about one request. It reads no clock, file or network.

pub mod algorithm;
pub mod api_key;
pub mod audit;
pub mod authenticate;
pub mod authorize;
pub mod bounds;
pub mod caller;
pub mod checks;
mod civil;
pub mod clients;
pub mod compile;
pub mod condition;
pub mod cors;
pub mod credential;
mod cross_origin;
pub mod decision;
mod exchange;
mod footprint;
pub mod forward;
mod granting;
pub mod guard;
pub mod identity;
pub mod inspection;
pub mod issuer;
pub mod jwks;
pub mod limit;
mod limiting;
pub mod local_reply;
pub mod origin;
mod overrides;
pub mod peer;
pub mod permission;
pub mod polled;
mod prove;
mod query_secrets;
pub mod quota;
pub mod rejection;
pub mod reply;
pub mod request;
pub mod revocation;
pub mod route;
mod routing;
pub mod rule;
#[cfg(any(feature = "schema", not(target_os = "wasi")))]
pub mod schema;
#[cfg(not(any(feature = "schema", not(target_os = "wasi"))))]
#[path = "policy/no_schema.rs"]
pub mod schema;
pub mod scopes;
pub mod sharing;
pub mod signature;
pub mod token;
pub mod token_cache;
pub mod world;

use std::rc::Rc;
use std::time::Duration;

use api_key::KeyPlaces;
use authenticate::Stop;
use authorize::Requirements;
use bounds::MemoryBounds;
use clients::{ClientReader, Clients};
use condition::Circumstances;
use cors::CorsPolicy;
use decision::{Decision, HeaderEdit, Reply, ResponsePlan, Verdict};
use exchange::Exchange;
use forward::{Forward, Passage};
use identity::IdentityHeaders;
use issuer::Issuer;
use limit::budget::Budget;
use limit::set::LimitSet;
use permission::PermissionRegistry;
use polled::{PollPlan, Polled, What};
use prove::Presented;
use rejection::{Kind, Rejection};
use reply::Refusals;
use request::{Request, RequestParts};
use revocation::Revocation;
use route::RouteTable;
use routing::Taken;
use rule::{Action, Rule};
use scopes::ScopeRegistry;
use world::World;

use crate::config::document::{Audit, TokenSource};
use crate::config::limit::LimitHeaders;

/// A compiled document. Immutable; nothing in it is checked again per request.
#[derive(Debug)]
pub struct Policy {
    issuers: Rc<[Issuer]>,
    plans: Vec<PollPlan>,
    sources: Vec<TokenSource>,
    key_places: KeyPlaces,
    clients: Clients,
    revocation: Option<Revocation>,
    scopes: Rc<ScopeRegistry>,
    permissions: Rc<PermissionRegistry>,
    identity: Rc<IdentityHeaders>,
    cors: Option<Rc<CorsPolicy>>,
    routes: RouteTable<Rc<Rule>>,
    /// Paths open to everyone; their rules hold where no route does.
    public: RouteTable<Rc<Rule>>,
    /// What is asked of callers on a public path: nothing.
    open: Requirements,
    /// The limits of requests that no route takes.
    limits: LimitSet,
    limit_headers: LimitHeaders,
    asks_rate_limits: bool,
    refusals: Refusals,
    audit: Audit,
    bounds: MemoryBounds,
}

impl Policy {
    /// Decides about one request. The same policy, world and request give the same verdict.
    pub fn decide<'r>(&self, parts: &RequestParts<'r>, world: &mut World<'_>) -> Verdict<'r> {
        let mut exchange = Exchange::default();
        let decision = match self.pipeline(parts, world, &mut exchange) {
            Ok(decision) => decision,
            Err(Stop::Wait(wait)) => Decision::Await(wait),
            Err(Stop::Refuse(rejection)) => {
                let rejection = self.arrive_late(rejection, parts, world, &mut exchange);
                Decision::Reply(exchange.refuse(rejection, &self.refusals, world))
            }
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
        if let Some(reply) = self.preflight(parts, &request, host.name(), target.path(), world, exchange)? {
            return Ok(Decision::Reply(reply));
        }
        let Taken { rule, tail, params } = self.route(&request, host.name(), target.path(), world, exchange)?;
        self.arrive(Some(rule), parts, world, exchange)?;
        let mut edits = Vec::with_capacity(8);
        exchange.examine(rule, |checks| checks.measure(&request))?;
        exchange.audit.spoofed = self.identity.strip(request.headers, &mut edits);
        overrides::strip(request.headers, &mut edits);
        let requirements = self.requirements(rule, target.path(), world);
        let (request, target) = (&request, &target);
        let presented = Presented { rule, parts, request, target, host: &host };
        let callers = self.prove(requirements, presented, world, exchange)?;
        let circumstances =
            Circumstances { request, host: host.name(), target, params, peer: world.peer, now: world.now };
        let grant = self.grant(requirements, callers, &circumstances, world)?;
        let reserved = rule.reserve(&requirements.auth, &grant, parts, world, exchange)?;
        rule.spend(&requirements.auth, &grant, parts, world, exchange)?;
        reserved.spend(world);
        let query = target.query().unwrap_or_default();
        exchange.examine(rule, |checks| checks.examine(request, query, &self.sources))?;
        Ok(match &rule.action {
            Action::Answer(answer) => Decision::Reply(exchange.answer(answer, &grant)),
            Action::Forward(to) => {
                let passage = Passage {
                    request,
                    target,
                    tail,
                    sources: &self.sources,
                    key_places: &self.key_places,
                    request_id: &exchange.plan.request_id,
                };
                let forward = Forward::new(&grant, to, &passage, edits);
                exchange.allowed();
                world.note("forward", || to.describe());
                exchange.release(forward, rule, request)
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
        exchange.plan.budget = Budget::new(self.limit_headers);
        if let Some(request) = known {
            exchange.audit.method = request.method.into();
            exchange.plan.grpc = request.grpc;
            exchange.plan.cors = self.cors.as_ref().map(|cors| cors.response(request.origin.value()));
            request.check_values()?;
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

    /// The edits that remove from trailers identity, credentials, overrides of the request line, and whatever else the policy reads in headers.
    pub fn forged(&self, sent: &[(&[u8], &[u8])]) -> Vec<HeaderEdit> {
        let mut edits = Vec::new();
        self.identity.strip_trailers(sent, &mut edits);
        overrides::strip(sent, &mut edits);
        self.key_places.strip_trailers(sent, &mut edits);
        edits
    }

    /// The documents that this policy polls, none of them fetched yet.
    pub fn polled(&self) -> Polled {
        Polled::new(self.plans.iter().cloned())
    }

    /// True when requests may wait for a rate limit service.
    pub fn asks_rate_limits(&self) -> bool {
        self.asks_rate_limits
    }

    /// How a document of clients is read that this policy polls; none where it polls none.
    pub fn client_reader(&self) -> Option<&ClientReader> {
        self.plans.iter().find_map(|plan| match &plan.what {
            What::Clients(reader) => Some(reader.as_ref()),
            What::KeySet | What::Revocations { .. } => None,
        })
    }

    /// Where audit records go.
    pub fn audit(&self) -> Audit {
        self.audit
    }

    /// The largest body that any route holds a request back for; none where no route does.
    pub fn largest_held_body(&self) -> Option<u64> {
        self.routes.iter().chain(self.public.iter()).filter_map(|(_, rule)| rule.held_body()).max()
    }

    /// How much memory a worker may spend.
    pub fn bounds(&self) -> &MemoryBounds {
        &self.bounds
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
