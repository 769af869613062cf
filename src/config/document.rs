//! The document's sections as an operator writes them, each value already of its type; see `docs/configuration.md`.

use std::time::Duration;

use super::auth::{ApiKeys, Auth, Sensitivity};
use super::checks::Checks;
use super::claim::{ClaimPath, RequiredClaim};
use super::client::Client;
use super::identity::IdentityHeader;
use super::limit::service::RateLimitService;
use super::limit::{Limit, LimitHeaders, Plan, Without};
use super::permission::{ForwardPermissions, PermissionDomain};
use super::polled::PolledFrom;
use super::problem::At;
use super::schema::NamedSchema;
use super::url::Url;

/// The whole document.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// The environment this gateway stands in.
    pub environment: Option<At<String>>,
    /// Who issues tokens.
    pub issuers: Vec<Issuer>,
    /// Where API keys may stand.
    pub api_keys: Option<ApiKeys>,
    /// Who calls with keys, certificates, or tokens of its own.
    pub clients: Vec<Client>,
    /// Where further clients are listed.
    pub clients_from: Option<super::clients_from::ClientsFrom>,
    /// Whether `clients` or `clients_from` is written, even if it lists nobody.
    pub has_directory: bool,
    /// What no longer holds before its time.
    pub revocation: Option<super::revocation::Revocation>,
    /// Which claims reach the upstream in which headers.
    pub identity_headers: Vec<IdentityHeader>,
    /// What callers can be granted.
    pub permissions: Vec<PermissionDomain>,
    /// How the upstream learns what they have.
    pub forward_permissions: ForwardPermissions,
    /// The CORS policy of every route that has none of its own.
    pub cors: Option<Cors>,
    /// Where forwarded requests go.
    pub upstreams: Vec<Upstream>,
    /// Paths open to everyone without a route's further rules; `/*` at the end takes the tree below.
    pub public_paths: Vec<PublicPath>,
    /// JSON Schemas by name.
    pub schemas: Vec<NamedSchema>,
    /// What requests of every route must look like that does not say otherwise.
    pub checks: Option<Checks>,
    /// What may be called, by whom.
    pub routes: Vec<Route>,
    /// Windows of limits by name.
    pub plans: Vec<Plan>,
    /// How many requests whoever may make.
    pub limits: Vec<Limit>,
    /// Who counts the limits that several proxies share.
    pub rate_limit_service: Option<RateLimitService>,
    /// The headers that tell clients about it.
    pub limit_headers: LimitHeaders,
    /// How refusals look.
    pub errors: Errors,
    /// Where the audit record of each request goes.
    pub audit: Audit,
    /// How much memory a worker may spend.
    pub bounds: Option<super::bounds::WorkerBounds>,
}

/// An issuer of tokens and the keys that prove them.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// The name used in routes, messages and the audit record.
    pub name: At<String>,
    /// The `iss` claim, compared exactly (RFC 7519 §4.1.1).
    pub issuer: At<String>,
    /// Accepted `aud` values, any of them.
    pub audiences: Vec<String>,
    /// Accepted algorithms; empty takes every one the keys allow.
    pub algorithms: Vec<At<String>>,
    /// Where keys come from.
    pub keys: At<Keys>,
    /// Clock leeway for `exp`, `nbf` and `iat`.
    pub leeway: Duration,
    /// The longest time between `iat` (or now) and `exp`.
    pub max_lifetime: Option<Duration>,
    /// Accepted `typ` header values, compared without case and `application/`; an absent `typ` is accepted when `JWT` is.
    pub token_types: Vec<String>,
    /// Claims that must have one of the listed values.
    pub require_claims: Vec<RequiredClaim>,
    /// The claims that hold scopes, in order of preference.
    pub scope_claims: Vec<ClaimPath>,
    /// The claims that hold permissions; what they say is added up.
    pub permission_claims: Vec<ClaimPath>,
    /// Where the token may stand in the request.
    pub token_from: Vec<TokenSource>,
    /// The cookies in `token_from` that are accepted from pages of any origin.
    pub insecure_cross_origin: Vec<TokenSource>,
    /// The longest token accepted, in bytes.
    pub max_token_bytes: usize,
    /// Only tokens that are bound to a certificate are accepted (RFC 8705 §3).
    pub require_bound: bool,
    /// Whether a token must name a listed client; `None` when nothing is written.
    pub require_client: Option<bool>,
    /// Tokens that name a client which is not listed are accepted, although the document lists clients.
    pub allow_unlisted_clients: bool,
    /// Developers make these tokens themselves.
    pub self_issued: Option<At<bool>>,
    /// The environments in which it is believed; none for every one.
    pub environments: Vec<At<String>>,
}

/// Where an issuer's keys come from.
#[derive(Clone, Debug)]
pub enum Keys {
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
    /// How long it is used without a refresh.
    pub fresh_for: Duration,
    /// How long after that it still serves while refreshing fails.
    pub stale_for: Duration,
    /// How long one fetch may take.
    pub timeout: Duration,
    /// The least time between two fetches caused by unknown key ids.
    pub cool_down: Duration,
    /// How long a request may wait for a fetch.
    pub wait: Duration,
}

