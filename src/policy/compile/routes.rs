//! Compiles `routes` and `public_paths`: builds the route table and resolves names.

use std::sync::Arc;

use super::super::checks::Checks;
use super::issuers::{Issuers, named, unknown};
use super::limits::Limits;
use super::schemas::Schemas;
use super::{checks, conditions, responses};
use crate::config::auth::Auth;
use crate::config::document::{Document, Route, StaticResponse, Upstream};
use crate::config::problem::{At, Place, Problems};
use crate::policy::authority::authorize::Requirements;
use crate::policy::authority::permission::PermissionRegistry;
use crate::policy::authority::scopes::{ScopeRegistry, is_scope};
use crate::policy::pipeline::forward::Destination;
use crate::policy::pipeline::rule::{RouteAction, Rule, StaticAnswer};
use crate::policy::request::guard;
use crate::policy::request::route::{HostPattern, Method, RoutePattern, RouteTable, RouteTableBuilder};
use crate::policy::respond::cors::CorsPolicy;
use crate::policy::verdict::rejection::RejectionKind;

/// The compiled routes, and the rules for public paths.
pub(super) struct CompiledRoutes {
    pub(super) routes: RouteTable<Arc<Rule>>,
    pub(super) public: RouteTable<Arc<Rule>>,
}

/// The settings shared by all routes of a document.
pub(super) struct RouteContext<'a, 'd> {
    pub(super) document: &'d Document,
    pub(super) issuers: &'a Issuers,
    pub(super) permissions: &'a PermissionRegistry,
    pub(super) cors: Option<&'a Arc<CorsPolicy>>,
    pub(super) schemas: &'a Schemas,
    /// The checks of the document, for routes that have no `checks` section.
    pub(super) checks: Option<Arc<Checks>>,
}

impl CompiledRoutes {
    pub(super) fn compile<'d>(
        around: &RouteContext<'_, 'd>,
        limits: &mut Limits<'d>,
        scopes: &mut ScopeRegistry,
        problems: &mut Problems,
    ) -> CompiledRoutes {
        let document = around.document;
        check_upstreams(&document.upstreams, problems);
        let mut routes = RouteTable::builder();
        let mut names = Vec::new();
        for route in &document.routes {
            let rule = Arc::new(around.rule(route, limits, scopes, problems));
            names.push(rule.name.clone());
            insert(&mut routes, route, rule, problems);
        }
        limits.check_routes(&names, problems);
        let mut public = RouteTable::builder();
        for path in &document.public_paths {
            let text = &path.path.value;
            let pattern = match text.strip_suffix("/*") {
                Some(tree) => RoutePattern::parse(&format!("{tree}/{{.+}}")),
                None => RoutePattern::parse(text),
            };
            match pattern {
                Ok(pattern) => {
                    if public.insert(&[], pattern, &[], Arc::new(around.public_path_rule(text, limits))).is_err() {
                        problems.add(&path.path.place, format!("`{text}` is listed twice"));
                    }
                }
                Err(fault) => problems.add(&path.path.place, fault.to_string()),
            }
        }
        CompiledRoutes { routes: routes.build(), public: public.build() }
    }
}

