//! Configures the baselines: Envoy without filters, and Envoy's own filters for the same task as Portcullis.

use anyhow::Result;
use serde_json::{Value, json};

use crate::listener;
use crate::site::{CALLER, CALLS, EXPOSED, HEADERS, HEALTH, HEALTH_BODY, IDENTITY, MAX_AGE, METHODS, ORIGIN, Site};
use crate::tokens::{AUDIENCE, SCOPE};

/// How Envoy finds the route of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// A list of path templates, which Envoy tries in order.
    List,
    /// A prefix map (`xds.type.matcher.v3.Matcher`) that selects one path template.
    Tree,
}

/// Returns the bootstrap of an Envoy that forwards requests without filters.
pub fn bare(site: &Site, port: u16) -> Value {
    let routes = json!({ "name": "bare", "domains": ["*"], "routes": [health(), forward(json!({ "prefix": "/" }))] });
    listener::bootstrap(port, site.upstream, None, vec![], &routes)
}

/// Returns the bootstrap of an Envoy with the filters `cors`, `jwt_authn` and `rbac`, and with `local_ratelimit` if the site
/// has a limit. `cache` is the number of tokens that `jwt_authn` caches; 0 disables the cache.
pub fn filters(site: &Site, port: u16, cache: u32, table: Table) -> Result<Value> {
    let mut chain = vec![
        listener::filter("cors", "cors.v3.Cors", json!({})),
        listener::filter("jwt_authn", "jwt_authn.v3.JwtAuthentication", jwt_authn(site, cache)?),
        listener::filter("rbac", "rbac.v3.RBAC", json!({})),
    ];
    if site.limited {
        chain.push(listener::filter("local_ratelimit", "local_ratelimit.v3.LocalRateLimit", local_ratelimit()));
    }
    let log = site.audit.then(audit);
    Ok(listener::bootstrap(port, site.upstream, log, chain, &virtual_host(site, table)))
}

/// Returns the configuration of `jwt_authn`. It accepts the token only in the header `authorization`; by default, `jwt_authn`
/// also searches the query.
fn jwt_authn(site: &Site, cache: u32) -> Result<Value> {
    let algorithms = site.algorithms();
    let keys: Result<Vec<_>> = algorithms.iter().map(|algorithm| algorithm.jwk()).collect();
    let issuer = algorithms.first().map(|algorithm| algorithm.issuer());
    let to_headers: Vec<_> =
        IDENTITY.iter().map(|(header, claim)| json!({ "header_name": header, "claim_name": claim })).collect();
    let mut provider = json!({
        "issuer": issuer,
        "audiences": [AUDIENCE],
        "require_expiration": true,
        "local_jwks": { "inline_string": json!({ "keys": keys? }).to_string() },
        "from_headers": [{ "name": "authorization", "value_prefix": "Bearer " }],
        "claim_to_headers": to_headers,
        "payload_in_metadata": "payload",
    });
    if let (Some(members), 1..) = (provider.as_object_mut(), cache) {
        members.insert("jwt_cache_config".to_owned(), json!({ "jwt_cache_size": cache }));
    }
    Ok(json!({
        "providers": { "bench": provider },
        "requirement_map": { "caller": { "provider_name": "bench" } },
        "bypass_cors_preflight": true,
    }))
}

/// Returns the configuration of `local_ratelimit`. Envoy creates a bucket when it first receives a value of the header
/// [`CALLER`]. By default, Envoy would keep only twenty buckets.
fn local_ratelimit() -> Value {
    let always = json!({ "default_value": { "numerator": 100 } });
    let bucket = |tokens: u64| json!({ "max_tokens": tokens, "tokens_per_fill": tokens, "fill_interval": "86400s" });
    let action = json!({ "request_headers": { "header_name": CALLER, "descriptor_key": "caller" } });
    json!({
        "stat_prefix": "callers",
        "token_bucket": bucket(u64::from(u32::MAX)),
        "filter_enabled": always.clone(),
        "filter_enforced": always,
        "descriptors": [{ "entries": [{ "key": "caller" }], "token_bucket": bucket(CALLS as u64) }],
        "rate_limits": [{ "actions": [action] }],
        "max_dynamic_descriptors": 20_000,
        "always_consume_default_token_bucket": false,
    })
}

