//! The sections of the document as an operator writes them, with typed values; see `docs/configuration.md`.

use std::time::Duration;

use super::auth::{ApiKeys, Auth, Sensitivity};
use super::checks::CheckSettings;
use super::claim::RequiredClaim;
use super::client::ClientSettings;
use super::identity::IdentityHeader;
use super::limit::service::RateLimitService;
use super::limit::{LimitExclusions, LimitHeaders, LimitSettings, Plan};
use super::permission::{ForwardPermissions, PermissionDomain};
use super::polled::PolledSource;
use super::problem::At;
use super::schema::NamedSchema;
use super::token_rules::TokenRules;
use super::url::Url;

/// The whole document.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// The environment in which this gateway runs.
    pub environment: Option<At<String>>,
    /// The token issuers.
    pub issuers: Vec<IssuerSettings>,
    /// Where API keys may be sent.
    pub api_keys: Option<ApiKeys>,
    /// Clients with keys, certificates, or tokens issued to them.
    pub clients: Vec<ClientSettings>,
    /// Where additional clients are listed.
    pub clients_from: Option<super::clients_from::ClientsFrom>,
    /// Whether `clients` or `clients_from` is present, even if the list is empty.
    pub has_directory: bool,
    /// Credentials that are revoked before they expire.
    pub revocation: Option<super::revocation::RevocationSettings>,
    /// The claims sent to the upstream, and their headers.
    pub identity_headers: Vec<IdentityHeader>,
    /// The permissions that callers can be granted.
    pub permissions: Vec<PermissionDomain>,
    /// How permissions are sent to the upstream.
    pub forward_permissions: ForwardPermissions,
    /// The CORS policy of every route without its own.
    pub cors: Option<Cors>,
    /// The backend services.
    pub upstreams: Vec<Upstream>,
    /// Paths open to everyone, without route rules; a trailing `/*` includes the tree below.
    pub public_paths: Vec<PublicPath>,
    /// JSON Schemas by name.
    pub schemas: Vec<NamedSchema>,
    /// The request checks of every route that does not override them.
    pub checks: Option<CheckSettings>,
    /// The routes and who may call them.
    pub routes: Vec<Route>,
    /// Named sets of windows for limits.
    pub plans: Vec<Plan>,
    /// The rate limits.
    pub limits: Vec<LimitSettings>,
    /// The service that counts limits shared by several proxies.
    pub rate_limit_service: Option<RateLimitService>,
    /// The response headers about limits.
    pub limit_headers: LimitHeaders,
    /// The form of refusals.
    pub errors: ErrorSettings,
    /// Where the audit record of each request goes.
    pub audit: Audit,
    /// Memory bounds of one worker.
    pub bounds: Option<super::bounds::WorkerBounds>,
}

/// A token issuer and the keys that verify its tokens.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// The name used in routes, messages and the audit record.
    pub name: At<String>,
    /// The `iss` claim, compared exactly (RFC 7519 §4.1.1).
    pub issuer: At<String>,
    /// Accepted algorithms; empty means every algorithm that the keys allow.
    pub algorithms: Vec<At<String>>,
    /// The source of the keys.
    pub keys: At<IssuerKeySettings>,
    /// The rules that its tokens have to meet.
    pub rules: TokenRules,
    /// Accepted `typ` header values, compared ignoring case and an `application/` prefix; an absent `typ` counts as `JWT`.
    pub token_types: Vec<String>,
    /// Where the token may be in the request.
    pub token_from: Vec<TokenSource>,
    /// Cookies in `token_from` that are accepted on requests from pages of any origin.
    pub insecure_cross_origin: Vec<TokenSource>,
    /// Whether a token must name a listed client; `None` if not set.
    pub require_client: Option<bool>,
    /// Whether tokens that name an unlisted client are accepted although the document lists clients.
    pub allow_unlisted_clients: bool,
    /// Whether developers mint these tokens themselves.
    pub self_issued: Option<At<bool>>,
    /// The environments in which the issuer is trusted; empty means all.
    pub environments: Vec<At<String>>,
}

/// The source of an issuer's keys.
#[derive(Clone, Debug)]
pub enum IssuerKeySettings {
    /// A key set fetched over HTTP through an Envoy cluster.
    Jwks(RemoteKeys),
    /// A key set written into the document (RFC 7517), as JSON.
    Inline(serde_json::Value),
    /// A shared secret from an environment variable (HS256 to HS512).
    Secret {
        /// The variable's name.
        env: String,
    },
}

/// A remote key set.
#[derive(Clone, Debug)]
pub struct RemoteKeys {
    /// Its address.
    pub uri: At<Url>,
    /// The Envoy cluster it is fetched through.
    pub cluster: String,
    /// How long the key set is used without a refresh.
    pub fresh_for: Duration,
    /// How long after that it is still used while refreshes fail.
    pub stale_for: Duration,
    /// The timeout of one fetch.
    pub timeout: Duration,
    /// The minimum time between two fetches caused by unknown key ids.
    pub cool_down: Duration,
    /// How long a request may wait for a fetch.
    pub wait: Duration,
}

