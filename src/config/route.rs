//! Reads `routes`, `public_paths` and `upstreams`: the accepted requests, the access rules and the backend services.

use super::auth::{Auth, Sensitivity};
use super::checks::CheckSettings;
use super::claim::required_claims;
use super::cors_setting;
use super::document::{PublicPath, Route, StaticResponse, Upstream};
use super::environment::Environment;
use super::identity::header_name;
use super::json_api::JsonApiSettings;
use super::limit::{LimitExclusions, LimitSettings};
use super::node::Value;
use super::problem::At;
use super::reader::{Field, Fields};
use super::schema_keys::{response, route as key};

impl Route {
    /// Reads one route. `usual` is the `auth` of a route that does not set its own.
    pub(super) fn read(field: &Field<'_>, usual: &At<Auth>) -> Option<Route> {
        let fields = field.fields()?;
        let path = fields.require("path").and_then(|f| f.text_at());
        let auth = fields.get("auth").and_then(|f| Auth::read(&f));
        let texts = |key| fields.get(key).map(|f| f.texts()).unwrap_or_default();
        let non_empty_texts = |key| fields.get(key).map(|f| f.non_empty_texts()).unwrap_or_default();
        let plain = |key| texts(key).into_iter().map(|t| t.value).collect();
        let route = Route {
            name: fields.get("name").and_then(|f| f.text()),
            path: path.unwrap_or_else(|| At { value: String::new(), place: fields.place().clone() }),
            methods: singular_or_plural(&fields, "method", "methods"),
            hosts: singular_or_plural(&fields, "host", "hosts"),
            auth: auth.unwrap_or_else(|| At { value: usual.value.clone(), place: fields.place().clone() }),
            issuers: singular_or_plural(&fields, "issuer", "issuers"),
            scopes: plain("scopes"),
            any_scope: non_empty_texts("any_scope").into_iter().map(|t| t.value).collect(),
            permissions: texts("permissions"),
            any_permission: non_empty_texts("any_permission"),
            require_claims: fields.get("require_claims").map(|f| required_claims(&f)).unwrap_or_default(),
            when: texts("when"),
            upstream: fields.get("upstream").and_then(|f| f.text_at()),
            strip_prefix: fields.flag(&key::STRIP_PREFIX),
            timeout: fields.get("timeout").and_then(|f| f.duration()),
            forward_token: fields.flag(&key::FORWARD_TOKEN),
            json_api: fields.get("jsonapi").and_then(|f| JsonApiSettings::read(&f)),
            response: fields.get("response").and_then(|f| StaticResponse::read(&f)),
            cors: fields.get("cors").and_then(|f| cors_setting(&f)),
            limits: fields.get("limits").map(|f| LimitSettings::read_all(&f, true)).unwrap_or_default(),
            without_limits: fields.get("without_limits").and_then(|f| LimitExclusions::read(&f)),
            checks: fields.get("checks").and_then(|f| CheckSettings::setting(&f)),
            sensitivity: Sensitivity::read(&fields),
            description: fields.get("description").and_then(|f| f.text()),
            place: fields.place().clone(),
        };
        fields.finish();
        (!route.path.value.is_empty()).then_some(route)
    }
}

impl StaticResponse {
    fn read(field: &Field<'_>) -> Option<StaticResponse> {
        let fields = field.fields()?;
        let status = u16::try_from(fields.number(&response::STATUS)).unwrap_or(u16::MAX);
        let body = fields.get("body").map(|f| f.node.to_json());
        let headers = fields.get("headers").map(|f| read_headers(&f)).unwrap_or_default();
        fields.finish();
        Some(StaticResponse { status, headers, body })
    }
}

/// Reads the headers of a static response. Their number and size are limited, because Envoy silently drops a reply with more
/// than 1024 headers or 1 MiB of headers (envoy-facts §0.14).
fn read_headers(field: &Field<'_>) -> Vec<(At<String>, String)> {
    let headers: Vec<_> = field.entries().into_iter().filter_map(|(name, value)| read_header(&name, &value)).collect();
    let bytes: usize = headers.iter().map(|(name, value)| name.value.len() + value.len()).sum();
    if headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
        field.problem(format!(
            "a response may have at most {MAX_HEADERS} headers and {MAX_HEADER_BYTES} bytes of headers"
        ));
    }
    headers
}

fn read_header(name: &At<String>, field: &Field<'_>) -> Option<(At<String>, String)> {
    let lower = header_name(name, field)?;
    let value = field.text()?;
    if !value.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        field.problem("a header value may contain only visible ASCII and spaces");
        return None;
    }
    Some((At { value: lower, place: name.place.clone() }, value))
}

impl PublicPath {
    /// Reads a public path, which is a string. A path that ends in `/*` includes all paths below it.
    pub(super) fn read(field: &Field<'_>) -> Option<PublicPath> {
        field.text_at().map(|path| PublicPath { path })
    }
}

impl Upstream {
    /// Reads the `upstreams` section and replaces `$NAME` in addresses with values from `environment`.
    pub(super) fn read_all(field: &Field<'_>, environment: Environment<'_>) -> Vec<Upstream> {
        field.entries().into_iter().filter_map(|(name, value)| Upstream::read(name, &value, environment)).collect()
    }

    fn read(name: At<String>, field: &Field<'_>, environment: Environment<'_>) -> Option<Upstream> {
        if let Value::Null = field.node.value {
            return Some(Upstream { name, url: None, preserve_host: true });
        }
        let fields = field.fields()?;
        let url = fields.get("url");
        let has_address = url.is_some();
        let url = url.and_then(|f| f.url_from(environment));
        if url.as_ref().is_some_and(|u| u.value.path.contains('?')) {
            fields.problem("the address of an upstream must not have a query");
        }
        let preserve_host = fields.get("preserve_host").and_then(|f| f.flag()).unwrap_or(!has_address);
        fields.finish();
        Some(Upstream { name, url, preserve_host })
    }
}

/// Reads a setting that has a singular and a plural key, such as `host` and `hosts`. Both keys in one mapping are reported as a
/// problem.
fn singular_or_plural(fields: &Fields<'_>, one: &'static str, many: &'static str) -> Vec<At<String>> {
    match (fields.get(one), fields.get(many)) {
        (Some(_), Some(second)) => {
            second.problem(format!("`{one}` and `{many}` have the same meaning: keep one"));
            Vec::new()
        }
        (Some(field), None) | (None, Some(field)) => field.non_empty_texts(),
        (None, None) => Vec::new(),
    }
}

const MAX_HEADERS: usize = 100;
const MAX_HEADER_BYTES: usize = 65_536;
