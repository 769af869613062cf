//! Tests the Kubernetes manifests and the container files in `envoy/`, and that Envoy accepts their configuration.

mod surroundings;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use portcullis::config::node::Node;
use portcullis::policy::Policy;
use serde::Deserialize;
use serde_json::{Value, json};
use test_harness::client::{self, Request};
use test_harness::clock::Deadline;
use test_harness::issuer::KEY_SET_PATH;
use test_harness::{envoy, node, ports, program};

#[derive(Deserialize)]
struct Verdict {
    checked: usize,
    faults: Vec<String>,
}

#[test]
fn kubernetes_objects_match_their_schemas() -> Result<()> {
    let objects = objects()?;
    let verdict = validate(&objects)?;
    ensure!(verdict.faults.is_empty(), "{:#?}", verdict.faults);
    ensure!(verdict.checked == objects.len() && objects.len() >= 8, "only {} objects were checked", verdict.checked);
    Ok(())
}

/// Control: the schema check must find each of these errors.
#[test]
fn mistakes_in_kubernetes_objects_are_found() -> Result<()> {
    for (kind, path, value, found) in [
        ("WasmPlugin", "/spec/phase", json!("FIRST"), "phase"),
        ("WasmPlugin", "/spec/failStrategi", json!("FAIL_RELOAD"), "unknown field spec.failStrategi"),
        ("WasmPlugin", "/spec/vmConfig/env/0/valueForm", json!("HOST"), "unknown field spec.vmConfig.env.0.valueForm"),
        ("EnvoyFilter", "/spec/configPatches/0/applyTo", json!("FILTER"), "applyTo"),
        ("EnvoyExtensionPolicy", "/spec/wasm/0/code/imagee", json!({}), "unknown field spec.wasm.0.code.imagee"),
        ("ClientTrafficPolicy", "/spec/http2/onInvalid", json!("Stream"), "unknown field spec.http2.onInvalid"),
        (
            "BackendTrafficPolicy",
            "/spec/circuitBreaker/maxConnection",
            json!(1),
            "unknown field spec.circuitBreaker.maxConnection",
        ),
        ("HTTPRoute", "/spec/rules/0/matches/0/path/type", json!("Prefix"), "type"),
    ] {
        let mut objects = objects()?;
        let object = objects.iter_mut().find(|object| object.get("kind").is_some_and(|k| k == kind)).context(kind)?;
        let (parent, name) = path.rsplit_once('/').context(path)?;
        let members = object.pointer_mut(parent).and_then(Value::as_object_mut).context(path)?;
        members.insert(name.to_owned(), value);
        let faults = validate(&objects)?.faults;
        ensure!(
            faults.iter().any(|fault| fault.contains(found)),
            "the error in {path} was not found; the check found {faults:?}"
        );
    }
    Ok(())
}

#[test]
fn documents_in_manifests_compile() -> Result<()> {
    let documents = [("WasmPlugin", "/spec/pluginConfig"), ("EnvoyExtensionPolicy", "/spec/wasm/0/config")];
    for (kind, path) in documents {
        let objects = objects()?;
        let object = objects.iter().find(|object| object.get("kind").is_some_and(|k| k == kind)).context(kind)?;
        let document = object.pointer(path).cloned().context(path)?;
        let secret = |_: &str| Some("a secret that is long enough for every HMAC and protects nothing".to_owned());
        if let Err(problems) = Policy::from_node(&Node::from(document), &secret) {
            bail!("{kind}: {problems:?}");
        }
    }
    Ok(())
}

/// Only Envoy can check the settings that are merged into the listener, and the cluster of the key set.
#[test]
fn envoy_accepts_the_configuration_in_the_manifests() -> Result<()> {
    let objects = objects()?;
    let patch = |name: &str, path: &str| {
        let object = objects.iter().find(|object| object.pointer("/metadata/name").is_some_and(|have| have == name));
        object.and_then(|object| object.pointer(path)).cloned().with_context(|| format!("{name}{path}"))
    };
    let mut manager = patch("portcullis-listener", "/spec/configPatches/0/patch/value/typed_config")?;
    let mut listener = patch("portcullis-listener", "/spec/configPatches/1/patch/value")?;
    let mut bootstrap = patch("portcullis-listener", "/spec/configPatches/3/patch/value")?;
    let cluster = patch("portcullis-keys", "/spec/jsonPatches/0/operation/value")?;
    let router = json!({ "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" });
    let rest = json!({
        "stat_prefix": "manifests",
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"],
            "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "auth-keys" } }] }] },
        "http_filters": [{ "name": "envoy.filters.http.router", "typed_config": router }],
    });
    merge(&mut manager, rest);
    let filter = json!({ "name": "envoy.filters.network.http_connection_manager", "typed_config": manager });
    merge(
        &mut listener,
        json!({
            "name": "manifests",
            "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } },
            "filter_chains": [{ "filters": [filter] }],
        }),
    );
    merge(&mut bootstrap, json!({ "static_resources": { "listeners": [listener], "clusters": [cluster] } }));
    envoy::validate(&bootstrap.to_string(), &[]).map_err(|said| anyhow::anyhow!("{said}"))
}

