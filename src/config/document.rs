//! The sections of the document with typed values; `docs/configuration.md` describes them.

use std::time::Duration;

use super::auth::{ApiKeys, Auth, Sensitivity};
use super::checks::CheckSettings;
use super::claim::RequiredClaim;
use super::client::ClientSettings;
use super::identity::IdentityHeader;
use super::json_api::JsonApiSettings;
use super::limit::service::RateLimitService;
use super::limit::{LimitExclusions, LimitHeaders, LimitSettings, Plan};
use super::permission::{ForwardPermissions, PermissionDomain};
use super::polled::PolledSource;
use super::problem::At;
use super::schema::NamedSchema;
use super::token_rules::TokenRules;
use super::url::Url;

/// A gateway document.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// The environment in which this gateway runs.
    pub environment: Option<At<String>>,
    /// The token issuers.
    pub issuers: Vec<IssuerSettings>,
    /// Where clients may send API keys.
    pub api_keys: Option<ApiKeys>,
    /// The clients, with their API keys, their certificates, and settings for the tokens that name them.
    pub clients: Vec<ClientSettings>,
    /// The source of additional clients.
    pub clients_from: Option<super::clients_from::ClientsFrom>,
    /// Whether `clients` or `clients_from` is present, even if the list is empty.
    pub has_directory: bool,
    /// Revoked credentials, which are refused before they expire.
    pub revocation: Option<super::revocation::RevocationSettings>,
    /// The claims that are sent to the upstream, each with its header.
    pub identity_headers: Vec<IdentityHeader>,
    /// The permissions that callers can be granted.
    pub permissions: Vec<PermissionDomain>,
    /// How permissions are sent to the upstream.
    pub forward_permissions: ForwardPermissions,
    /// The CORS policy of every route that does not set its own policy.
    pub cors: Option<Cors>,
    /// The backend services.
    pub upstreams: Vec<Upstream>,
    /// Public paths, which need no credential. A path that ends in `/*` includes all paths below it.
    pub public_paths: Vec<PublicPath>,
    /// The named JSON Schemas.
    pub schemas: Vec<NamedSchema>,
    /// The request checks of every route that does not set its own checks.
    pub checks: Option<CheckSettings>,
    /// The routes and their access rules.
    pub routes: Vec<Route>,
    /// The plans: named sets of windows for limits.
    pub plans: Vec<Plan>,
    /// The rate limits.
    pub limits: Vec<LimitSettings>,
    /// The service that counts the limits shared by several proxies.
    pub rate_limit_service: Option<RateLimitService>,
    /// Which response headers report limits.
    pub limit_headers: LimitHeaders,
    /// How refusals are reported to the client.
    pub errors: ErrorSettings,
    /// Where audit records are written.
    pub audit: Audit,
    /// The memory bounds of one worker.
    pub bounds: Option<super::bounds::WorkerBounds>,
}

/// A token issuer and the keys that verify its tokens.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// The name used in routes, messages and the audit record.
    pub name: At<String>,
    /// The `iss` claim, compared exactly (RFC 7519 §4.1.1).
    pub issuer: At<String>,
    /// The accepted algorithms. An empty list accepts every algorithm that the keys allow.
    pub algorithms: Vec<At<String>>,
    /// The source of the keys.
    pub keys: At<IssuerKeySettings>,
    /// The rules for the tokens of this issuer.
    pub rules: TokenRules,
    /// The accepted `typ` header values. Case and an `application/` prefix are ignored; an absent `typ` counts as `JWT`.
    pub token_types: Vec<String>,
    /// Where the token can be in the request.
    pub token_from: Vec<TokenSource>,
    /// Cookies from `token_from` that are accepted even if a page of another origin sends the request.
    pub insecure_cross_origin: Vec<TokenSource>,
    /// Whether a token must name a listed client; `None` means that the document does not set it.
    pub require_client: Option<bool>,
    /// Whether tokens that name an unlisted client are accepted, although the document lists clients.
    pub allow_unlisted_clients: bool,
    /// Whether developers mint the tokens of this issuer themselves.
    pub self_issued: Option<At<bool>>,
    /// The environments in which the issuer is trusted; an empty list means all environments.
    pub environments: Vec<At<String>>,
}

/// The source of an issuer's keys.
#[derive(Clone, Debug)]
pub enum IssuerKeySettings {
    /// A key set fetched over HTTP through an Envoy cluster.
    Jwks(RemoteKeys),
    /// A key set inside the document, as JSON (RFC 7517).
    Inline(serde_json::Value),
    /// A shared secret from an environment variable (HS256 to HS512).
    Secret {
        /// The name of the variable.
        env: String,
    },
}

/// A remote key set and its fetch settings.
#[derive(Clone, Debug)]
pub struct RemoteKeys {
    /// The address of the key set.
    pub uri: At<Url>,
    /// The Envoy cluster through which the filter fetches the key set.
    pub cluster: String,
    /// How long the filter uses the key set before it refreshes it.
    pub fresh_for: Duration,
    /// How long the filter continues to use the key set after `fresh_for` while refreshes fail.
    pub stale_for: Duration,
    /// The timeout of each fetch.
    pub timeout: Duration,
    /// The minimum time between two fetches caused by unknown key ids.
    pub cool_down: Duration,
    /// The maximum time that a request waits for a fetch.
    pub wait: Duration,
}