impl RouteContext<'_, '_> {
    fn rule<'d>(
        &self,
        route: &'d Route,
        limits: &mut Limits<'d>,
        scopes: &mut ScopeRegistry,
        problems: &mut Problems,
    ) -> Rule {
        let methods: Vec<&str> = route.methods.iter().map(|m| m.value.as_str()).collect();
        let methods = if methods.is_empty() { "ANY".to_string() } else { methods.join("|") };
        let name = route.name.clone().unwrap_or_else(|| format!("{methods} {}", route.path.value));
        let cors = match &route.cors {
            None => self.cors.cloned(),
            Some(None) => None,
            Some(Some(own)) => Some(Arc::new(CorsPolicy::compile(own, problems))),
        };
        Rule {
            limits: limits.of_route(route, &name, problems),
            name: name.into(),
            requirements: self.requirements(route, scopes, problems),
            checks: self.checks(route, problems),
            cors,
            action: self.action(route, problems),
        }
    }

    fn public_path_rule(&self, text: &str, limits: &Limits<'_>) -> Rule {
        let action = RouteAction::Forward(Destination::default());
        Rule {
            name: format!("public {text}").into(),
            requirements: Requirements::nothing(),
            limits: limits.default_limits(),
            checks: self.checks.clone(),
            cors: self.cors.cloned(),
            action,
        }
    }

    fn checks(&self, route: &Route, problems: &mut Problems) -> Option<Arc<Checks>> {
        match &route.checks {
            None => self.checks.clone(),
            Some(None) => None,
            Some(Some(own)) => {
                checks::check_section(own, problems);
                if let (Some(_), Some(_)) = (&route.response, &own.json) {
                    problems.add(&own.place, "a route with `response` reads no body: `json` cannot be used");
                }
                checks::compile(self.document.checks.as_ref(), Some(own), self.schemas)
            }
        }
    }

    fn requirements(&self, route: &Route, scopes: &mut ScopeRegistry, problems: &mut Problems) -> Requirements {
        let auth = &route.auth.value;
        let wants = !route.scopes.is_empty()
            || !route.any_scope.is_empty()
            || !route.permissions.is_empty()
            || !route.any_permission.is_empty()
            || !route.require_claims.is_empty();
        if *auth == Auth::None && (wants || !route.issuers.is_empty()) {
            problems.add(
                &route.auth.place,
                "`auth: none` identifies no caller, so `scopes`, `any_scope`, `permissions`, `any_permission`, `require_claims` and `issuer` cannot be used",
            );
        }
        // Without this rule, such a route would accept callers without a token, but refuse callers whose token does not meet the
        // requirements.
        if *auth == Auth::Optional && wants {
            problems.add(
                &route.auth.place,
                "`auth: optional` accepts callers without a token, so `scopes`, `any_scope`, `permissions`, `any_permission` and `require_claims` cannot be used",
            );
        }
        super::credentials::check_route(route, self.document, problems);
        for scope in route.scopes.iter().chain(&route.any_scope).filter(|scope| !is_scope(scope)) {
            problems.add(
                &route.place,
                format!(
                    "`{scope}` is not a scope: use visible ASCII characters without spaces, quotes and backslashes"
                ),
            );
        }
        let all: Vec<&str> = route.scopes.iter().chain(&route.any_scope).map(String::as_str).collect();
        Requirements {
            auth: auth.clone(),
            issuers: named(&self.issuers.issuers, &route.issuers, problems),
            scopes: scopes.register(&route.scopes),
            any_scope: scopes.register(&route.any_scope),
            permissions: self.permissions.need_of(&route.permissions, &route.any_permission, problems),
            permission_denied: match self.document.errors.denied_as_401 {
                true => RejectionKind::PermissionDeniedAsUnauthorized,
                false => RejectionKind::PermissionDenied,
            },
            scope_text: all.join(" ").into(),
            require_claims: route.require_claims.clone(),
            conditions: conditions::compile(route, self.document, problems),
        }
    }

    fn action(&self, route: &Route, problems: &mut Problems) -> RouteAction {
        if let Some(response) = &route.response {
            let forwards = route.upstream.is_some() || route.strip_prefix || route.timeout.is_some();
            if forwards || route.forward_token || route.json_api.is_some() {
                problems.add(&route.place, "a route with `response` has no upstream: `upstream`, `strip_prefix`, `timeout`, `forward_token` and `jsonapi` cannot be used");
            }
            if response.body.is_some() && matches!(response.status, 204 | 205 | 304) {
                // A response with status 204, 205 or 304 has no body. A client would read a body as the start of the next
                // response (RFC 9110 §6.4.1).
                let status = response.status;
                problems.add(
                    &route.place,
                    format!("a response with status {status} has no body: omit `body`, or choose another `status`"),
                );
            }
            return RouteAction::Answer(StaticAnswer::compile(response));
        }
        let upstream = route.upstream.as_ref().and_then(|name| self.upstream(name, problems));
        let has_tail = route.path.value.ends_with("/{.+}");
        if route.strip_prefix && !has_tail {
            problems.add(
                &route.place,
                "`strip_prefix` needs a path that ends in `/{.+}`, which is the part that is forwarded",
            );
        }
        let url = upstream.and_then(|u| u.url.as_ref());
        RouteAction::Forward(Destination {
            upstream: upstream.map(|u| u.name.value.as_str().into()),
            authority: url.filter(|_| upstream.is_some_and(|u| !u.preserve_host)).map(|u| u.value.authority().into()),
            base_path: url.map(|u| u.value.path.trim_end_matches('/').to_string()).unwrap_or_default(),
            strip_prefix: route.strip_prefix && has_tail,
            timeout_millis: route.timeout.map(|t| t.as_millis().to_string().into()),
            forward_token: route.forward_token,
            mapping: route.json_api.as_ref().and_then(|section| responses::compile(section, problems)),
        })
    }

    fn upstream(&self, name: &At<String>, problems: &mut Problems) -> Option<&Upstream> {
        let upstreams = &self.document.upstreams;
        let found = upstreams.iter().find(|u| u.name.value == name.value);
        if found.is_none() {
            let declared = upstreams.iter().map(|u| u.name.value.as_str());
            problems.add(&name.place, unknown("upstream", &name.value, declared));
        }
        found
    }
}

