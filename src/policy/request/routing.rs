//! Finds the route of a request, and the route that answers a preflight.

use std::sync::Arc;

use super::route::{Method, Params, RouteMatch, RouteTable};
use super::{Request, SingleValue};
use crate::policy::pipeline::progress::Progress;
use crate::policy::pipeline::rule::Rule;
use crate::policy::respond::cors::{Preflight, PreflightAnswer};
use crate::policy::verdict::plan::CorsResponse;
use crate::policy::verdict::rejection::{Rejection, RejectionKind};

#[derive(Debug)]
pub(in crate::policy) struct Routes {
    pub(in crate::policy) table: RouteTable<Arc<Rule>>,
    /// The public paths, which need no authentication. If a request matches a public path but no route, the rule of the public
    /// path applies.
    pub(in crate::policy) public: RouteTable<Arc<Rule>>,
}

/// The rule for a request, and the parts of the path that its pattern matches.
pub(in crate::policy) struct MatchedRoute<'p, 't> {
    pub(in crate::policy) rule: &'p Arc<Rule>,
    /// The part of the path that `{.+}` matches.
    pub(in crate::policy) tail: Option<&'t str>,
    /// The values of the path parameters; `None` if the request matches a public path but no route.
    pub(in crate::policy) params: Option<Params<'p, 't>>,
}

/// The answer to a preflight, and the rule of its route.
pub(in crate::policy) struct PreflightRoute<'p> {
    pub(in crate::policy) rule: &'p Arc<Rule>,
    /// The CORS headers for other replies to this request, such as a refusal.
    pub(in crate::policy) cors: Arc<CorsResponse>,
    pub(in crate::policy) answer: PreflightAnswer,
}

impl Routes {
    /// Returns the rules of all routes and public paths.
    pub(in crate::policy) fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.table.iter().chain(self.public.iter()).map(|(_, rule)| &**rule)
    }

    /// Answers a preflight (Fetch §3.2.2), which never needs a token. Returns `None` if the request is not a preflight, or if the
    /// path has no CORS policy.
    pub(in crate::policy) fn preflight(
        &self,
        request: &Request<'_>,
        host: &str,
        path: &str,
    ) -> Option<PreflightRoute<'_>> {
        let (origin, method) = request.preflight()?;
        let allowed = self.table.methods_for(host, path);
        let open = if allowed.is_empty() { self.public_rule(path) } else { None };
        let methods = if allowed.any() || open.is_some() { vec!["*"] } else { allowed.methods() };
        let requested = Method::parse(method).ok();
        let rule = requested.as_ref().and_then(|m| self.rule_for(host, path, m));
        let rule = rule.or_else(|| self.rule_of_path(host, path, &methods)).or(open)?;
        let cors = rule.cors.as_ref()?;
        // The list may be split over several header lines (RFC 9110 §5.2).
        let lines = || request.headers.iter().filter(|(name, _)| *name == b"access-control-request-headers");
        let joined = (request.requested_headers == SingleValue::Repeated)
            .then(|| lines().map(|(_, value)| *value).collect::<Vec<_>>().join(b",".as_slice()));
        let preflight = Preflight {
            origin,
            method,
            headers: joined.as_deref().or(request.requested_headers.value()),
            private_network: request.private_network,
        };
        let answer = cors.preflight(&preflight, &methods);
        Some(PreflightRoute { rule, cors: cors.response(Some(origin)), answer })
    }

    /// Finds the route of the request, or refuses the request.
    pub(in crate::policy) fn find<'p, 't>(
        &'p self,
        request: &Request<'_>,
        host: &str,
        path: &'t str,
        progress: &mut Progress,
    ) -> Result<MatchedRoute<'p, 't>, Rejection> {
        let method =
            Method::parse(request.method).map_err(|_| Rejection::new(RejectionKind::BadRequest, "method_malformed"))?;
        match self.table.find(host, path, &method) {
            RouteMatch::Route { value, tail, params } => Ok(MatchedRoute { rule: value, tail, params: Some(params) }),
            RouteMatch::MethodNotAllowed { allow } => {
                let methods = allow.methods();
                if let Some(rule) = self.rule_of_path(host, path, &methods) {
                    progress.plan.cors = rule.cors.as_ref().map(|c| c.response(request.origin.value()));
                }
                Err(Rejection::new(RejectionKind::MethodNotAllowed(methods.join(", ").into()), "method_not_allowed"))
            }
            // A public path needs no route in the document. Envoy's own routes then select the upstream.
            RouteMatch::NotFound => match self.public_rule(path) {
                Some(rule) => Ok(MatchedRoute { rule, tail: None, params: None }),
                None => Err(Rejection::new(RejectionKind::NotFound, "no_route")),
            },
        }
    }

    /// Returns the rule for a public path; `None` if the path is not public.
    pub(in crate::policy) fn public_rule(&self, path: &str) -> Option<&Arc<Rule>> {
        match self.public.find("", path, &Method::Get) {
            RouteMatch::Route { value, .. } => Some(value),
            RouteMatch::MethodNotAllowed { .. } | RouteMatch::NotFound => None,
        }
    }

    fn rule_for(&self, host: &str, path: &str, method: &Method) -> Option<&Arc<Rule>> {
        match self.table.find(host, path, method) {
            RouteMatch::Route { value, .. } => Some(value),
            RouteMatch::MethodNotAllowed { .. } | RouteMatch::NotFound => None,
        }
    }

    /// Returns the rule of the first method in the list for which a route exists. The first method is not always enough, because
    /// the list may contain `OPTIONS` without a route for it.
    fn rule_of_path(&self, host: &str, path: &str, methods: &[&str]) -> Option<&Arc<Rule>> {
        methods.iter().find_map(|method| self.rule_for(host, path, &Method::parse(method).ok()?))
    }
}
