//! The decision core: a compiled policy, and the pipeline that decides one request and its response.
//!
//! The policy reads no clock, file or network.

pub mod authority;
pub mod checks;
pub mod compile;
pub mod credentials;
pub mod limits;
pub mod pipeline;
pub mod polled;
pub mod request;
pub mod respond;
pub mod verdict;
pub mod world;

use std::rc::Rc;
use std::time::Duration;

use authority::authorize::Requirements;
use authority::circumstances::Circumstances;
use authority::permission::PermissionRegistry;
use checks::body::Body;
use compile::clients::ClientReader;
use credentials::{AuthenticationInput, Credentials};
use limits::memory::MemoryBounds;
use limits::set::LimitSet;
use limits::shared_limit;
use pipeline::decision::Decision;
use pipeline::forward::{Forward, ForwardContext};
use pipeline::inspection::Inspection;
use pipeline::progress::Progress;
use pipeline::rule::{RouteAction, Rule};
use polled::{PollPlan, Polled};
use request::guard;
use request::route::RouteTable;
use request::routing::{MatchedRoute, Routes};
use request::{Request, RequestParts, overrides};
use respond::cors::CorsPolicy;
use respond::held::HeldResponse;
use respond::refusal::ReplyRenderer;
use respond::response::{Response, ResponseHead};
use verdict::budget::Budget;
use verdict::edit::HeaderEdit;
use verdict::rejection::{Rejection, RejectionKind};
use verdict::reply::Reply;
use verdict::stop::Stop;
use world::World;

use crate::config::document::Audit;
use crate::config::limit::LimitHeaders;

/// A compiled document. A policy is immutable and fully validated, so the pipeline does not validate its settings again.
///
/// ```
/// use portcullis::config::source;
/// use portcullis::policy::Policy;
///
/// // Every problem is reported at once, each with its location.
/// let document = br#"{ "version": "1.0", "rotues": [], "routes": [{ "path": "orders", "response": {} }] }"#;
/// let problems = Policy::from_node(&source::read(document)?, &|_| None).err().unwrap_or_default();
/// assert!(problems.len() >= 2);
/// # Ok::<(), String>(())
/// ```
#[derive(Debug)]
pub struct Policy {
    plans: Vec<PollPlan>,
    client_reader: Option<Rc<ClientReader>>,
    routes: Routes,
    credentials: Credentials,
    /// The CORS policy at the top level of the document. It applies to the response if the request has not matched a route.
    cors: Option<Rc<CorsPolicy>>,
    /// The empty requirements, used for requests with a public path.
    open: Requirements,
    /// The limits for requests that match no route.
    limits: LimitSet,
    limit_headers: LimitHeaders,
    asks_rate_limits: bool,
    refusals: ReplyRenderer,
    audit: Audit,
    bounds: MemoryBounds,
}

impl Policy {
    /// Decides one request. Equal arguments give equal decisions. After [`Decision::Await`], call this function again with the
    /// same `progress`: it resumes the decision and counts nothing twice.
    pub fn decide(&self, parts: &RequestParts<'_>, progress: &mut Progress, world: &mut World<'_>) -> Decision {
        progress.resume();
        match self.pipeline(parts, progress, world) {
            Ok(decision) => decision,
            Err(Stop::Wait(wait)) => Decision::Await(wait),
            Err(Stop::Refuse(rejection)) => {
                // A request that is refused before routing still counts as an arrival, so a limit can refuse it too.
                let late = limits::arrive(&self.limits, None, parts, world, progress);
                let rejection = late.err().unwrap_or(rejection);
                Decision::Reply(progress.refuse(rejection, &self.refusals, world))
            }
        }
    }