/// Checks the names and base paths of the upstreams. Names are used as cluster names and in a header, so only some characters
/// are allowed. The guard checks base paths too, because the filter appends validated paths to them.
fn check_upstreams(upstreams: &[Upstream], problems: &mut Problems) {
    for upstream in upstreams {
        let name = &upstream.name.value;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
            problems.add(
                &upstream.name.place,
                format!("`{name}` is not a name: use only letters, digits, `-`, `_` and `.`"),
            );
        }
        if let Some(url) = &upstream.url
            && let Err(fault) = guard::read_target(url.value.path.as_bytes())
        {
            problems
                .add(&url.place, format!("the path of `{name}` is not accepted in a request to an upstream: {fault}"));
        }
    }
}

fn insert(table: &mut RouteTableBuilder<Arc<Rule>>, route: &Route, rule: Arc<Rule>, problems: &mut Problems) {
    let read = |texts: &[At<String>], problems: &mut Problems| -> Vec<Method> {
        let each = texts.iter().filter(|t| t.value != "ANY").filter_map(|text| match Method::parse(&text.value) {
            Ok(method) => Some(method),
            Err(fault) => {
                problems.add(&text.place, fault.to_string());
                None
            }
        });
        each.collect()
    };
    let methods = read(&route.methods, problems);
    let mut hosts = Vec::new();
    for host in &route.hosts {
        match HostPattern::parse(&host.value) {
            Ok(pattern) => hosts.push(pattern),
            Err(fault) => problems.add(&host.place, fault.to_string()),
        }
    }
    let pattern = match RoutePattern::parse(&route.path.value) {
        Ok(pattern) => pattern,
        Err(fault) => return problems.add(&route.path.place, fault.to_string()),
    };
    let name = rule.name.clone();
    if let Err(conflict) = table.insert(&hosts, pattern, &methods, rule) {
        let others: Vec<String> = conflict.taken.iter().map(|t| format!("`{}`", t.by.name)).collect();
        let message = format!("route `{name}` matches the same requests as {}", others.join(", "));
        problems.add(&Place { path: format!("{}.path", route.place.path), ..route.path.place.clone() }, message);
    }
}

impl StaticAnswer {
    fn compile(response: &StaticResponse) -> StaticAnswer {
        let mut headers: Vec<(Arc<str>, Arc<str>)> =
            response.headers.iter().map(|(name, value)| (name.value.as_str().into(), value.as_str().into())).collect();
        if response.body.is_some() && !headers.iter().any(|(name, _)| name.as_ref() == "content-type") {
            headers.push(("content-type".into(), "application/json".into()));
        }
        let body = response.body.as_ref().map(ToString::to_string).unwrap_or_default();
        StaticAnswer { status: response.status, headers, body: body.into_bytes().into() }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::source;
    use crate::policy::Policy;

    fn problems(document: &str) -> Vec<String> {
        let node = source::read(document.as_bytes()).unwrap();
        Policy::from_node(&node, &|_| None).err().unwrap_or_default().iter().map(|p| p.message.clone()).collect()
    }

    #[test]
    fn a_response_whose_status_forbids_a_body_has_none() {
        let answer = |response: &str| {
            problems(&format!(r#"{{"version":"1.0","routes":[{{"path":"/x","auth":"none","response":{response}}}]}}"#))
        };
        for status in [204, 205, 304] {
            let found = answer(&format!(r#"{{"status":{status},"body":null}}"#));
            assert!(found.len() == 1 && found[0].contains("has no body"), "{status}: {found:?}");
            assert_eq!(answer(&format!(r#"{{"status":{status}}}"#)), Vec::<String>::new());
        }
        assert_eq!(answer(r#"{"status":200,"body":null}"#), Vec::<String>::new());
    }

    #[test]
    fn the_base_path_of_an_upstream_is_validated_like_request_paths() {
        for (path, fault) in [
            ("", None),
            ("/", None),
            ("/v2/", None),
            ("/caf%C3%A9", None),
            ("/a//b", Some("empty segment")),
            ("/a/../b", Some("segment")),
            ("/a;b", Some("`;`")),
            ("/a%2fb", Some("escaped slash")),
        ] {
            let found = problems(&format!(
                r#"{{"version":"1.0","upstreams":{{"u":{{"url":"http://u.example{path}"}}}},
                    "routes":[{{"path":"/x","auth":"none","upstream":"u"}}]}}"#
            ));
            let message = found.first().map(String::as_str);
            assert_eq!(message.is_some(), fault.is_some(), "{path}: {found:?}");
            assert!(message.unwrap_or_default().contains(fault.unwrap_or_default()), "{path}: {found:?}");
        }
    }
}
