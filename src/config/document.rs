//! The sections of the gateway document as Rust types; `docs/configuration.md` describes each key and its default.

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

/// A gateway document. [`Document::read`] creates it, and the policy compiler converts it to a `Policy`.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// The name of the environment in which this gateway runs, such as `production`; `None` if the document sets none.
    pub environment: Option<At<String>>,
    /// The issuers whose tokens the gateway accepts.
    pub issuers: Vec<IssuerSettings>,
    /// The places in a request where clients may send API keys.
    pub api_keys: Option<ApiKeys>,
    /// The clients, with their API keys, their certificates, and the settings for tokens that contain their ids.
    pub clients: Vec<ClientSettings>,
    /// The polled document that lists additional clients.
    pub clients_from: Option<super::clients_from::ClientsFrom>,
    /// Whether `clients` or `clients_from` is present, even if the list is empty.
    pub has_directory: bool,
    /// The revoked credentials, and the polled list of further revoked credentials.
    pub revocation: Option<super::revocation::RevocationSettings>,
    /// The claims and client attributes that are sent to the upstream, each with its header.
    pub identity_headers: Vec<IdentityHeader>,
    /// The permissions that callers can have, grouped by domain.
    pub permissions: Vec<PermissionDomain>,
    /// The headers and the filter state in which the caller's permissions are forwarded.
    pub forward_permissions: ForwardPermissions,
    /// The CORS policy of every route without its own `cors`.
    pub cors: Option<Cors>,
    /// The backend services to which the gateway forwards requests.
    pub upstreams: Vec<Upstream>,
    /// The paths that need no credential, whatever their routes require.
    pub public_paths: Vec<PublicPath>,
    /// The JSON Schemas that routes and other schemas refer to by name.
    pub schemas: Vec<NamedSchema>,
    /// The request checks of all routes. Each key that a route sets in its own `checks` overrides the same key here.
    pub checks: Option<CheckSettings>,
    /// The routes: the accepted requests, and the credentials and permissions that they need.
    pub routes: Vec<Route>,
    /// The plans: named sets of rates and quotas that limits refer to.
    pub plans: Vec<Plan>,
    /// The rate limits of the document. Routes can have further limits in [`Route::limits`].
    pub limits: Vec<LimitSettings>,
    /// The service that counts requests for the limits that several proxies share.
    pub rate_limit_service: Option<RateLimitService>,
    /// The response headers that report limits.
    pub limit_headers: LimitHeaders,
    /// The format of refusals: the realm of challenges, and the status for a missing permission.
    pub errors: ErrorSettings,
    /// The destination of audit records.
    pub audit: Audit,
    /// The memory bounds of one worker; `None` means [`WorkerBounds::default`](super::bounds::WorkerBounds::default).
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
    /// The source of the keys that verify the tokens.
    pub keys: At<IssuerKeySettings>,
    /// The rules for the tokens of this issuer.
    pub rules: TokenRules,
    /// The accepted `typ` header values. Case and an `application/` prefix are ignored; an absent `typ` counts as `JWT`.
    pub token_types: Vec<String>,
    /// The places in a request where the gateway looks for the token.
    pub token_from: Vec<TokenSource>,
    /// The cookies in `token_from` that are accepted even if a page of another origin sends the request.
    pub insecure_cross_origin: Vec<TokenSource>,
    /// Whether each token must contain the id of a listed client. `None` means that the key is absent, which has the same effect
    /// as `false`.
    pub require_client: Option<bool>,
    /// Whether tokens with the id of an unlisted client are accepted, although the document lists clients.
    pub allow_unlisted_clients: bool,
    /// Present if developers sign the tokens of this issuer themselves with `portcullis token mint`. The value is always `true`.
    pub self_issued: Option<At<bool>>,
    /// The environments in which the issuer is trusted; an empty list means all environments. In any other environment, the
    /// whole document is refused.
    pub environments: Vec<At<String>>,
}

/// The source of the keys that verify the tokens of an issuer.
#[derive(Clone, Debug)]
pub enum IssuerKeySettings {
    /// A key set fetched over HTTP through an Envoy cluster.
    Jwks(RemoteKeys),
    /// A key set inside the document, as JSON (RFC 7517).
    Inline(serde_json::Value),
    /// A shared secret from an environment variable, for HS256, HS384 and HS512.
    Secret {
        /// The name of the environment variable.
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
    /// How long a fetched key set is fresh. The filter starts a refresh at four fifths of this time.
    pub fresh_for: Duration,
    /// How long the filter continues to use the key set after `fresh_for` while refreshes fail.
    pub stale_for: Duration,
    /// The timeout of each fetch.
    pub timeout: Duration,
    /// The minimum time after a fetch before a token with an unknown key id can cause another fetch.
    pub cool_down: Duration,
    /// The maximum time that a request waits for a fetch.
    pub wait: Duration,
}

/// A place in a request that can contain a token.
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

/// A CORS policy (Fetch standard, "CORS protocol").
#[derive(Clone, Debug)]
pub struct Cors {
    /// The allowed origins: exact origins, `https://*.example.com`, `*` or `null`.
    pub allow_origins: Vec<At<String>>,
    /// The allowed methods, or `*`; `None` means the methods of the routes with this path.
    pub allow_methods: Option<Vec<At<String>>>,
    /// The allowed request headers, or `*`.
    pub allow_headers: Vec<At<String>>,
    /// The response headers that scripts of other origins can read, or `*`.
    pub expose_headers: Vec<At<String>>,
    /// Whether scripts of the allowed origins can send credentials, such as cookies.
    pub allow_credentials: bool,
    /// How long a browser can cache a preflight response; `None` leaves the time to the browser.
    pub max_age: Option<At<Duration>>,
    /// Whether pages from the public internet can call a gateway in a private network (Private Network Access).
    pub allow_private_network: bool,
    /// The location of the `cors` section in the document.
    pub place: super::problem::Place,
}

/// A backend service.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// The name of the upstream and of its Envoy cluster.
    pub name: At<String>,
    /// The address for the generated cluster; `None` if the Envoy configuration already defines the cluster.
    pub url: Option<At<Url>>,
    /// Whether the upstream receives the `Host` header that the client sent, instead of the host in `url`.
    pub preserve_host: bool,
}

