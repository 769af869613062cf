//! Applies the Kubernetes files to listeners of Istio and Envoy Gateway, as their controllers do, and tests the result in Envoy.
//!
//! The controllers themselves do not run. The test reproduces their documented behaviour.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use test_harness::client::Request;
use test_harness::envoy::{self, Envoy, Launch};
use test_harness::manual::Page;
use test_harness::odd_module::{self, Misbehaviour};
use test_harness::ports;
use test_harness::trial::{Gate, HOST, Servers, WORKERS, bearer, below, put};

/// Creates an Envoy configuration. `guarded` adds the rule that refuses requests without a decision of the filter.
type Surroundings = fn(servers: &Servers, port: u16, module: &Path, guarded: bool) -> Result<Value>;

#[test]
fn behind_istio_only_requests_that_the_filter_allowed_are_forwarded() -> Result<()> {
    no_request_bypasses_the_filter(istio)
}

#[test]
fn behind_envoy_gateway_only_requests_that_the_filter_allowed_are_forwarded() -> Result<()> {
    no_request_bypasses_the_filter(envoy_gateway)
}

/// `docs/operations.md` and the Kubernetes files must have the same rule that refuses requests without a decision of the filter.
#[test]
fn the_refusal_is_the_same_everywhere() -> Result<()> {
    let blocks = Page::read(Path::new("docs/operations.md"))?.blocks();
    let block = blocks.iter().find(|block| block.text.contains("portcullis-decided")).context("docs has no rule")?;
    let manual: Value = serde_saphyr::from_str(&block.text)?;
    let objects = super::objects()?;
    let patches = objects.iter().filter_map(|object| {
        let istio = object.pointer("/spec/configPatches").and_then(Value::as_array).into_iter().flatten();
        let gateway = object.pointer("/spec/jsonPatches").and_then(Value::as_array).into_iter().flatten();
        let values = istio.filter_map(|one| one.pointer("/patch/value"));
        values
            .chain(gateway.filter_map(|one| one.pointer("/operation/value")))
            .find(|value| value.get("name") == manual.get("name"))
    });
    let patches: Vec<_> = patches.collect();
    ensure!(patches == [&manual, &manual], "{patches:?}");
    Ok(())
}

fn no_request_bypasses_the_filter(around: Surroundings) -> Result<()> {
    let servers = Servers::start()?;
    let module = envoy::module()?;
    let mut gate = open(around, &servers, &module, true, |_| Ok(()))?;
    decides(&gate, &servers)?;
    gate.never_failed()?;
    let removed = open(around, &servers, &module, true, |config| {
        let filters = http_filters(config)?;
        let before = filters.len();
        filters.retain(|filter| filter.pointer("/typed_config/config/vm_config").is_none());
        ensure!(filters.len() + 1 == before, "there is no filter to remove");
        Ok(())
    })?;
    nothing_passes(&removed, &servers, 403)?;
    let refusing = odd_module::File::write(Misbehaviour::RefusesOnWorkers)?;
    nothing_passes(&open(around, &servers, refusing.path(), true, |_| Ok(()))?, &servers, 403)?;
    let trapping = odd_module::File::write(Misbehaviour::TrapsAtRequests)?;
    nothing_passes(&open(around, &servers, trapping.path(), true, |_| Ok(()))?, &servers, 503)?;
    // Without the guard rule, a worker whose filter refused its configuration forwards requests (envoy-facts §0.1).
    let open_door = open(around, &servers, refusing.path(), false, |_| Ok(()))?;
    ensure!(open_door.send(&Request::new("GET", "/orders/1", HOST))?.status == 200, "the rule is not needed");
    ensure!(servers.upstream.received().take().len() == 1, "no request was forwarded");
    Ok(())
}

