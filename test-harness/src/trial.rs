//! Runs the generated configuration in a real Envoy, after a test has modified the configuration.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::certificate::Certificates;
use crate::client::{self, Request, Response};
use crate::clock::Deadline;
use crate::envoy::{self, Envoy, Host, Launch};
use crate::generated::Wanted;
use crate::issuer::{Issuer, KEY_SET_PATH};
use crate::tap::Tap;
use crate::token::TokenSpec;
use crate::upstream::{Received, Upstream};
use crate::{clock, h2c, ports};

/// The servers that the gateway uses.
#[derive(Debug)]
pub struct Servers {
    /// The issuer of the tokens.
    pub issuer: Issuer,
    /// The upstream that echoes requests and records them.
    pub upstream: Upstream,
    /// The upstream that records every byte.
    pub tap: Tap,
    gone: u16,
}

/// A running gateway.
#[derive(Debug)]
pub struct Gate {
    /// The Envoy process of the gateway.
    pub envoy: Envoy,
    /// The port that the gateway listens on.
    pub port: u16,
}

impl Servers {
    /// Starts the servers.
    pub fn start() -> Result<Self> {
        let [gone] = ports::free()?;
        let upstream = Upstream::start("orders", 0, Received::default())?;
        Ok(Self { issuer: Issuer::start(0, &["rsa-1", "p256-1"])?, upstream, tap: Tap::start()?, gone })
    }

    /// Returns a document that uses all servers. It has a static route, routes with and without a token, and a route whose
    /// upstream is down.
    pub fn policy(&self) -> Value {
        let at = |port: u16| json!({ "url": format!("http://127.0.0.1:{port}") });
        json!({
            "version": "1.0",
            "issuers": [{
                "name": "accounts", "issuer": self.issuer.url(), "audiences": ["orders-api"],
                "token_from": [{ "header": "authorization" }, { "header": "x-token" }, { "cookie": "sid" }, { "query": "access_token" }],
                "jwks": { "uri": format!("{}{KEY_SET_PATH}", self.issuer.url()), "cluster": "issuer" },
            }],
            "identity_headers": { "X-User-ID": "sub", "X-Org-ID": "org_id" },
            "cors": { "allow_origins": [ORIGIN], "allow_methods": ["GET", "POST"], "allow_credentials": true },
            "upstreams": { "orders": at(self.upstream.port()), "tap": at(self.tap.port()), "gone": at(self.gone) },
            "routes": [
                { "path": "/health", "auth": "none", "response": { "body": { "status": "ok" } } },
                { "path": "/orders/{.+}", "upstream": "orders" },
                { "path": "/reports/{.+}", "upstream": "orders", "scopes": ["read:reports"] },
                { "path": "/tap/{.+}", "upstream": "tap" },
                { "path": "/open/{.+}", "auth": "none", "upstream": "orders" },
                { "path": "/sink/{.+}", "auth": "none", "upstream": "tap" },
                { "path": "/gone/{.+}", "auth": "none", "upstream": "gone" },
            ],
        })
    }

    /// Returns a token with these additional claims. A gateway with the document of [`Servers::policy`] accepts the token.
    pub fn token(&self, claims: &Value) -> Result<String> {
        self.spec(claims).mint(clock::unix_seconds(), &Map::new())
    }

    /// Returns the description of a token that [`Servers::token`] returns, so that tests can modify the token.
    pub fn spec(&self, claims: &Value) -> TokenSpec {
        let mut spec = TokenSpec::of("rsa-1").claim("sub", "user-1").claim("aud", "orders-api");
        spec = spec.claim("iss", self.issuer.url());
        spec.claims.extend(claims.as_object().cloned().unwrap_or_default());
        spec
    }
}

impl Gate {
    /// Starts a gateway with the document of [`Servers::policy`] and the unmodified generated configuration.
    pub fn open(servers: &Servers) -> Result<Self> {
        Self::with_changes(&servers.policy(), |_| Ok(()))
    }

