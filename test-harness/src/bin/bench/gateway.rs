//! Sets up Portcullis as an operator does: `portcullis generate envoy` creates the Envoy configuration from a document.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use test_harness::envoy::Host;

use crate::site::{
    CALLER, CALLS, EXPOSED, HEADERS, HEALTH, HEALTH_BODY, IDENTITY, MAPPED, MAX_AGE, METHODS, ORIGIN, Site,
};
use crate::tokens::{AUDIENCE, SCOPE, SECRET};

/// The files under test.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// The filter's module.
    pub module: PathBuf,
    /// The command line that generates configurations.
    pub program: PathBuf,
}

impl Gateway {
    /// Returns the path of the module with JSON Schema and JSON:API, which `make wasm` writes beside the small one.
    pub fn full_module(&self) -> PathBuf {
        self.module.with_file_name("portcullis-full.wasm")
    }

    /// Returns the path of the dynamic module, which `make dynamic-module` builds.
    pub fn dynamic_module(&self) -> PathBuf {
        self.module.with_file_name("libportcullis.so")
    }

    /// Writes the document to `file` and returns the bootstrap for `site`.
    pub fn bootstrap(&self, site: &Site, port: u16, file: &Path) -> Result<Value> {
        fs::write(file, serde_json::to_vec_pretty(&document(site)?)?)?;
        let mut command = Command::new(&self.program);
        command.args(["generate", "envoy"]).arg(file).args(["--port", &port.to_string(), "--no-admin"]);
        command.args(match Host::of(&self.module) {
            Host::Wasm => ["--wasm"].as_slice(),
            Host::DynamicModule => &["--host", "dynamic-module", "--dynamic-module"],
        });
        let output = command.arg(&self.module).env(SECRET_NAME, SECRET).output();
        let output = output.with_context(|| format!("{} cannot be started", self.program.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`portcullis generate envoy {}` failed:\n{said}", file.display());
        let text = String::from_utf8(output.stdout)?;
        let mut bootstrap: Value =
            serde_saphyr::from_str(&text).map_err(|error| anyhow::anyhow!("the generated configuration: {error}"))?;
        if !site.audit {
            let log = bootstrap.pointer_mut(ACCESS_LOG).context("the generated configuration has no access log")?;
            *log = json!([]);
        }
        Ok(bootstrap)
    }

    /// Returns the environment variables that Envoy needs.
    pub fn environment() -> Vec<(String, String)> {
        vec![(SECRET_NAME.to_owned(), SECRET.to_owned())]
    }
}

fn document(site: &Site) -> Result<Value> {
    let algorithms = site.algorithms();
    let issuer = algorithms.first().map(|algorithm| algorithm.issuer());
    let mut issuer = json!({ "name": "bench", "issuer": issuer, "audiences": [AUDIENCE] });
    if let Some(members) = issuer.as_object_mut() {
        if site.shared_secret {
            members.insert("secret".to_owned(), json!({ "env": SECRET_NAME }));
        } else {
            let keys: Result<Vec<_>> = algorithms.iter().map(|algorithm| algorithm.jwk()).collect();
            members.insert("keys".to_owned(), json!({ "keys": keys? }));
        }
    }
    let answer: Value = serde_json::from_str(HEALTH_BODY)?;
    let health = json!({ "path": HEALTH, "auth": "none", "response": { "body": answer } });
    let route = |number: usize| json!({ "path": format!("/api/v1/r{number}/items/{{id}}"), "upstream": "api", "scopes": [SCOPE] });
    let mapped = site.json_api.then(mapped);
    let identity: serde_json::Map<_, _> =
        IDENTITY.iter().map(|(header, claim)| (header.to_string(), json!(claim))).collect();
    let callers = json!({ "name": "callers", "by": { "header": CALLER }, "rate": format!("{CALLS}/d") });
    Ok(json!({
        "version": "1.0",
        // The baselines do not send limit headers to clients.
        "limit_headers": "none",
        "limits": if site.limited { vec![callers] } else { vec![] },
        "issuers": [issuer],
        "identity_headers": identity,
        "cors": {
            "allow_origins": [ORIGIN], "allow_methods": METHODS, "allow_headers": HEADERS, "expose_headers": [EXPOSED],
            "allow_credentials": true, "max_age": MAX_AGE,
        },
        // The baselines forward the host unchanged, so Portcullis must do this too.
        "upstreams": { "api": { "url": format!("http://127.0.0.1:{}", site.upstream), "preserve_host": true } },
        "audit": { "to": "access_log" },
        "routes": std::iter::once(health).chain(mapped).chain((0..site.routes).map(route)).collect::<Vec<_>>(),
    }))
}

/// Returns the route that maps the list of [`crate::answers`] to a JSON:API document.
fn mapped() -> Value {
    json!({
        "path": format!("{MAPPED}/{{id}}"), "upstream": "api", "scopes": [SCOPE],
        "jsonapi": {
            "type": "orders", "id": "/order_id", "data": "/items", "omit": ["_etag"],
            "relationships": { "customer": { "type": "customers", "id": "/customer_id" } },
            "meta": { "total": "/total" },
            "links": { "self": true, "next": "/next" },
        },
    })
}

const SECRET_NAME: &str = "BENCH_SECRET";
const ACCESS_LOG: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/access_log";