    /// Runs the stages in order. Any stage may stop the request.
    fn pipeline(
        &self,
        parts: &RequestParts<'_>,
        progress: &mut Progress,
        world: &mut World<'_>,
    ) -> Result<Decision, Stop> {
        let request = &self.read(parts, progress, world)?;
        let target = &progress.guard_target(request, world)?;
        let host =
            guard::read_host(request.authority).map_err(|f| Rejection::new(RejectionKind::BadRequest, f.reason()))?;
        if let Some(preflight) = self.routes.preflight(request, host.name(), target.path()) {
            progress.plan.cors = Some(preflight.cors);
            limits::arrive(&self.limits, Some(preflight.rule), parts, world, progress)?;
            let reply = progress.answer_preflight(preflight.rule, preflight.answer);
            world.note("cors", || format!("preflight for route {}: {}", preflight.rule.name, reply.details));
            return Ok(Decision::Reply(reply));
        }
        let MatchedRoute { rule, tail, params } = self.routes.find(request, host.name(), target.path(), progress)?;
        progress.enter(rule, request);
        world.note("route", || format!("route {}", rule.name));
        limits::arrive(&self.limits, Some(rule), parts, world, progress)?;
        let mut edits = Vec::with_capacity(8);
        progress.examine(rule, |checks| checks.measure(request))?;
        progress.audit.spoofed = self.credentials.identity.strip(request.headers, &mut edits);
        overrides::strip(request.headers, &mut edits);
        let requirements = self.requirements(rule, target.path(), world);
        let presented = AuthenticationInput { rule, parts, request, target, host: &host };
        let callers = self.credentials.verify(requirements, presented, world, progress)?;
        let circumstances =
            Circumstances { request, host: host.name(), target, params, peer: world.peer, now: world.now };
        let grant = authority::grant(&self.credentials.permissions, requirements, callers, &circumstances, world)?;
        let reserved = shared_limit::reserve(rule, &requirements.auth, &grant, parts, world, progress)?;
        limits::count_caller(rule, &requirements.auth, &grant, parts, world, progress)?;
        reserved.spend(world);
        let query = target.query().unwrap_or_default();
        progress.examine(rule, |checks| checks.examine(request, query, &self.credentials.token_sources))?;
        Ok(match &rule.action {
            RouteAction::Answer(answer) => Decision::Reply(progress.answer(answer, &grant)),
            RouteAction::Forward(to) => {
                if to.maps_responses() {
                    progress.self_target = self.credentials.shown_target(request.target);
                }
                let passage = ForwardContext {
                    request,
                    target,
                    tail,
                    sources: &self.credentials.token_sources,
                    key_places: &self.credentials.key_places,
                    request_id: &progress.plan.request_id,
                };
                let forward = Forward::new(&grant, to, &passage, edits);
                world.note("forward", || to.describe(progress.plan.grpc));
                progress.release(forward, rule, request)
            }
        })
    }

