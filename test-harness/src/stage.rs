//! Runs the cases of a case file through a real Envoy with the filter.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::bootstrap::Bootstrap;
use crate::case::{Case, CaseFile, Proxy};
use crate::client::{self, Request, Response};
use crate::clock::Deadline;
use crate::envoy::{self, Envoy, Launch};
use crate::generated::Wanted;
use crate::issuer::KEY_SET_PATH;
use crate::outcome::{self, Headers, Outcome};
use crate::scene::Scene;
use crate::tls::Tls;
use crate::{h2c, ports};

/// A case file with its running Envoy and servers.
#[derive(Debug)]
pub struct Stage {
    /// The servers of the case file.
    pub scene: Scene,
    /// The Envoy process under test.
    pub envoy: Envoy,
    /// The port that the client connects to.
    pub port: u16,
    speaks_http2: bool,
    /// The total number of requests to the key endpoint at the end of the previous case.
    fetches: usize,
}

impl Stage {
    /// Starts the servers of `file`, and an Envoy with the filter in `module`.
    pub fn set(file: &CaseFile, module: &Path) -> Result<Self> {
        let scene = Scene::set(file)?;
        let [port, admin] = ports::free()?;
        let bootstrap = match file.proxy {
            Proxy::Generated => generated(&scene, file, port, admin, module, "json")?,
            Proxy::GeneratedStruct => generated(&scene, file, port, admin, module, "struct")?,
            Proxy::Bare => bare(&scene, port, admin, module)?,
        };
        let launch = Launch { bootstrap: &bootstrap, admin, workers: WORKERS, env: scene.env.clone() };
        let envoy = Envoy::start(&launch)?;
        Ok(Self { scene, envoy, port, speaks_http2: false, fetches: 0 })
    }

    /// Returns this stage with a client that sends all requests over HTTP/2 instead of HTTP/1.1.
    pub fn over_http2(self) -> Self {
        Self { speaks_http2: true, ..self }
    }

    /// Sends the request of `case` and collects its outcome.
    pub fn run(&mut self, case: &Case) -> Result<(Request, Outcome)> {
        for path in self.scene.prepare(case)? {
            self.await_polls(&path)?;
        }
        let mut request = self.scene.request(case)?;
        if let Some(from) = case.request.from {
            request.headers.push((b"x-forwarded-for".to_vec(), from.to_string().into_bytes()));
        }
        let tls = self.tls(case)?;
        let mut outcome = Outcome::default();
        for _ in 0..case.times.max(1) {
            self.scene.received.take();
            outcome = self.send(&request, tls.as_ref())?;
        }
        let fetches = self.scene.issuer.requests(KEY_SET_PATH);
        outcome.fetches = fetches - std::mem::replace(&mut self.fetches, fetches);
        if case.expect.audit.is_some() {
            outcome.audit = self.audit(&outcome.headers)?;
        }
        self.envoy.still_runs()?;
        Ok((request, outcome))
    }

    /// Returns an error if the filter has failed on any worker since the start.
    pub fn filter_never_failed(&mut self) -> Result<()> {
        self.envoy.filter_never_failed(WORKERS)
    }

    /// Returns an error if a line that Envoy wrote contains a token or a secret.
    pub fn nothing_secret_was_logged(&self) -> Result<()> {
        let secrets = self.scene.secrets();
        let holds = |line: &&String| secrets.iter().any(|secret| line.contains(secret.as_str()));
        match self.envoy.lines().iter().find(holds) {
            Some(line) => bail!("a log line contains a secret: {line}"),
            None => Ok(()),
        }
    }

    /// Waits until Envoy has fetched a changed document twice. The second fetch begins after the first one has ended, and every
    /// worker has applied the result of the first fetch by then.
    fn await_polls(&self, path: &str) -> Result<()> {
        let documents = &self.scene.issuer.documents;
        let before = documents.requests(path);
        let polled = Deadline::after(PATIENCE).poll(|| (documents.requests(path) >= before + 2).then_some(()));
        polled.with_context(|| format!("the gateway did not fetch {path} twice in time"))
    }

    /// Returns the client's TLS settings if the gateway uses TLS. Each case gets new settings, so that no case resumes a session
    /// of another case.
    fn tls(&self, case: &Case) -> Result<Option<Tls>> {
        let shown = case.request.certificate.as_deref();
        self.scene.certificates.as_ref().map(|certificates| Tls::of(certificates, shown)).transpose()
    }

    fn send(&self, request: &Request, tls: Option<&Tls>) -> Result<Outcome> {
        let response = self.exchange(request, tls)?;
        let mut arrived = self.scene.received.take();
        if arrived.len() > 1 {
            bail!("one request was sent, but {} requests arrived at the upstream", arrived.len());
        }
        let (status, headers, body) = (response.status, response.headers, response.body);
        Ok(Outcome { status, headers, body, forwarded: arrived.pop(), ..Outcome::default() })
    }