/// A public path, which needs no credential.
#[derive(Clone, Debug)]
pub struct PublicPath {
    /// The path. A path that ends in `/*` includes all paths below it.
    pub path: At<String>,
}

/// One route: a path pattern, the access rules of its requests, and the upstream or the static response.
#[derive(Clone, Debug)]
pub struct Route {
    /// The name in messages and audit records; `None` means that the policy compiler builds a name such as `GET /path`.
    pub name: Option<String>,
    /// The path pattern, such as `/orders/{id}`.
    pub path: At<String>,
    /// The accepted methods; an empty list means all methods.
    pub methods: Vec<At<String>>,
    /// The accepted hosts, without port; an empty list means all hosts.
    pub hosts: Vec<At<String>>,
    /// The credentials that the route requires.
    pub auth: At<Auth>,
    /// The names of the accepted issuers; an empty list means all issuers.
    pub issuers: Vec<At<String>>,
    /// Scopes that the caller needs; all of them are required.
    pub scopes: Vec<String>,
    /// Scopes of which the caller needs at least one.
    pub any_scope: Vec<String>,
    /// Permissions that the caller needs; all of them are required.
    pub permissions: Vec<At<String>>,
    /// Permissions of which the caller needs at least one.
    pub any_permission: Vec<At<String>>,
    /// Required claims; the token must contain each of them, with one of its listed values.
    pub require_claims: Vec<RequiredClaim>,
    /// Conditions in the condition language; all of them must be true.
    pub when: Vec<At<String>>,
    /// The upstream that receives the request; `None` means that Envoy's own routes choose the cluster.
    pub upstream: Option<At<String>>,
    /// Whether the filter forwards only the part of the path that matches `{.+}` at the end of the path pattern.
    pub strip_prefix: bool,
    /// The maximum time until the upstream has sent the whole response; `None` means Envoy's timeout.
    pub timeout: Option<Duration>,
    /// Whether the filter forwards the token to the upstream instead of removing it.
    pub forward_token: bool,
    /// How the JSON of the upstream becomes a JSON:API document; `None` leaves responses unchanged.
    pub json_api: Option<JsonApiSettings>,
    /// The response of a static route, which the gateway answers itself.
    pub response: Option<StaticResponse>,
    /// The route's own CORS policy. `Some(None)` disables CORS; `None` means that the document's policy applies.
    pub cors: Option<Option<Cors>>,
    /// The limits of this route, in addition to the limits of the document.
    pub limits: Vec<LimitSettings>,
    /// The limits of the document that do not apply to the route; `None` excludes no limit.
    pub without_limits: Option<LimitExclusions>,
    /// The route's own checks. Each key overrides the same key of the document's checks. `Some(None)` disables all checks, and
    /// `None` means that the document's checks apply.
    pub checks: Option<Option<CheckSettings>>,
    /// Whether the route accepts an API key without a second kind of credential.
    pub sensitivity: Sensitivity,
    /// A description for readers of the document. The gateway does not use it.
    pub description: Option<String>,
    /// The location of the route in the document.
    pub place: super::problem::Place,
}

/// The response of a static route, which the gateway sends without an upstream.
#[derive(Clone, Debug)]
pub struct StaticResponse {
    /// The status code, from 200 to 599.
    pub status: u16,
    /// The response headers; names are in lower case.
    pub headers: Vec<(At<String>, String)>,
    /// The JSON body; `None` means an empty body.
    pub body: Option<serde_json::Value>,
}

/// The format of refusals.
#[derive(Clone, Debug, Default)]
pub struct ErrorSettings {
    /// The `realm` in `WWW-Authenticate` (RFC 9110 §11.5); `None` sends challenges without a realm.
    pub realm: Option<String>,
    /// Whether a caller who lacks a permission is refused with 401 instead of 403.
    pub denied_as_401: bool,
}

/// The destination of audit records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Audit {
    /// The filter writes one line of JSON per request to Envoy's application log.
    #[default]
    Log,
    /// The filter sets the filter state `wasm.portcullis`, which the format of an access log can print. This costs less than
    /// `Log`, and the access log can add fields of Envoy.
    AccessLog,
}

impl Document {
    /// Returns the addresses and polling settings of the revocation list and of the document of clients, if they are configured.
    /// Key sets have their own settings, [`RemoteKeys`].
    pub fn polled(&self) -> impl Iterator<Item = &PolledSource> {
        let lists = self.revocation.iter().filter_map(|revocation| revocation.list.as_ref());
        lists.chain(self.clients_from.iter().map(|from| &from.document))
    }
}