fn virtual_host(site: &Site, table: Table) -> Value {
    let cors = json!({
        "@type": listener::type_url("cors.v3.CorsPolicy"),
        "allow_origin_string_match": [{ "exact": ORIGIN }],
        "allow_methods": METHODS.join(", "),
        "allow_headers": HEADERS.join(", "),
        "expose_headers": EXPOSED,
        "allow_credentials": true,
        "max_age": MAX_AGE.to_string(),
        "forward_not_matching_preflights": false,
    });
    let mut host =
        json!({ "name": "native", "domains": ["*"], "typed_per_filter_config": { "envoy.filters.http.cors": cors } });
    let template = |number: usize| {
        let pattern = json!({ "@type": TEMPLATE, "path_template": format!("/api/v1/r{number}/items/{{id}}") });
        protected(
            json!({ "path_match_policy": { "name": "envoy.path.match.uri_template.uri_template_matcher", "typed_config": pattern } }),
        )
    };
    let templates = (0..site.routes).map(template);
    let (member, value) = match table {
        Table::List => ("routes", Value::Array(std::iter::once(health()).chain(templates).collect())),
        Table::Tree => {
            let prefixed = templates.enumerate().map(|(number, route)| (format!("/api/v1/r{number}/"), route));
            ("matcher", tree(prefixed.chain([(HEALTH.to_owned(), health())])))
        }
    };
    if let Some(members) = host.as_object_mut() {
        members.insert(member.to_owned(), value);
    }
    host
}

fn tree(routes: impl Iterator<Item = (String, Value)>) -> Value {
    let action = |(prefix, route): (String, Value)| {
        let mut typed = json!({ "@type": "type.googleapis.com/envoy.config.route.v3.Route" });
        if let (Some(typed), Value::Object(route)) = (typed.as_object_mut(), route) {
            typed.extend(route);
        }
        (prefix, json!({ "action": { "name": "route", "typed_config": typed } }))
    };
    let path = json!({
        "@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": ":path"
    });
    let map: serde_json::Map<_, _> = routes.map(action).collect();
    json!({ "matcher_tree": { "input": { "name": "path", "typed_config": path }, "prefix_match_map": { "map": map } } })
}

/// Returns a route to the upstream that is open only to callers with the scope [`SCOPE`].
fn protected(matching: Value) -> Value {
    let scopes = json!({
        "filter": "envoy.filters.http.jwt_authn",
        "path": [{ "key": "payload" }, { "key": "scopes" }],
        "value": { "list_match": { "one_of": { "string_match": { "exact": SCOPE } } } },
    });
    let policy = json!({ "permissions": [{ "any": true }], "principals": [{ "metadata": scopes }] });
    let rbac = json!({
        "@type": listener::type_url("rbac.v3.RBACPerRoute"),
        "rbac": { "rules": { "action": "ALLOW", "policies": { "scope": policy } } },
    });
    let jwt = json!({ "@type": listener::type_url("jwt_authn.v3.PerRouteConfig"), "requirement_name": "caller" });
    let mut route = forward(matching);
    if let Some(members) = route.as_object_mut() {
        let filters = json!({ "envoy.filters.http.jwt_authn": jwt, "envoy.filters.http.rbac": rbac });
        members.insert("typed_per_filter_config".to_owned(), filters);
    }
    route
}

fn forward(matching: Value) -> Value {
    json!({ "match": matching, "route": { "cluster": listener::CLUSTER } })
}

fn health() -> Value {
    let answer = json!({ "status": 200, "body": { "inline_string": HEALTH_BODY } });
    json!({ "match": { "path": HEALTH }, "direct_response": answer })
}

/// Returns the fields of the access log. Envoy writes one JSON line for each request, like the audit record of Portcullis.
fn audit() -> Value {
    json!({
        "time": "%START_TIME%", "method": "%REQ(:METHOD)%", "path": "%REQ(:PATH)%", "status": "%RESPONSE_CODE%",
        "request_id": "%REQ(X-REQUEST-ID)%", "duration_ms": "%DURATION%", "reason": "%RESPONSE_CODE_DETAILS%",
        "issuer": "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:payload:iss)%",
        "subject": "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:payload:sub)%",
    })
}

const TEMPLATE: &str = "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig";