    fn exchange(&self, request: &Request, tls: Option<&Tls>) -> Result<Response> {
        let to = ports::loopback(self.port);
        match (tls, self.speaks_http2) {
            (None, false) => client::send(to, request, PATIENCE),
            (None, true) => h2c::send(to, request, PATIENCE),
            (Some(tls), false) => tls.send(to, request, PATIENCE),
            (Some(tls), true) => tls.send_http2(to, request, PATIENCE),
        }
    }

    /// Returns the audit record that has the request id of the response. Envoy writes the record shortly after the response, so
    /// the method waits for it.
    fn audit(&self, response: &Headers) -> Result<Option<Value>> {
        let Some(id) = outcome::values(response, "x-request-id").pop() else { return Ok(None) };
        let named = |record: &Value| record.get("request_id").and_then(Value::as_str) == Some(&id);
        let records = || self.envoy.lines().iter().filter_map(|line| record_in(line)).filter(named).collect::<Vec<_>>();
        let found = Deadline::after(PATIENCE).poll(|| Some(records()).filter(|found| !found.is_empty()));
        match found.unwrap_or_default().as_mut_slice() {
            [] => Ok(None),
            [record] => Ok(Some(record.take())),
            several => bail!("{} audit records have the request id {id}: {several:?}", several.len()),
        }
    }
}

fn generated(scene: &Scene, file: &CaseFile, port: u16, admin: u16, module: &Path, embed: &str) -> Result<String> {
    // If a case sets `from`, the client acts as a trusted proxy in front of Envoy and sends the address in `x-forwarded-for`.
    let trusted_hops = u32::from(file.cases.iter().any(|case| case.request.from.is_some()));
    let folder = envoy::fresh_folder()?;
    let document = folder.join("gateway.json");
    std::fs::write(&document, scene.policy.to_string())?;
    let tls = scene.certificates.as_ref();
    let wanted = Wanted { document: &document, port, admin, module, embed, trusted_hops, tls };
    let bootstrap = wanted.generate(&scene.env);
    std::fs::remove_dir_all(&folder)?;
    bootstrap
}

fn bare(scene: &Scene, port: u16, admin: u16, module: &Path) -> Result<String> {
    ensure!(scene.certificates.is_none(), "a case file with `proxy: bare` cannot have `certificates`");
    let clusters = clusters(&scene.policy, scene)?;
    let env = scene.env.iter().map(|(name, _)| name.as_str()).collect();
    Ok(Bootstrap { port, admin, module: Some(module), policy: &scene.policy, clusters, env }.text())
}

/// Returns the audit record in a log line, if the line contains JSON. The JSON may have a prefix. In an access log, the record is
/// the member `audit`, next to Envoy's own fields.
fn record_in(line: &str) -> Option<Value> {
    let (prefix, _) = line.split_once('{')?;
    let mut record: Value = serde_json::from_str(line.get(prefix.len()..)?).ok()?;
    let members = record.as_object_mut()?;
    if let Some(Value::Object(decided)) = members.remove("audit") {
        members.extend(decided);
    }
    Some(record)
}

/// Returns the name and the port of each cluster that a policy needs: for upstreams, for key endpoints, and for fetched
/// documents.
fn clusters(policy: &Value, scene: &Scene) -> Result<Vec<(String, u16)>> {
    let mut found = Vec::new();
    for (name, upstream) in policy.get("upstreams").and_then(Value::as_object).into_iter().flatten() {
        let url = upstream.get("url").or(Some(upstream)).and_then(Value::as_str).unwrap_or_default();
        let variable = url.strip_prefix('$').and_then(|name| scene.env.iter().find(|(have, _)| have == name));
        found.push((name.clone(), port_of(variable.map_or(url, |(_, value)| value.as_str()))?));
    }
    for issuer in policy.get("issuers").and_then(Value::as_array).into_iter().flatten() {
        let text = |at| issuer.pointer(at).and_then(Value::as_str);
        if let (Some(cluster), Some(uri)) = (text("/jwks/cluster"), text("/jwks/uri")) {
            found.push((cluster.to_owned(), port_of(uri)?));
        }
    }
    for section in ["revocation", "clients_from"] {
        let text = |key| policy.get(section).and_then(|from| from.get(key)).and_then(Value::as_str);
        if let (Some(cluster), Some(uri)) = (text("cluster"), text("uri")) {
            found.push((cluster.to_owned(), port_of(uri)?));
        }
    }
    found.sort();
    found.dedup_by(|a, b| a.0 == b.0);
    Ok(found)
}

fn port_of(url: &str) -> Result<u16> {
    let authority = url.split('/').nth(2).unwrap_or_default();
    let port = authority.rsplit(':').next().and_then(|port| port.parse().ok());
    port.with_context(|| format!("`{url}` has no port: use a placeholder such as `${{UPSTREAM.agents}}`"))
}

const PATIENCE: Duration = Duration::from_secs(20);

/// The number of Envoy workers. With two workers, the cases also test that the result does not depend on the worker, although
/// each worker has its own state.
const WORKERS: u32 = 2;
