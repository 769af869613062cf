//! Reads the document that an operator writes, field by field, and reports all problems together, each with its location.

pub mod auth;
pub mod bounds;
pub mod checks;
pub mod claim;
pub mod client;
pub mod clients_from;
pub mod cors;
pub mod document;
pub mod document_size;
pub mod environment;
pub mod header_name;
pub mod identity;
pub mod issuer;
pub mod json_api;
pub mod limit;
pub mod mask;
pub mod node;
pub mod permission;
pub mod polled;
pub mod problem;
pub mod read_key;
pub mod reader;
pub mod revocation;
pub mod route;
pub mod schema;
pub mod schema_keys;
pub mod sent_header;
pub mod source;
pub mod time;
pub mod token_rules;
pub mod url;

use std::cell::RefCell;

use auth::{ApiKeys, Auth};
use bounds::WorkerBounds;
use checks::CheckSettings;
use client::ClientSettings;
use clients_from::ClientsFrom;
use document::{Audit, Cors, Document, ErrorSettings, IssuerSettings, PublicPath, Route, Upstream};
use environment::Environment;
use identity::IdentityHeader;
use limit::service::RateLimitService;
use limit::{LimitHeaders, LimitSettings, Plan};
use node::{Node, Value};
use permission::{ForwardPermissions, PermissionDomain};
use problem::{At, Problems};
use reader::{Field, Fields};
use revocation::RevocationSettings;
use schema::NamedSchema;

impl Document {
    /// Reads a parsed document. If there are problems, the result contains only the valid parts, so that later checks can
    /// report further problems. Callers must check the problems before they use the document.
    pub fn read(node: &Node, environment: Environment<'_>) -> (Document, Problems) {
        let problems = RefCell::new(Problems::default());
        let document = read_document(&Field::root(node, &problems), environment).unwrap_or_default();
        (document, problems.into_inner())
    }
}

/// Checks that `version` is the string `1.0`. Without quotes, YAML parses the version as a number.
fn check_version(fields: &Fields<'_>) {
    if let Some(version) = fields.require("version")
        && version.node.value != Value::Text("1.0".to_string())
    {
        version.problem("expected `\"1.0\"`, in quotes");
    }
}

/// Reads all sections, and reports a document that has neither `routes` nor `public_paths`.
fn read_document(root: &Field<'_>, environment: Environment<'_>) -> Option<Document> {
    let fields = root.fields()?;
    check_version(&fields);
    let items = |key| fields.get(key).map(|f| f.items()).unwrap_or_default();
    let auth = fields.get("auth").map_or_else(|| required_auth(root), |f| default_auth(&f));
    let document = Document {
        environment: fields.get("environment").and_then(|f| f.text_at()),
        issuers: items("issuers").iter().filter_map(IssuerSettings::read).collect(),
        api_keys: fields.get("api_keys").and_then(|f| ApiKeys::read(&f)),
        clients: items("clients").iter().filter_map(ClientSettings::read).collect(),
        clients_from: fields.get("clients_from").and_then(|f| ClientsFrom::read(&f)),
        has_directory: fields.get("clients").is_some() || fields.get("clients_from").is_some(),
        revocation: fields.get("revocation").and_then(|f| RevocationSettings::read(&f)),
        identity_headers: fields.get("identity_headers").map(|f| IdentityHeader::read_all(&f)).unwrap_or_default(),
        permissions: fields.get("permissions").map(|f| PermissionDomain::read_all(&f)).unwrap_or_default(),
        forward_permissions: fields
            .get("forward_permissions")
            .and_then(|f| ForwardPermissions::read(&f))
            .unwrap_or_default(),
        cors: fields.get("cors").and_then(|f| Cors::read(&f)),
        upstreams: fields.get("upstreams").map(|f| Upstream::read_all(&f, environment)).unwrap_or_default(),
        public_paths: items("public_paths").iter().filter_map(PublicPath::read).collect(),
        schemas: fields.get("schemas").map(|f| NamedSchema::read_all(&f)).unwrap_or_default(),
        checks: fields.get("checks").and_then(|f| CheckSettings::read(&f)),
        routes: items("routes").iter().filter_map(|f| Route::read(f, &auth)).collect(),
        plans: fields.get("plans").map(|f| Plan::read_all(&f)).unwrap_or_default(),
        limits: fields.get("limits").map(|f| LimitSettings::read_all(&f, false)).unwrap_or_default(),
        rate_limit_service: fields.get("rate_limit_service").and_then(|f| RateLimitService::read(&f, environment)),
        limit_headers: LimitHeaders::read(&fields),
        errors: fields.get("errors").and_then(|f| ErrorSettings::read(&f)).unwrap_or_default(),
        audit: fields.get("audit").and_then(|f| Audit::read(&f)).unwrap_or_default(),
        bounds: fields.get("bounds").and_then(|f| WorkerBounds::read(&f)),
    };
    if fields.get("routes").is_none() && document.public_paths.is_empty() {
        fields.problem("`routes` is missing: add `routes` or `public_paths`, or the gateway refuses every request");
    }
    fields.finish();
    Some(document)
}

