//! The decision core: a compiled policy, and the pipeline of stages that decides one request and its response.
//!
//! The policy reads no clock, file or network. Its callers pass the time and all other inputs in a [`world::World`].

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

use std::sync::Arc;
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

/// A compiled configuration document. A policy is immutable and fully validated, so the pipeline need not validate settings.
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
    client_reader: Option<Arc<ClientReader>>,
    routes: Routes,
    credentials: Credentials,
    /// The CORS policy at the top level of the document. It applies until the request has matched a route.
    cors: Option<Arc<CorsPolicy>>,
    /// The requirements of all public paths, which are empty. They replace the requirements of the route.
    open: Requirements,
    /// The limits for requests that are refused before they match a route.
    limits: LimitSet,
    limit_headers: LimitHeaders,
    asks_rate_limits: bool,
    refusals: ReplyRenderer,
    audit: Audit,
    bounds: MemoryBounds,
}

impl Policy {
    /// Decides one request. The decision depends only on the policy and the arguments. After [`Decision::Await`], call this
    /// function again with the same `progress`: it resumes the decision and counts nothing twice.
    pub fn decide(&self, parts: &RequestParts<'_>, progress: &mut Progress, world: &mut World<'_>) -> Decision {
        progress.resume();
        match self.pipeline(parts, progress, world) {
            Ok(decision) => decision,
            Err(Stop::Wait(wait)) => Decision::Await(wait),
            Err(Stop::Refuse(rejection)) => {
                // A request that is refused before it matches a route also counts against the limits that apply without a route.
                let late = limits::arrive(&self.limits, None, parts, world, progress);
                let rejection = late.err().unwrap_or(rejection);
                Decision::Reply(progress.refuse(rejection, &self.refusals, world))
            }
        }
    }

    /// Runs the stages in order. A stage can end the pipeline with a [`Stop`], which refuses the request or makes it wait.
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
                world.note("forward", || to.describe());
                progress.release(forward, rule, request)
            }
        })
    }

    /// Parses the request, assigns its id, and refuses malformed headers. Sets the document's CORS policy until a route matches.
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
            progress.plan.request_id = id.map_or_else(|| (world.fresh_id)().into(), Arc::from);
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

    /// Returns the requirements of the request's route, or empty requirements if the path is public.
    fn requirements<'p>(&'p self, rule: &'p Rule, path: &str, world: &mut World<'_>) -> &'p Requirements {
        if self.is_public(path) {
            world.note("authenticate", || "the path is public: no credential is needed".to_string());
            return &self.open;
        }
        &rule.requirements
    }

    /// Checks the body of a held request. Returns the request to forward, or the reply that refuses it.
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

    /// Builds and records the reply for a request that is refused after its headers were accepted, or while it waits.
    pub fn refuse(&self, rejection: Rejection, progress: &mut Progress, now: Duration) -> Reply {
        let reply = self.refusals.reply(&rejection, &progress.plan, None, now);
        progress.record_refusal(rejection, &reply);
        reply
    }

    /// Builds the reply for a request that was already forwarded when its body exceeded the size limit. The audit record still
    /// contains the decision `allow`; its fields `code` and `failure` describe why the request was ended.
    pub fn cut_off(&self, rejection: &Rejection, progress: &mut Progress, now: Duration) -> Reply {
        progress.audit.code = Some(rejection.kind.appearance().code);
        progress.audit.failure = Some(rejection.reason.to_string());
        self.refusals.reply(rejection, &progress.plan, None, now)
    }

    /// Decides how to handle a response: pass it on with header edits, hold it to map its body, or replace it with a reply.
    pub fn respond(&self, head: &ResponseHead<'_>, progress: &mut Progress, now: Duration) -> Response {
        respond::respond(&self.refusals, head, progress, now)
    }

    /// Converts the body of a held response to JSON:API. Returns the new body, or the reply that replaces the response.
    pub fn map_response(
        &self,
        held: &HeldResponse,
        body: Body<'_>,
        progress: &mut Progress,
        now: Duration,
    ) -> Result<Vec<u8>, Reply> {
        respond::mapping::finish(&self.refusals, held, body, progress, now)
    }

    /// Returns edits for request trailers, because some upstreams merge trailers into headers. The edits remove identity headers,
    /// credentials, headers that the policy reads, and overrides of the request line, such as `x-method-override`.
    pub fn forged(&self, sent: &[(&[u8], &[u8])]) -> Vec<HeaderEdit> {
        let mut edits = Vec::new();
        self.credentials.identity.strip_trailers(sent, &mut edits);
        overrides::strip(sent, &mut edits);
        self.credentials.key_places.strip_trailers(sent, &mut edits);
        edits
    }

    /// Returns the request target without the tokens and API keys in its query; `None` if the query contains none.
    pub fn without_query_secrets(&self, target: &[u8]) -> Option<Vec<u8>> {
        self.credentials.without_query_secrets(target)
    }

    /// Creates the state of the documents that this policy polls. No document is fetched yet.
    pub fn polled(&self) -> Polled {
        Polled::new(self.plans.iter().cloned())
    }

    /// Returns `true` if the document configures a rate limit service. Requests may then have to wait for the service.
    pub fn asks_rate_limits(&self) -> bool {
        self.asks_rate_limits
    }

    /// Returns the reader of the document that `clients_from` polls; `None` without `clients_from`.
    pub fn client_reader(&self) -> Option<&ClientReader> {
        self.client_reader.as_deref()
    }

    /// Returns the destination of audit records: the log, or Envoy's access log.
    pub fn audit(&self) -> Audit {
        self.audit
    }

    /// Returns the largest size in bytes that any route allows for a held request body; `None` if no route holds request bodies.
    pub fn largest_held_body(&self) -> Option<u64> {
        self.routes.rules().filter_map(Rule::held_body).max()
    }

    /// Returns the size in bytes of the largest request or response body that Envoy must buffer; `None` if it buffers none.
    pub fn largest_buffered_body(&self) -> Option<u64> {
        self.routes.rules().filter_map(|rule| rule.held_body().max(rule.mapped_body())).max()
    }

    /// Returns the bounds on the memory of each worker.
    pub fn bounds(&self) -> &MemoryBounds {
        &self.bounds
    }

    /// Returns the declared permissions. Only the command line tool uses this function.
    pub fn permissions(&self) -> &PermissionRegistry {
        &self.credentials.permissions
    }

    /// Returns `true` if the path is public, so that a request with this path needs no credential.
    pub fn is_public(&self, path: &str) -> bool {
        !self.routes.public.is_empty() && self.routes.public_rule(path).is_some()
    }

    /// Returns the routes, for the command line tool and for the log line that the filter writes when it starts.
    pub fn routes(&self) -> &RouteTable<Arc<Rule>> {
        &self.routes.table
    }
}
