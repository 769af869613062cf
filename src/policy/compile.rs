//! Compiles a document into a policy, or reports all problems of the document.
//!
//! The compiler resolves references and checks that settings are compatible.

mod bounds;
mod checks;
pub mod clients;
pub mod conditions;
mod credentials;
mod issuers;
mod limits;
mod permissions;
mod responses;
mod revocation;
mod routes;
mod schemas;
pub mod sent_headers;
mod sharing;

use std::sync::Arc;

use super::Policy;
use super::authority::authorize::Requirements;
use super::authority::identity::IdentityHeaders;
use super::authority::permission::PermissionRegistry;
use super::authority::scopes::ScopeRegistry;
use super::compile::issuers::Issuers;
use super::compile::limits::Limits;
use super::credentials::Credentials;
use super::credentials::api_key::KeyPlaces;
use super::request::routing::Routes;
use super::respond::cors::CorsPolicy;
use super::respond::refusal::ReplyRenderer;
use crate::config::document::Document;
use crate::config::document_size;
use crate::config::environment::Environment;
use crate::config::header_name::is_same_cgi_variable;
use crate::config::identity::IdentityHeader;
use crate::config::node::Node;
use crate::config::problem::{Problem, Problems};
use routes::CompiledRoutes;
use schemas::Schemas;

impl Policy {
    /// Parses and compiles a document. `environment` provides the secrets and the values of `$NAME` in addresses.
    ///
    /// # Errors
    /// Returns all problems in the order of the document. If there is a problem, no policy is created. If the document is too
    /// large, returns only this problem.
    pub fn from_node(node: &Node, environment: Environment<'_>) -> Result<Policy, Vec<Problem>> {
        document_size::check(node).map_err(|problem| vec![problem])?;
        let (document, mut problems) = Document::read(node, environment);
        let policy = Policy::compile(&document, environment, &mut problems);
        if problems.is_empty() { Ok(policy) } else { Err(problems.sorted()) }
    }

    /// Compiles each section. The result must not be used if `problems` is not empty.
    fn compile(document: &Document, environment: Environment<'_>, problems: &mut Problems) -> Policy {
        let mut scopes = ScopeRegistry::default();
        let issuers = Issuers::compile(document, environment, problems);
        let permissions = Arc::new(PermissionRegistry::compile(document, problems));
        let mut plans = issuers.plans.clone();
        let revocation = revocation::compile(document.revocation.as_ref(), &document.issuers, &mut plans, problems);
        let cors = document.cors.as_ref().map(|cors| CorsPolicy::compile(cors, problems).into());
        check_identity(&document.identity_headers, problems);
        if let Some(section) = &document.checks {
            checks::check_section(section, problems);
        }
        let read = headers_read(document);
        let read = read.iter().map(String::as_str);
        let identity = IdentityHeaders::compile(&document.identity_headers, permissions.headers(), read);
        let mut limits = Limits::compile(document, problems);
        let schemas = Schemas::compile(document, problems);
        let around = routes::RouteContext {
            document,
            issuers: &issuers,
            permissions: &permissions,
            cors: cors.as_ref(),
            schemas: &schemas,
            checks: checks::compile(document.checks.as_ref(), None, &schemas),
        };
        let routes = CompiledRoutes::compile(&around, &mut limits, &mut scopes, problems);
        credentials::check(document, &identity, problems);
        sent_headers::check(document, problems);
        let rules = routes.routes.iter().chain(routes.public.iter()).map(|(_, rule)| rule.as_ref());
        let bounds = bounds::compile(document.bounds.as_ref(), rules, problems);
        let around = clients::ClientContext {
            environment: document.environment.as_ref().map(|environment| environment.value.as_str().into()),
            issuers: issuers.issuers.into(),
            scopes: scopes.into(),
            permissions: permissions.clone(),
            identity: identity.into(),
            plans: document.plans.iter().map(|plan| plan.name.value.as_str().into()).collect(),
        };
        let key_places = KeyPlaces(document.api_keys.iter().flat_map(|k| &k.from).map(|at| at.value.clone()).collect());
        let (clients, client_reader) = clients::compile(document, &around, &mut plans, problems);
        Policy {
            plans,
            client_reader,
            routes: Routes { table: routes.routes, public: routes.public },
            credentials: Credentials {
                issuers: around.issuers,
                token_sources: issuers.sources,
                key_places,
                clients,
                revocation,
                scopes: around.scopes,
                permissions,
                identity: around.identity,
            },
            cors,
            open: Requirements::nothing(),
            limits: limits.default_limits(),
            limit_headers: document.limit_headers,
            asks_rate_limits: document.rate_limit_service.is_some(),
            refusals: ReplyRenderer::new(document.errors.realm.as_deref()),
            audit: document.audit,
            bounds,
        }
    }
}

/// Reports identity headers that are configured twice, because a header can contain only one value.
fn check_identity(headers: &[IdentityHeader], problems: &mut Problems) {
    for (i, header) in headers.iter().enumerate() {
        let is_same = |other: &IdentityHeader| is_same_cgi_variable(&other.header.value, &header.header.value);
        if headers.iter().take(i).any(is_same) {
            problems.add(
                &header.header.place,
                "another entry already sets this header (names that differ only in case or punctuation are the same)",
            );
        }
    }
}