fn required_auth(field: &Field<'_>) -> At<Auth> {
    At { value: Auth::required(), place: field.place.clone() }
}

/// Reads the `auth` that applies to routes without their own `auth`. It must require credentials; only a route itself can allow
/// requests without credentials.
fn default_auth(field: &Field<'_>) -> At<Auth> {
    match Auth::read(field) {
        Some(At { value: Auth::None | Auth::Optional, .. }) => {
            field.problem(
                "only a route can accept requests without credentials: set `auth: none` or `optional` on the route",
            );
            required_auth(field)
        }
        found => found.unwrap_or_else(|| required_auth(field)),
    }
}

impl ErrorSettings {
    fn read(field: &Field<'_>) -> Option<ErrorSettings> {
        let fields = field.fields()?;
        let realm = fields.get("realm");
        let text = realm.as_ref().and_then(|f| f.text());
        // A challenge contains the realm as a quoted string (RFC 9110 §5.6.4). Without quotes and backslashes, it needs no
        // escaping.
        let is_plain = |t: &String| t.bytes().all(|b| (0x20..0x7f).contains(&b) && !matches!(b, b'"' | b'\\'));
        if let (Some(field), Some(text)) = (&realm, &text)
            && !is_plain(text)
        {
            field.problem("a realm may contain only visible ASCII and spaces, but no quotes and no backslashes");
        }
        let usual = schema_keys::errors::PERMISSION_DENIED_STATUS;
        let denied = fields.get(usual.name);
        let status = denied.as_ref().and_then(|f| f.number(0, u64::MAX));
        if let (Some(field), Some(status)) = (&denied, status)
            && !matches!(status, 401 | 403)
        {
            field.problem(format!("`{status}` is not accepted here (accepted: 403, 401)"));
        }
        fields.finish();
        Some(ErrorSettings { realm: text.filter(is_plain), denied_as_401: status.unwrap_or(usual.default) == 401 })
    }
}

impl Audit {
    fn read(field: &Field<'_>) -> Option<Audit> {
        let fields = field.fields()?;
        let to = fields.require("to").and_then(|f| f.word(&[("log", Audit::Log), ("access_log", Audit::AccessLog)]));
        fields.finish();
        to
    }
}

/// Reads the `cors` of a route: a policy, or `false`, which disables CORS and returns `Some(None)`.
fn cors_setting(field: &Field<'_>) -> Option<Option<Cors>> {
    match field.node.value {
        Value::Bool(false) => Some(None),
        Value::Bool(true) => {
            field.problem("expected a CORS policy or `false`; to use the document's policy, omit `cors`");
            None
        }
        _ => Cors::read(field).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_missing_permission_is_answered_with_403_or_401_only() {
        let read = |status: Value| {
            let document = json!({
                "version": "1.0",
                "errors": { "permission_denied_status": status },
                "routes": [{ "path": "/a", "auth": "none", "response": {} }],
            });
            let (_, problems) = Document::read(&Node::from(document), &|_| None);
            problems.sorted().iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("; ")
        };
        assert_eq!([read(json!(403)), read(json!(401))], ["", ""]);
        for status in [400, 402, 404, 500] {
            assert_eq!(read(json!(status)), format!("`{status}` is not accepted here (accepted: 403, 401)"));
        }
    }
}