/// Where a token can be in the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// `Authorization: Bearer …` (RFC 6750 §2.1).
    Bearer,
    /// The whole value of a header other than `Authorization`.
    Header(String),
    /// A cookie with this name.
    Cookie(String),
    /// A query parameter with this name (RFC 6750 §2.3 discourages it).
    Query(String),
}

/// A CORS policy (Fetch standard, §3.2).
#[derive(Clone, Debug)]
pub struct Cors {
    /// The allowed origins: exact origins, `https://*.example.com`, `*` or `null`.
    pub allow_origins: Vec<At<String>>,
    /// The allowed methods, or `*`; `None` means the methods of the routes with this path.
    pub allow_methods: Option<Vec<At<String>>>,
    /// The allowed request headers, or `*`.
    pub allow_headers: Vec<At<String>>,
    /// The response headers that scripts can read, or `*`.
    pub expose_headers: Vec<At<String>>,
    /// Whether scripts can send credentials, such as cookies.
    pub allow_credentials: bool,
    /// How long a browser can cache a preflight response.
    pub max_age: Option<At<Duration>>,
    /// Whether a public page can call into a private network.
    pub allow_private_network: bool,
    /// The location of the section in the document.
    pub place: super::problem::Place,
}

/// A backend service.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// The name of the upstream and of its Envoy cluster.
    pub name: At<String>,
    /// The address; `None` if the Envoy configuration already defines the cluster.
    pub url: Option<At<Url>>,
    /// Whether the upstream receives the `Host` of the client instead of the host in the address.
    pub preserve_host: bool,
}

/// A public path, which needs no credential.
#[derive(Clone, Debug)]
pub struct PublicPath {
    /// The path. A path that ends in `/*` includes all paths below it.
    pub path: At<String>,
}

/// One route.
#[derive(Clone, Debug)]
pub struct Route {
    /// The name in messages and audit records; `None` means `METHOD /path`.
    pub name: Option<String>,
    /// The path pattern.
    pub path: At<String>,
    /// The methods; an empty list means all methods.
    pub methods: Vec<At<String>>,
    /// The hosts; an empty list means all hosts.
    pub hosts: Vec<At<String>>,
    /// The credentials that the route requires.
    pub auth: At<Auth>,
    /// The accepted token issuers; an empty list means all issuers.
    pub issuers: Vec<At<String>>,
    /// Scopes that the caller needs; all of them are required.
    pub scopes: Vec<String>,
    /// Scopes of which the caller needs at least one.
    pub any_scope: Vec<String>,
    /// Permissions that the caller needs; all of them are required.
    pub permissions: Vec<At<String>>,
    /// Permissions of which the caller needs at least one.
    pub any_permission: Vec<At<String>>,
    /// Required claims; each of them must have one of its listed values.
    pub require_claims: Vec<RequiredClaim>,
    /// Conditions; all of them must be true.
    pub when: Vec<At<String>>,
    /// The upstream that receives the request; `None` means that Envoy's own routes choose the cluster.
    pub upstream: Option<At<String>>,
    /// Whether the filter removes the literal part of the path pattern before it forwards the request.
    pub strip_prefix: bool,
    /// The timeout of the upstream.
    pub timeout: Option<Duration>,
    /// Whether the token is forwarded to the upstream.
    pub forward_token: bool,
    /// How the JSON of the upstream becomes a JSON:API document; `None` leaves responses unchanged.
    pub json_api: Option<JsonApiSettings>,
    /// The response of a static route.
    pub response: Option<StaticResponse>,
    /// The route's own CORS policy; `Some(None)` disables CORS.
    pub cors: Option<Option<Cors>>,
    /// The limits of this route, in addition to the limits of the document.
    pub limits: Vec<LimitSettings>,
    /// The limits of the document that do not apply to the route.
    pub without_limits: Option<LimitExclusions>,
    /// The route's own checks; each member overrides the member of the document's checks. `Some(None)` disables all checks.
    pub checks: Option<Option<CheckSettings>>,
    /// How much harm a call to the route can do.
    pub sensitivity: Sensitivity,
    /// A description of the route.
    pub description: Option<String>,
    /// The location of the route in the document.
    pub place: super::problem::Place,
}

/// The response of a static route.
#[derive(Clone, Debug)]
pub struct StaticResponse {
    /// The status code, from 200 to 599.
    pub status: u16,
    /// The response headers; names are in lower case.
    pub headers: Vec<(At<String>, String)>,
    /// The JSON body; `None` means an empty body.
    pub body: Option<serde_json::Value>,
}

/// How refusals are reported to the client.
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
    /// The filter writes one line of JSON per request to Envoy's application log.
    #[default]
    Log,
    /// Filter state `wasm.portcullis`, which an access log format can print. This costs less than `Log`, and Envoy can add its
    /// own fields.
    AccessLog,
}

impl Document {
    /// Returns the sources of the polled documents, without the key sets.
    pub fn polled(&self) -> impl Iterator<Item = &PolledSource> {
        let lists = self.revocation.iter().filter_map(|revocation| revocation.list.as_ref());
        lists.chain(self.clients_from.iter().map(|from| &from.document))
    }
}