/// Returns the names, in lower case, of the client headers that the policy reads or checks. The filter removes other spellings
/// of these names, such as `x_tenant` for `x-tenant`, so that the upstream receives the values that the policy has read.
fn headers_read(document: &Document) -> Vec<String> {
    let read = sent_headers::read_by(document).into_iter().map(|(name, _)| name.to_ascii_lowercase());
    read.chain(conditions::headers_read(&document.routes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source;
    use serde_json::{Value, json};
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// Adds settings to the issuer and to the route of a valid document. Returns the problems of the resulting document.
    fn problems(issuer: Value, route: Value) -> Vec<String> {
        let mut document = json!({
            "version": "1.0",
            "issuers": [
                { "name": "a", "issuer": "https://a.example", "audiences": ["x"], "secret": { "env": "LONG" } },
                { "name": "b", "issuer": "https://b.example", "audiences": ["x"], "secret": { "env": "LONG" } },
            ],
            "routes": [{ "path": "/x", "response": {} }],
        });
        for (over, under) in [(issuer, "/issuers/1"), (route, "/routes/0")] {
            let under = document.pointer_mut(under).unwrap().as_object_mut().unwrap();
            for (name, value) in over.as_object().unwrap() {
                under.insert(name.clone(), value.clone());
            }
            under.retain(|_, value| !value.is_null());
        }
        let environment = |name: &str| match name {
            "LONG" => Some("0123456789abcdef0123456789abcdef".to_string()),
            "SHORT" => Some("0123456789abcdef".to_string()),
            _ => None,
        };
        let node = source::read(document.to_string().as_bytes()).unwrap();
        let found = Policy::from_node(&node, &environment).err().unwrap_or_default();
        found.into_iter().map(|problem| problem.message).collect()
    }

    #[test]
    fn contradictory_settings_are_rejected() {
        let jwks = json!({ "uri": "https://b.example/keys", "cluster": "b" });
        let public = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
        let mut private = public.clone();
        private["d"] = json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
        let keys = |key: &Value| json!({ "keys": [key] });
        let none = json!({});
        for (issuer, route, expected) in [
            (none.clone(), none.clone(), None),
            (json!({ "secret": null, "jwks": jwks }), none.clone(), None),
            (json!({ "secret": null, "keys": keys(&public) }), none.clone(), None),
            (json!({ "secret": null, "keys": keys(&private) }), none.clone(), Some("private members")),
            (json!({ "jwks": jwks }), none.clone(), Some("expected exactly one of `jwks`, `keys` and `secret`")),
            (json!({ "secret": { "env": "SHORT" } }), none.clone(), Some("16 bytes, but at least 32 are required")),
            (json!({ "secret": { "env": "UNSET" } }), none.clone(), Some("`UNSET` is not set")),
            (json!({ "algorithms": ["RS256"] }), none.clone(), Some("`RS256` cannot be used with a shared secret")),
            (
                json!({ "secret": null, "jwks": jwks, "algorithms": ["HS256"] }),
                none.clone(),
                Some("`HS256` cannot be used with a key set that is fetched"),
            ),
            (json!({ "algorithms": ["none"] }), none.clone(), Some("no algorithm `none`")),
            (json!({ "algorithms": ["hs256"] }), none.clone(), Some("did you mean `HS256`?")),
            (json!({ "audiences": [] }), none.clone(), Some("`audiences` is empty")),
            (json!({ "name": "a" }), none.clone(), Some("issuer `a` is declared twice")),
            (json!({ "issuer": "https://a.example" }), none.clone(), Some("already the issuer of `a`")),
            (none.clone(), json!({ "issuer": "b", "scopes": ["s"], "require_claims": { "c": 1 } }), None),
            (none.clone(), json!({ "issuer": "c" }), Some("no issuer `c`")),
            (none.clone(), json!({ "scopes": ["a b"] }), Some("`a b` is not a scope")),
            (none.clone(), json!({ "auth": "none" }), None),
            (none.clone(), json!({ "auth": "none", "issuer": "a" }), Some("`auth: none` identifies no caller")),
            (none.clone(), json!({ "auth": "none", "any_scope": ["s"] }), Some("`auth: none` identifies no caller")),
            (none.clone(), json!({ "auth": "optional", "issuer": "a" }), None),
            (none.clone(), json!({ "auth": "optional", "scopes": ["s"] }), Some("`auth: optional` accepts callers")),
            (
                none.clone(),
                json!({ "auth": "optional", "require_claims": { "c": 1 } }),
                Some("`auth: optional` accepts callers"),
            ),
        ] {
            let found = problems(issuer.clone(), route.clone());
            let holds = match expected {
                None => found.is_empty(),
                Some(expected) => found.len() == 1 && found[0].contains(expected),
            };
            assert!(holds, "{issuer} {route}: expected {expected:?}, found {found:?}");
        }
    }
}