    /// Reads the request and assigns an id to it. Until the request has matched a route, the CORS policy of the document applies.
    fn read<'r>(
        &self,
        parts: &RequestParts<'r>,
        progress: &mut Progress,
        world: &mut World<'_>,
    ) -> Result<Request<'r>, Rejection> {
        let request = Request::read(parts);
        let known = request.as_ref().ok();
        if progress.plan.request_id.is_empty() {
            let id = known.and_then(Request::usable_request_id);
            progress.plan.request_id = id.map_or_else(|| (world.fresh_id)().into(), Rc::from);
            progress.plan.budget = Budget::new(self.limit_headers);
        }
        progress.audit.request_id = progress.plan.request_id.clone();
        if let Some(request) = known {
            progress.record_method(request.method);
            progress.plan.grpc = request.grpc;
            progress.plan.cors = self.cors.as_ref().map(|cors| cors.response(request.origin.value()));
            request.check_headers()?;
        }
        request
    }

    /// Returns the requirements of the request's route. Returns empty requirements if the path is public.
    fn requirements<'p>(&'p self, rule: &'p Rule, path: &str, world: &mut World<'_>) -> &'p Requirements {
        if self.is_public(path) {
            world.note("authenticate", || "the path is public: no credential is needed".to_string());
            return &self.open;
        }
        &rule.requirements
    }

    /// Decides a held request by its body: returns the request to forward, or the reply that refuses it. This function never
    /// waits.
    pub fn inspect(
        &self,
        inspection: Inspection,
        body: Body<'_>,
        progress: &mut Progress,
        now: Duration,
    ) -> Result<Forward, Reply> {
        let forward = inspection.judge(body).map_err(|rejection| self.refuse(rejection, progress, now))?;
        progress.allowed();
        Ok(forward)
    }

    /// Builds the reply for a request that is refused after the decision about its headers, or while the request waits.
    pub fn refuse(&self, rejection: Rejection, progress: &mut Progress, now: Duration) -> Reply {
        let reply = self.refusals.reply(&rejection, &progress.plan, None, now);
        progress.record_refusal(rejection, &reply);
        reply
    }

    /// Builds the reply for a request whose body exceeded its size limit while it was forwarded.
    pub fn cut_off(&self, rejection: &Rejection, progress: &mut Progress, now: Duration) -> Reply {
        progress.audit.code = Some(rejection.kind.appearance().code);
        progress.audit.failure = Some(rejection.reason.to_string());
        self.refusals.reply(rejection, &progress.plan, None, now)
    }

    /// Decides the response: edits its headers, or replaces a local reply that Envoy made.
    pub fn respond(&self, head: &ResponseHead<'_>, progress: &mut Progress, now: Duration) -> Response {
        respond::respond(&self.refusals, head, progress, now)
    }

    /// Maps the body of a held response. Returns the new body, or the reply that replaces the response.
    pub fn map_response(
        &self,
        held: &HeldResponse,
        body: Body<'_>,
        progress: &mut Progress,
        now: Duration,
    ) -> Result<Vec<u8>, Reply> {
        respond::mapping::finish(&self.refusals, held, body, progress, now)
    }

    /// Returns the edits for request trailers. The edits remove trailers that an upstream could confuse with headers: identity
    /// headers, credentials, request line overrides and all headers that the policy reads.
    pub fn forged(&self, sent: &[(&[u8], &[u8])]) -> Vec<HeaderEdit> {
        let mut edits = Vec::new();
        self.credentials.identity.strip_trailers(sent, &mut edits);
        overrides::strip(sent, &mut edits);
        self.credentials.key_places.strip_trailers(sent, &mut edits);
        edits
    }

    /// Returns the target without the tokens and keys in its query; `None` if the target contains none.
    pub fn without_query_secrets(&self, target: &[u8]) -> Option<Vec<u8>> {
        self.credentials.without_query_secrets(target)
    }

    /// Returns the documents that this policy polls, before the first fetch.
    pub fn polled(&self) -> Polled {
        Polled::new(self.plans.iter().cloned())
    }

    /// Returns `true` if the policy has limits that a rate limit service counts, so requests may have to wait for the service.
    pub fn asks_rate_limits(&self) -> bool {
        self.asks_rate_limits
    }

    /// Returns the reader for the polled client document; `None` if the policy polls no client document.
    pub fn client_reader(&self) -> Option<&ClientReader> {
        self.client_reader.as_deref()
    }

    /// Returns where audit records are written.
    pub fn audit(&self) -> Audit {
        self.audit
    }

    /// Returns the largest body size in bytes that any route accepts for a held request; `None` if no route holds requests.
    pub fn largest_held_body(&self) -> Option<u64> {
        self.routes.rules().filter_map(Rule::held_body).max()
    }

    /// Returns the largest body in bytes that Envoy must be able to hold for this policy; `None` if it need not hold any.
    pub fn largest_buffered_body(&self) -> Option<u64> {
        self.routes.rules().filter_map(|rule| rule.held_body().max(rule.mapped_body())).max()
    }

    /// Returns the memory bounds of a worker.
    pub fn bounds(&self) -> &MemoryBounds {
        &self.bounds
    }

    /// Returns the configured permissions, for the command line tools.
    pub fn permissions(&self) -> &PermissionRegistry {
        &self.credentials.permissions
    }

    /// Returns `true` if a path needs no credential.
    pub fn is_public(&self, path: &str) -> bool {
        !self.routes.public.is_empty() && self.routes.public_rule(path).is_some()
    }

    /// Returns the routes. Only the command line tools use them.
    pub fn routes(&self) -> &RouteTable<Rc<Rule>> {
        &self.routes.table
    }
}