/// Where a token may be in the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// `Authorization: Bearer …` (RFC 6750 §2.1).
    Bearer,
    /// The whole value of another header.
    Header(String),
    /// A cookie.
    Cookie(String),
    /// A query parameter (RFC 6750 §2.3 discourages it).
    Query(String),
}

/// A CORS policy (Fetch standard, §3.2).
#[derive(Clone, Debug)]
pub struct Cors {
    /// Exact origins, `https://*.example.com`, `*` or `null`.
    pub allow_origins: Vec<At<String>>,
    /// Methods, or `*`; `None` means the methods of the path.
    pub allow_methods: Option<Vec<At<String>>>,
    /// Request headers, or `*`.
    pub allow_headers: Vec<At<String>>,
    /// Response headers that scripts may read, or `*`.
    pub expose_headers: Vec<At<String>>,
    /// Whether cookies and `Authorization` are allowed.
    pub allow_credentials: bool,
    /// How long a preflight response may be cached.
    pub max_age: Option<At<Duration>>,
    /// Whether a public page may call into a private network.
    pub allow_private_network: bool,
    /// Where the section is written.
    pub place: super::problem::Place,
}

/// A backend service.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// The name, also used as the name of its Envoy cluster.
    pub name: At<String>,
    /// Its address; `None` if Envoy already has the cluster.
    pub url: Option<At<Url>>,
    /// Whether the client's `Host` is kept instead of the host of the address.
    pub preserve_host: bool,
}

/// A path open to everyone.
#[derive(Clone, Debug)]
pub struct PublicPath {
    /// The path; a trailing `/*` includes the tree below.
    pub path: At<String>,
}

/// One route.
#[derive(Clone, Debug)]
pub struct Route {
    /// The name in messages and audit records; `None` means `METHOD /path`.
    pub name: Option<String>,
    /// The path pattern.
    pub path: At<String>,
    /// The methods; empty means any.
    pub methods: Vec<At<String>>,
    /// The hosts; empty means any.
    pub hosts: Vec<At<String>>,
    /// The credentials that the route requires.
    pub auth: At<Auth>,
    /// The accepted token issuers; empty means any.
    pub issuers: Vec<At<String>>,
    /// Required scopes, all of them.
    pub scopes: Vec<String>,
    /// Required scopes, at least one of them.
    pub any_scope: Vec<String>,
    /// Required permissions, all of them.
    pub permissions: Vec<At<String>>,
    /// Required permissions, at least one of them.
    pub any_permission: Vec<At<String>>,
    /// Claims that must have one of the listed values.
    pub require_claims: Vec<RequiredClaim>,
    /// Conditions that must all be true.
    pub when: Vec<At<String>>,
    /// The upstream that receives the request; `None` leaves the choice to Envoy's own routes.
    pub upstream: Option<At<String>>,
    /// Whether the literal part of the pattern is removed before forwarding.
    pub strip_prefix: bool,
    /// The timeout of the upstream.
    pub timeout: Option<Duration>,
    /// Whether the token is forwarded to the upstream.
    pub forward_token: bool,
    /// The response of a static route.
    pub response: Option<StaticResponse>,
    /// The route's own CORS policy; `Some(None)` disables CORS.
    pub cors: Option<Option<Cors>>,
    /// The route's own limits, in addition to those of the document.
    pub limits: Vec<LimitSettings>,
    /// Limits of the document that do not apply to the route.
    pub without_limits: Option<LimitExclusions>,
    /// The route's own checks; each member overrides the document's. `Some(None)` disables all checks.
    pub checks: Option<Option<CheckSettings>>,
    /// How much harm a call to the route can do.
    pub sensitivity: Sensitivity,
    /// A description of the route.
    pub description: Option<String>,
    /// Where it is written.
    pub place: super::problem::Place,
}

/// The response of a static route.
#[derive(Clone, Debug)]
pub struct StaticResponse {
    /// The status, 200 to 599.
    pub status: u16,
    /// Headers; names are in lower case.
    pub headers: Vec<(At<String>, String)>,
    /// The JSON body; `None` means an empty body.
    pub body: Option<serde_json::Value>,
}

/// The form of refusals.
#[derive(Clone, Debug, Default)]
pub struct ErrorSettings {
    /// The `realm` of challenges (RFC 9110 §11.5).
    pub realm: Option<String>,
    /// Whether a caller without a permission is refused with 401 instead of 403.
    pub denied_as_401: bool,
}

/// Where audit records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Audit {
    /// One JSON line per request in Envoy's application log, written by the filter.
    #[default]
    Log,
    /// Filter state `wasm.portcullis`, for an access log format to print. Cheaper, and Envoy can add its own fields.
    AccessLog,
}

impl Document {
    /// The polled documents, except key sets.
    pub fn polled(&self) -> impl Iterator<Item = &PolledSource> {
        let lists = self.revocation.iter().filter_map(|revocation| revocation.list.as_ref());
        lists.chain(self.clients_from.iter().map(|from| &from.document))
    }
}