    /// Starts a gateway for `policy`, after `change` has modified the generated configuration.
    pub fn with_changes(policy: &Value, change: impl FnOnce(&mut Value) -> Result<()>) -> Result<Self> {
        Self::set_up(policy, None, change)
    }

    /// Starts a gateway like [`Gate::with_changes`] that uses TLS.
    pub fn over_tls(
        policy: &Value,
        certificates: &Certificates,
        change: impl FnOnce(&mut Value) -> Result<()>,
    ) -> Result<Self> {
        Self::set_up(policy, Some(certificates), change)
    }

    /// Starts a gateway like [`Gate::with_changes`] with another number of workers.
    pub fn with_workers(policy: &Value, workers: u32, change: impl FnOnce(&mut Value) -> Result<()>) -> Result<Self> {
        Self::launch(policy, None, workers, change)
    }

    fn set_up(
        policy: &Value,
        tls: Option<&Certificates>,
        change: impl FnOnce(&mut Value) -> Result<()>,
    ) -> Result<Self> {
        Self::launch(policy, tls, WORKERS, change)
    }

    fn launch(
        policy: &Value,
        tls: Option<&Certificates>,
        workers: u32,
        change: impl FnOnce(&mut Value) -> Result<()>,
    ) -> Result<Self> {
        let [port, admin] = ports::free()?;
        let mut config = written(policy, port, admin, tls)?;
        change(&mut config)?;
        let launch = Launch { bootstrap: &config.to_string(), admin, workers, env: Vec::new() };
        Ok(Self::of(Envoy::start(&launch)?, port))
    }

    /// Wraps a running Envoy that has [`WORKERS`] workers.
    pub fn of(envoy: Envoy, port: u16) -> Self {
        Self { envoy, port }
    }

    /// Sends a request over HTTP/1.1.
    pub fn send(&self, request: &Request) -> Result<Response> {
        client::send(ports::loopback(self.port), request, PATIENCE)
    }

    /// Sends a request over HTTP/2.
    pub fn send_h2(&self, request: &Request) -> Result<Response> {
        h2c::send(ports::loopback(self.port), request, PATIENCE)
    }

    /// Sends a request once over HTTP/1.1 and once over HTTP/2.
    pub fn send_both(&self, request: &Request) -> Result<[Response; 2]> {
        Ok([self.send(request).context("over HTTP/1.1")?, self.send_h2(request).context("over HTTP/2")?])
    }

    /// Waits until the gateway has received this many bytes from clients since its start.
    pub fn has_received(&self, bytes: usize) -> Result<()> {
        let bytes = u64::try_from(bytes)?;
        let received = || self.envoy.stat("http.portcullis.downstream_cx_rx_bytes_total").ok();
        let arrived = Deadline::after(PATIENCE).poll(|| (received()? >= bytes).then_some(()));
        arrived.context("the gateway did not receive the expected number of bytes in time")
    }

    /// Returns an error if the filter has failed on any worker since the start.
    pub fn never_failed(&mut self) -> Result<()> {
        self.envoy.filter_never_failed(WORKERS)
    }
}

/// Returns the document with timeouts of 15 seconds for key fetches, for tests in which the key endpoint responds late.
pub fn patient(mut policy: Value) -> Result<Value> {
    for name in ["wait", "timeout"] {
        put(&mut policy, &format!("/issuers/0/jwks/{name}"), json!("15s"))?;
    }
    Ok(policy)
}

/// Returns a `GET` request with the allowed origin.
pub fn get(target: &str) -> Request {
    Request::new("GET", target, HOST).header("origin", ORIGIN)
}

/// Adds a bearer token to a request.
pub fn bearer(request: Request, token: &str) -> Request {
    request.header("authorization", &format!("Bearer {token}"))
}