fn decides(gate: &Gate, servers: &Servers) -> Result<()> {
    let token = servers.token(&json!({ "iss": "https://auth.example.com/", "scope": "read:orders" }))?;
    let narrow = servers.token(&json!({ "iss": "https://auth.example.com/", "scope": "write:orders" }))?;
    let get = |path: &str| Request::new("GET", path, HOST);
    for (request, status, arrives) in [
        (get("/health"), 200, false),
        (get("/orders/1"), 401, false),
        (bearer(get("/orders/1"), &narrow), 403, false),
        (get("/orders/1").header("x-user-id", "forged"), 401, false),
        (get("/elsewhere"), 404, false),
        (bearer(get("/orders/1"), &token).header("x-user-id", "forged"), 200, true),
    ] {
        // Each request is repeated, so that every worker is likely to answer one.
        for _ in 0..4 {
            let response = gate.send(&request)?;
            let target = String::from_utf8_lossy(&request.target).into_owned();
            ensure!(response.status == status, "{target}: {} and not {status}", response.status);
            let arrived = servers.upstream.received().take();
            ensure!(arrived.len() == usize::from(arrives), "{target}: {} arrived", arrived.len());
            let user = arrived.iter().flat_map(|arrived| test_harness::outcome::values(&arrived.headers, "x-user-id"));
            ensure!(user.clone().all(|user| user == "user-1"), "{target}: {:?}", user.collect::<Vec<_>>());
        }
    }
    Ok(())
}

fn nothing_passes(gate: &Gate, servers: &Servers, status: u16) -> Result<()> {
    let token = servers.token(&json!({ "iss": "https://auth.example.com/", "scope": "read:orders" }))?;
    for target in ["/orders/1", "/health", "/elsewhere"] {
        for name in ["accept", "wasm.portcullis.decision"] {
            for _ in 0..4 {
                let request = Request::new("GET", target, HOST).header(name, "forward");
                let response = gate.send(&bearer(request, &token))?;
                ensure!(response.status == status, "{target}: {} and not {status}", response.status);
            }
        }
    }
    ensure!(servers.upstream.received().take().is_empty(), "a request reached the upstream");
    Ok(())
}

fn open(
    around: Surroundings,
    servers: &Servers,
    module: &Path,
    guarded: bool,
    change: impl FnOnce(&mut Value) -> Result<()>,
) -> Result<Gate> {
    let [port, admin] = ports::free()?;
    let mut config = around(servers, port, module, guarded)?;
    change(&mut config)?;
    put(&mut config, "/admin", json!({ "address": address(admin) }))?;
    let env = vec![("PARTNER_SECRET".to_owned(), "a secret that is long enough for every HMAC".to_owned())];
    let launch = Launch { bootstrap: &config.to_string(), admin, workers: WORKERS, env };
    Ok(Gate::of(Envoy::start(&launch)?, port))
}

