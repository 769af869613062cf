//! Which route takes a request, and which of them answers a preflight.

use super::Policy;
use super::cors::Preflight;
use super::decision::Reply;
use super::exchange::Exchange;
use super::rejection::{Kind, Rejection};
use super::request::{Once, Request, RequestParts};
use super::route::{Found, Method, Params};
use super::rule::Rule;
use super::world::World;

/// The rule that takes a request, and what its pattern stands for in the path.
pub(super) struct Taken<'p, 't> {
    pub(super) rule: &'p Rule,
    /// What `{.+}` stands for.
    pub(super) tail: Option<&'t str>,
    /// What the parameters stand for; nothing is read before it is asked for.
    pub(super) params: Option<Params<'p, 't>>,
}

impl Policy {
    /// Answers a preflight for a path that has a CORS policy; it never needs a token (Fetch §3.2.2).
    pub(super) fn preflight(
        &self,
        parts: &RequestParts<'_>,
        request: &Request<'_>,
        host: &str,
        path: &str,
        world: &mut World<'_>,
        exchange: &mut Exchange<'_, '_>,
    ) -> Result<Option<Reply>, Rejection> {
        let Some((origin, method)) = request.preflight() else { return Ok(None) };
        let allowed = self.routes.methods_for(host, path);
        let open = if allowed.is_empty() { self.public_rule(path) } else { None };
        let methods = if allowed.any() || open.is_some() { vec!["*"] } else { allowed.methods() };
        let asked = Method::parse(method).ok();
        let rule = asked.as_ref().and_then(|m| self.rule_for(host, path, m));
        let rule = rule.or_else(|| self.rule_of_path(host, path, &methods)).or(open);
        let Some((rule, cors)) = rule.and_then(|rule| Some((rule, rule.cors.as_ref()?))) else { return Ok(None) };
        // A list may come in several lines (RFC 9110 §5.2).
        let lines = || request.headers.iter().filter(|(name, _)| *name == b"access-control-request-headers");
        let joined = (request.requested_headers == Once::Repeated)
            .then(|| lines().map(|(_, value)| *value).collect::<Vec<_>>().join(b",".as_slice()));
        let asked = Preflight {
            origin,
            method,
            headers: joined.as_deref().or(request.requested_headers.value()),
            private_network: request.private_network,
        };
        exchange.plan.cors = Some(cors.response(Some(origin)));
        self.arrive(Some(rule), parts, world, exchange)?;
        let answer = cors.preflight(&asked, &methods);
        let reply = exchange.answer_preflight(rule, answer);
        world.note("cors", || format!("preflight for route {}: {}", rule.name, reply.details));
        Ok(Some(reply))
    }

    fn rule_for(&self, host: &str, path: &str, method: &Method) -> Option<&Rule> {
        match self.routes.find(host, path, method) {
            Found::Route { value, .. } => Some(value),
            Found::MethodNotAllowed { .. } | Found::NotFound => None,
        }
    }

    /// The rule of a public path.
    pub(super) fn public_rule(&self, path: &str) -> Option<&Rule> {
        match self.public.find("", path, &Method::Get) {
            Found::Route { value, .. } => Some(value),
            Found::MethodNotAllowed { .. } | Found::NotFound => None,
        }
    }

    /// The first route of a path that takes one of its methods; `OPTIONS` is always among them and often has none.
    fn rule_of_path(&self, host: &str, path: &str, methods: &[&str]) -> Option<&Rule> {
        methods.iter().find_map(|method| self.rule_for(host, path, &Method::parse(method).ok()?))
    }

    /// The route that takes the request.
    pub(super) fn route<'p, 't>(
        &'p self,
        request: &Request<'_>,
        host: &str,
        path: &'t str,
        world: &mut World<'_>,
        exchange: &mut Exchange<'p, '_>,
    ) -> Result<Taken<'p, 't>, Rejection> {
        let method = Method::parse(request.method).map_err(|_| Rejection::new(Kind::BadRequest, "method_malformed"))?;
        match self.routes.find(host, path, &method) {
            Found::Route { value, tail, params } => {
                exchange.enter(value, request);
                world.note("route", || format!("route {}", value.name));
                Ok(Taken { rule: value, tail, params: Some(params) })
            }
            Found::MethodNotAllowed { allow } => {
                let methods = allow.methods();
                if let Some(rule) = self.rule_of_path(host, path, &methods) {
                    exchange.plan.cors = rule.cors.as_ref().map(|c| c.response(request.origin.value()));
                }
                Err(Rejection::new(Kind::MethodNotAllowed(methods.join(", ").into()), "method_not_allowed"))
            }
            // A public path that no route names is open all the same: Envoy's own routes say where it leads.
            Found::NotFound => match self.public_rule(path) {
                Some(rule) => {
                    exchange.enter(rule, request);
                    Ok(Taken { rule, tail: None, params: None })
                }
                None => Err(Rejection::new(Kind::NotFound, "no_route")),
            },
        }
    }
}