/// Where a token may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// `Authorization: Bearer …` (RFC 6750 §2.1).
    Bearer,
    /// The whole value of another header.
    Header(String),
    /// A cookie.
    Cookie(String),
    /// A query parameter (RFC 6750 §2.3, discouraged there).
    Query(String),
}

/// A CORS policy (Fetch standard, §3.2).
#[derive(Clone, Debug)]
pub struct Cors {
    /// Exact origins, `https://*.example.com`, `*` or `null`.
    pub allow_origins: Vec<At<String>>,
    /// Methods, or `*`; none means those the path has.
    pub allow_methods: Option<Vec<At<String>>>,
    /// Request headers, or `*`.
    pub allow_headers: Vec<At<String>>,
    /// Response headers a script may read, or `*`.
    pub expose_headers: Vec<At<String>>,
    /// Whether cookies and `Authorization` may go along.
    pub allow_credentials: bool,
    /// How long a preflight's answer may be kept.
    pub max_age: Option<At<Duration>>,
    /// Whether a public page may call into a private network.
    pub allow_private_network: bool,
    /// Where the section is written.
    pub place: super::problem::Place,
}

/// A backend service.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// The name, which is also that of its Envoy cluster.
    pub name: At<String>,
    /// Its address; none where Envoy already has the cluster.
    pub url: Option<At<Url>>,
    /// Keep the client's `Host` instead of the address's.
    pub preserve_host: bool,
}

/// A path open to everyone.
#[derive(Clone, Debug)]
pub struct PublicPath {
    /// The path, or the tree below it when it ends in `/*`.
    pub path: At<String>,
}

/// One route.
#[derive(Clone, Debug)]
pub struct Route {
    /// The name in messages and in the audit record; `METHOD /path` when none was written.
    pub name: Option<String>,
    /// The path pattern.
    pub path: At<String>,
    /// The methods; none takes any.
    pub methods: Vec<At<String>>,
    /// The hosts; none takes any.
    pub hosts: Vec<At<String>>,
    /// Who may call it.
    pub auth: At<Auth>,
    /// Which issuers' tokens it takes; none takes any.
    pub issuers: Vec<At<String>>,
    /// Scopes of which all are needed.
    pub scopes: Vec<String>,
    /// Scopes of which one is needed.
    pub any_scope: Vec<String>,
    /// Permissions of which all are needed.
    pub permissions: Vec<At<String>>,
    /// Permissions of which one is needed.
    pub any_permission: Vec<At<String>>,
    /// Claims that must have one of the listed values.
    pub require_claims: Vec<RequiredClaim>,
    /// Conditions that must all be true.
    pub when: Vec<At<String>>,
    /// The upstream it is forwarded to; none leaves the choice to Envoy's own routes.
    pub upstream: Option<At<String>>,
    /// The literal part of the pattern is removed before forwarding.
    pub strip_prefix: bool,
    /// How long the upstream may take.
    pub timeout: Option<Duration>,
    /// The token goes to the upstream too.
    pub forward_token: bool,
    /// The answer of a static route.
    pub response: Option<StaticResponse>,
    /// The route's own CORS policy; `Some(None)` switches CORS off.
    pub cors: Option<Option<Cors>>,
    /// Limits of its own, beside those of the document.
    pub limits: Vec<Limit>,
    /// Limits of the document that it does without.
    pub without_limits: Option<Without>,
    /// The route's own checks, member by member before the document's; `Some(None)` switches all off.
    pub checks: Option<Option<Checks>>,
    /// How much harm it can do.
    pub sensitivity: Sensitivity,
    /// What it is for.
    pub description: Option<String>,
    /// Where it is written.
    pub place: super::problem::Place,
}

/// What a static route answers.
#[derive(Clone, Debug)]
pub struct StaticResponse {
    /// The status, 200 to 599.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(At<String>, String)>,
    /// The JSON body; none for an empty one.
    pub body: Option<serde_json::Value>,
}

/// How refusals look.
#[derive(Clone, Debug, Default)]
pub struct Errors {
    /// The `realm` of challenges (RFC 9110 §11.5).
    pub realm: Option<String>,
    /// A caller without a permission is refused with 401 instead of 403.
    pub denied_as_401: bool,
}

/// Where audit records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Audit {
    /// One JSON line a request in Envoy's application log, by the filter itself.
    #[default]
    Log,
    /// Into the filter state `wasm.portcullis`, for an access log format to print: cheaper, and Envoy adds what it knows.
    AccessLog,
}

impl Document {
    /// Where documents are that are polled, key sets left out.
    pub fn polled(&self) -> impl Iterator<Item = &PolledFrom> {
        let lists = self.revocation.iter().filter_map(|revocation| revocation.list.as_ref());
        lists.chain(self.clients_from.iter().map(|from| &from.document))
    }
}