/// Builds an Istio ingress gateway with the two files of `envoy/istio`, without the filters that only Istio's own Envoy has.
fn istio(servers: &Servers, port: u16, module: &Path, guarded: bool) -> Result<Value> {
    let plugin = super::object("WasmPlugin")?;
    let take = |path: &str| plugin.pointer(path).cloned().with_context(|| format!("WasmPlugin has no {path}"));
    ensure!(take("/spec/phase")? == "AUTHN", "the phase is not AUTHN");
    let variables = take("/spec/vmConfig/env")?;
    let variables: Vec<_> = variables.as_array().into_iter().flatten().filter_map(|one| one.get("name")).collect();
    let filter = json!({
        "name": "istio-system.portcullis",
        "typed_config": { "@type": WASM, "config": {
            "name": "istio-system.portcullis",
            "root_id": take("/spec/pluginName")?,
            "failure_policy": take("/spec/failStrategy")?,
            "configuration": { "@type": STRING, "value": take("/spec/pluginConfig")?.to_string() },
            "vm_config": {
                "runtime": "envoy.wasm.runtime.v8",
                "code": { "local": { "filename": module } },
                "environment_variables": { "host_env_keys": variables },
            },
        }},
    });
    let orders = "outbound|8080||orders.default.svc.cluster.local";
    let manager = json!({
        "@type": MANAGER,
        "stat_prefix": "outbound_0.0.0.0_8080",
        "forward_client_cert_details": "SANITIZE_SET",
        "server_name": "istio-envoy",
        "route_config": routes(orders),
        "http_filters": [filter, plain("grpc_stats", "FilterConfig"), plain("fault", "HTTPFault"), plain("cors", "Cors"), plain("router", "Router")],
    });
    let chain = json!({ "filters": [{ "name": HTTP, "typed_config": manager }] });
    let mut listener = json!({ "name": "0.0.0.0_8080", "address": address(port), "filter_chains": [chain] });
    let patches = super::object("EnvoyFilter")?;
    let mut config = json!({});
    for patch in patches.pointer("/spec/configPatches").and_then(Value::as_array).context("no patches")? {
        let to = patch.get("applyTo").and_then(Value::as_str);
        if to == Some("BOOTSTRAP") {
            merge(&mut config, patch.pointer("/patch/value").cloned().context("no value")?);
        } else if guarded || to != Some("HTTP_FILTER") {
            apply(patch, &mut listener).with_context(|| patch.to_string())?;
        }
    }
    merge(&mut config, bootstrap(listener, servers, orders, "outbound|443||auth.example.com")?);
    Ok(config)
}

/// Applies a patch of an EnvoyFilter as istiod does.
fn apply(patch: &Value, listener: &mut Value) -> Result<()> {
    let text = |path: &str| patch.pointer(path).and_then(Value::as_str).with_context(|| format!("no {path}"));
    let value = patch.pointer("/patch/value").cloned().context("no value")?;
    let network_filter = || text("/match/listener/filterChain/filter/name");
    match (text("/applyTo")?, text("/patch/operation")?) {
        ("LISTENER", "MERGE") => merge(listener, value),
        ("NETWORK_FILTER", "MERGE") if network_filter()? == HTTP => {
            merge(below(listener, "/filter_chains/0/filters/0")?, value);
        }
        ("HTTP_FILTER", "INSERT_BEFORE") if network_filter()? == HTTP => {
            let name = text("/match/listener/filterChain/filter/subFilter/name")?;
            let filters = below(listener, "/filter_chains/0/filters/0/typed_config/http_filters")?;
            insert_before(name, value, filters.as_array_mut().context("no list")?)?;
        }
        (to, operation) => bail!("the test does not support {operation} of {to}"),
    }
    Ok(())
}