/// Every host path in the Compose files and the Dockerfile must exist, except for build outputs.
#[test]
fn the_container_files_name_existing_files() -> Result<()> {
    let folder = envoy::root().join("envoy");
    let mut services = Vec::new();
    for file in ["compose.yaml", "compose.limits.yaml"] {
        let compose: Value = serde_saphyr::from_str(&fs::read_to_string(folder.join(file))?)?;
        let listed = compose.get("services").and_then(Value::as_object).context("no services")?;
        services.extend(listed.iter().map(|(name, service)| (format!("{file}: {name}"), service.clone())));
    }
    let mut named = 0;
    for (name, service) in &services {
        let volumes = service.get("volumes").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let mut paths: Vec<&str> = volumes.filter_map(|volume| volume.split(':').next()).collect();
        let context = service.pointer("/build/context").and_then(Value::as_str);
        let dockerfile = service.pointer("/build/dockerfile").and_then(Value::as_str);
        let built = context.zip(dockerfile).map(|(context, file)| format!("{context}/{file}"));
        paths.extend(built.as_deref());
        for path in paths {
            ensure!(folder.join(path).is_file(), "{name} uses {path}, which does not exist");
            named += 1;
        }
    }
    let dockerfile = fs::read_to_string(folder.join("Dockerfile"))?;
    for line in dockerfile.lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from")) {
        let source = line.split(' ').nth(1).unwrap_or_default();
        ensure!(envoy::root().join(source).exists(), "Dockerfile: {line}");
        named += 1;
    }
    ensure!(named >= 11, "only {named} paths were found");
    Ok(())
}

/// Runs the container's entry point without a container. Envoy must accept the configuration that it writes.
#[test]
fn the_container_start_script_writes_a_valid_configuration() -> Result<()> {
    let programs = program::program()?.parent().context("no folder")?;
    let envoy = envoy::find()?;
    let path =
        [programs, envoy.parent().unwrap_or(Path::new("."))].map(|folder| folder.display().to_string()).join(":");
    let mut start = Command::new("timeout");
    start.arg("60").arg(envoy::root().join("envoy/start.sh")).args(["--mode", "validate"]);
    start.env("PATH", format!("{path}:{}", std::env::var("PATH").unwrap_or_default()));
    start.env("GATEWAY", envoy::root().join("envoy/gateway.yaml")).env("MODULE", envoy::module()?);
    start.env("GENERATE_OPTIONS", "--max-heap-mib 512 --request-timeout 20s");
    start.envs(upstreams());
    let output = start.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    ensure!(String::from_utf8_lossy(&output.stdout).contains(" OK"), "Envoy validated nothing: {said}");
    Ok(())
}

/// Runs the container's issuer without a container. The gateway must accept the issuer's tokens.
#[test]
fn tokens_of_the_container_issuer_are_accepted() -> Result<()> {
    let [port] = ports::free()?;
    let mut python = Command::new("python3");
    python.arg(envoy::root().join("envoy/demo/issuer.py")).arg(port.to_string());
    python.arg(envoy::root().join("test-harness/keys/test-only.jwks.json")).arg("127.0.0.1");
    python.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _issuer = Running(python.spawn().context("cannot start python3")?);
    let ask = |request: Request| client::send(ports::loopback(port), &request, Duration::from_secs(5));
    let keys = Deadline::after(Duration::from_secs(20)).poll(|| ask(Request::new("GET", KEY_SET_PATH, "issuer")).ok());
    let form = Request::new("POST", "/token", "127.0.0.1:9902").header("accept", "text/plain");
    let token = ask(form.body("client_id=demo&scope=write:agents"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join("container-keys.json").display().to_string();
    fs::write(&file, keys.context("the issuer publishes no keys")?.body)?;
    let token = String::from_utf8(token?.body)?;
    let request = ["explain", "envoy/gateway.yaml", "POST", "/api/v1/agents", "--keys", &file, "--token", &token];
    let verdict = program::output(&request.map(str::to_owned), &upstreams())?;
    ensure!(verdict.contains("allow, by rule POST /api/v1/agents"), "{verdict}");
    Ok(())
}

/// The example `envoy/envoy.yaml` must be the output of the current command.
#[test]
fn the_published_configuration_is_the_generated_one() -> Result<()> {
    let generate = ["generate", "envoy", "envoy/gateway.yaml", "--embed", "struct"].map(str::to_owned);
    let written = program::output(&generate, &upstreams())?;
    let published = fs::read_to_string(envoy::root().join("envoy/envoy.yaml"))?;
    let how = upstreams().iter().map(|(name, url)| format!("{name}={url} ")).collect::<String>();
    let command = format!("{how}portcullis {} >envoy/envoy.yaml", generate.join(" "));
    ensure!(written == published, "envoy/envoy.yaml is outdated; update it with: {command}");
    Ok(())
}

/// A program that is killed when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// Returns the environment variables for the upstreams of `envoy/gateway.yaml`.
fn upstreams() -> Vec<(String, String)> {
    [("AGENTS_SERVICE_URL", 9003), ("ADMIN_SERVICE_URL", 9004)]
        .map(|(name, port)| (name.to_owned(), format!("http://127.0.0.1:{port}")))
        .to_vec()
}

fn validate(objects: &[Value]) -> Result<Verdict> {
    // The schemas do not describe these parts, because they contain documents of the gateway and Envoy configuration.
    let free = [
        r"\.spec\.pluginConfig",
        r"\.spec\.wasm\.0\.config",
        r"\.spec\.configPatches\.\d\.patch\.value",
        r"\.spec\.jsonPatches\.\d\.operation\.value",
    ];
    node::run("../manifests/validate.mjs", &json!({ "objects": objects, "free": free }))
}

/// Returns the first object of a kind.
fn object(kind: &str) -> Result<Value> {
    objects()?.into_iter().find(|object| object.get("kind").is_some_and(|k| k == kind)).context(kind.to_owned())
}

/// Returns every object of every manifest.
fn objects() -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    for folder in ["envoy/istio", "envoy/gateway-api"] {
        for entry in fs::read_dir(envoy::root().join(folder))? {
            let file = entry?.path();
            for document in fs::read_to_string(&file)?.split("\n---\n") {
                objects.push(serde_saphyr::from_str(document).with_context(|| file.display().to_string())?);
            }
        }
    }
    Ok(objects)
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}