/// Returns the first value of a response header as text.
pub fn header(response: &Response, name: &str) -> Option<String> {
    let found = response.headers.iter().find(|(have, _)| have == name);
    found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
}

/// Returns the `error.code` of a refusal, or an empty string if the body has none.
pub fn code(response: &Response) -> String {
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    body.pointer("/error/code").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Returns the Envoy configuration that `portcullis generate envoy` writes for a document. The YAML output is parsed into a JSON
/// value.
pub fn generate(policy: &Value, port: u16, admin: u16) -> Result<Value> {
    written(policy, port, admin, None)
}

fn written(policy: &Value, port: u16, admin: u16, tls: Option<&Certificates>) -> Result<Value> {
    let file = envoy::fresh_folder()?.join("gateway.json");
    std::fs::write(&file, policy.to_string())?;
    let module = envoy::module()?;
    let wanted = Wanted { document: &file, port, admin, module: &module, embed: "json", trusted_hops: 0, tls };
    let text = wanted.generate(&[]);
    std::fs::remove_dir_all(file.parent().unwrap_or(Path::new(".")))?;
    Ok(serde_saphyr::from_str(&text.context("`portcullis generate envoy` failed")?)?)
}

/// Returns the settings of the HTTP connection manager in a generated configuration.
pub fn http(config: &mut Value) -> Result<&mut Value> {
    below(config, "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config")
}

/// Puts a document into the filter's configuration without the checks of the generator.
pub fn give(config: &mut Value, policy: &Value) -> Result<()> {
    let place = match Host::chosen() {
        Host::Wasm => "/http_filters/0/typed_config/config/configuration/value",
        Host::DynamicModule => "/http_filters/0/typed_config/filter_config/value",
    };
    put(http(config)?, place, json!(policy.to_string()))
}

/// Returns the settings of the Wasm filter in a generated configuration.
pub fn plugin(config: &mut Value) -> Result<&mut Value> {
    below(http(config)?, "/http_filters/0/typed_config/config")
}

/// Returns the value at a JSON pointer, or an error if there is no such value.
pub fn below<'v>(value: &'v mut Value, pointer: &str) -> Result<&'v mut Value> {
    value.pointer_mut(pointer).with_context(|| format!("the generated configuration has no `{pointer}`"))
}

/// Sets the member at a JSON pointer. The parent object must exist.
pub fn put(value: &mut Value, pointer: &str, new: Value) -> Result<()> {
    let (object, member) = pointer.rsplit_once('/').context("a JSON pointer begins with a slash")?;
    let object =
        below(value, object)?.as_object_mut().with_context(|| format!("the parent of `{pointer}` is not an object"))?;
    object.insert(member.to_owned(), new);
    Ok(())
}

/// Enables HTTP/1 trailers for clients and for upstreams. Envoy has a separate option for each side.
pub fn with_trailers(config: &mut Value) -> Result<()> {
    put(http(config)?, "/http_protocol_options", json!({ "enable_trailers": true }))?;
    let kind = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let options = json!({ "@type": format!("type.googleapis.com/{kind}"),
        "explicit_http_config": { "http_protocol_options": { "enable_trailers": true } } });
    for cluster in clusters(config)? {
        put(cluster, "/typed_extension_protocol_options", json!({ kind: options.clone() }))?;
    }
    Ok(())
}

/// Returns the clusters of a generated configuration.
pub fn clusters(config: &mut Value) -> Result<&mut Vec<Value>> {
    below(config, "/static_resources/clusters")?.as_array_mut().context("the clusters are not a list")
}

/// The origin that the document of [`Servers::policy`] allows.
pub const ORIGIN: &str = "https://admin.example.com";
/// The `Host` header of requests.
pub const HOST: &str = "api.example.com";
/// The number of Envoy workers. With two workers, a test also fails if the gateway relies on the state of only one worker.
pub const WORKERS: u32 = 2;
/// The timeout of a client.
pub const PATIENCE: Duration = Duration::from_secs(20);