/// Builds an Envoy Gateway with the files of `envoy/gateway-api`. The listener disables the filter, and each route enables it.
fn envoy_gateway(servers: &Servers, port: u16, module: &Path, guarded: bool) -> Result<Value> {
    let policy = super::object("EnvoyExtensionPolicy")?;
    let wasm = policy.pointer("/spec/wasm/0").context("the policy has no filter")?;
    ensure!(wasm.get("failOpen") == Some(&json!(false)), "the filter fails open");
    let name = "envoy.filters.http.wasm/envoyextensionpolicy/gateway/portcullis/wasm/0";
    let filter = json!({
        "name": name,
        "disabled": true,
        "typed_config": { "@type": WASM, "config": {
            "name": wasm.get("name"),
            "root_id": wasm.get("rootID"),
            "failure_policy": "FAIL_CLOSED",
            "configuration": { "@type": STRING, "value": wasm.get("config").context("no document")?.to_string() },
            "vm_config": {
                "vm_id": wasm.get("name"),
                "runtime": "envoy.wasm.runtime.v8",
                "code": { "local": { "filename": module } },
            },
        }},
    });
    let orders = "httproute/gateway/orders/rule/0";
    let mut table = routes(orders);
    let on = json!({ name: { "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {} } });
    put(&mut table, "/virtual_hosts/0/routes/0/typed_per_filter_config", on)?;
    let manager = json!({
        "@type": MANAGER, "stat_prefix": "http-80", "route_config": table,
        "http_filters": [filter, plain("router", "Router")],
    });
    let chain = json!({ "name": "gateway/edge/http", "filters": [{ "name": HTTP, "typed_config": manager }] });
    let mut listener = json!({ "name": "gateway/edge/http", "address": address(port), "default_filter_chain": chain });
    let patches = super::objects()?;
    let patches = patches.iter().filter(|object| object.get("kind").is_some_and(|kind| kind == "EnvoyPatchPolicy"));
    let patches = patches.filter_map(|object| object.pointer("/spec/jsonPatches")?.as_array()).flatten();
    let of_listeners: Vec<_> = patches.filter(|patch| patch.get("name") == listener.get("name")).collect();
    ensure!(of_listeners.len() == 1, "expected 1 listener patch, found {}", of_listeners.len());
    for patch in of_listeners.into_iter().filter(|_| guarded) {
        let path = patch.pointer("/operation/jsonPath").and_then(Value::as_str).context("no jsonPath")?;
        let found = path.strip_prefix("..http_filters[?(@.name == '").and_then(|rest| rest.strip_suffix("')]"));
        let value = patch.pointer("/operation/value").cloned().context("no value")?;
        ensure!(patch.pointer("/operation/op").is_some_and(|op| op == "add"), "the operation is not add");
        // An added element goes before the existing element at that index (RFC 6902 §4.1).
        let filters = below(&mut listener, "/default_filter_chain/filters/0/typed_config/http_filters")?;
        insert_before(found.context("unsupported jsonPath")?, value, filters.as_array_mut().context("no list")?)?;
    }
    bootstrap(listener, servers, orders, "auth-keys")
}

fn bootstrap(listener: Value, servers: &Servers, orders: &str, keys: &str) -> Result<Value> {
    let cluster = |name: &str, port: u16| {
        json!({ "name": name, "type": "STATIC", "load_assignment": { "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address(port) } }] }] } })
    };
    let issuer = servers.issuer.url().rsplit(':').next().and_then(|port| port.parse().ok()).context("no port")?;
    let clusters = [cluster(orders, servers.upstream.port()), cluster(keys, issuer)];
    Ok(json!({ "static_resources": { "listeners": [listener], "clusters": clusters } }))
}

fn routes(cluster: &str) -> Value {
    let route = json!({ "match": { "prefix": "/" }, "route": { "cluster": cluster } });
    json!({ "name": "routes", "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [route] }] })
}

fn plain(filter: &str, message: &str) -> Value {
    let kind = format!("type.googleapis.com/envoy.extensions.filters.http.{filter}.v3.{message}");
    json!({ "name": format!("envoy.filters.http.{filter}"), "typed_config": { "@type": kind } })
}

fn insert_before(name: &str, value: Value, filters: &mut Vec<Value>) -> Result<()> {
    let at = filters.iter().position(|filter| filter.get("name").is_some_and(|have| have == name));
    filters.insert(at.with_context(|| format!("no filter {name}"))?, value);
    Ok(())
}

/// Merges as protobuf does: fields are replaced, messages are merged, and lists are appended.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(from)) => into.extend(from),
        (into, from) => *into = from,
    }
}

fn http_filters(config: &mut Value) -> Result<&mut Vec<Value>> {
    let listener = below(config, "/static_resources/listeners/0")?;
    let chain =
        if listener.get("default_filter_chain").is_some() { "/default_filter_chain" } else { "/filter_chains/0" };
    let filters = below(listener, &format!("{chain}/filters/0/typed_config/http_filters"))?;
    filters.as_array_mut().context("no list of filters")
}

fn address(port: u16) -> Value {
    json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } })
}

const HTTP: &str = "envoy.filters.network.http_connection_manager";
const MANAGER: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const STRING: &str = "type.googleapis.com/google.protobuf.StringValue";
const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
