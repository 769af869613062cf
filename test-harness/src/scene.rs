//! Starts the servers of a case file and builds its requests, both for the Envoy run and for the native run.

use std::cell::RefCell;
use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use crate::case::{Case, CaseFile, RequestSpec};
use crate::certificate::Certificates;
use crate::client::Request;
use crate::documents::Fault;
use crate::issuer::{Issuer, KEY_SET_PATH};
use crate::place::{self, Places};
use crate::token::TokenSpec;
use crate::upstream::{Received, Upstream};
use crate::{clock, keys, octets, ports, program};

/// A case file with its running servers.
#[derive(Debug)]
pub struct Scene {
    /// The gateway's document with all placeholders filled.
    pub policy: Value,
    /// The gateway's environment variables.
    pub env: Vec<(String, String)>,
    /// The issuer of the tokens.
    pub issuer: Issuer,
    /// The upstreams by name.
    pub upstreams: Vec<Upstream>,
    /// The requests that the upstreams received and the test has not read yet.
    pub received: Received,
    /// The certificates, if the gateway uses TLS.
    pub certificates: Option<Certificates>,
    /// The values of the placeholders in the file.
    pub places: Places,
    claims: Map<String, Value>,
    secrets: RefCell<Vec<String>>,
    /// A function that returns the Unix time at which tokens are issued.
    pub clock: fn() -> i64,
}

impl Scene {
    /// Starts the servers of `file`.
    pub fn set(file: &CaseFile) -> Result<Self> {
        let issuer = Issuer::start(0, &file.published())?;
        issuer.fail(file.issuer);
        let received = Received::default();
        let mut places = Places::default();
        places.set("ISSUER", issuer.url());
        places.set("JWKS", format!("{}{KEY_SET_PATH}", issuer.url()));
        places.set("KEY_SET", keys::key_set(&file.published())?.to_string());
        for name in file.documents.keys() {
            places.set(format!("DOCUMENT.{name}"), format!("{}{}", issuer.url(), document_path(name)));
        }
        let certificates = match file.certificates.is_empty() {
            true => None,
            false => Some(Certificates::make(&file.certificates)?),
        };
        for (place, text) in certificates.iter().flat_map(Certificates::places) {
            places.set(place, text);
        }
        let [down] = ports::free()?;
        places.set("DOWN", format!("http://127.0.0.1:{down}"));
        let arguments = file.import.as_ref().map(|import| import.arguments.concat()).unwrap_or_default();
        let written = [serde_json::to_string(&file.policy)?, serde_json::to_string(&file.env)?, arguments].concat();
        let mut upstreams = Vec::new();
        for name in place::upstreams(&written) {
            let upstream = Upstream::start(&name, 0, received.clone())?;
            places.set(place::of_upstream(&name), upstream.url());
            upstreams.push(upstream);
        }
        let env = file.env.iter().map(|(name, value)| Ok((name.clone(), places.fill(value)?)));
        let env = env.collect::<Result<Vec<_>>>().context("env")?;
        let policy = policy(file, &places).context("policy")?;
        let claims = places.fill_object(&file.default_claims()).context("claims")?;
        let values = env.iter().map(|(_, value)| value).filter(|value| !value.contains("://"));
        let secrets = values.chain(&file.secrets).cloned().collect();
        let secrets = RefCell::new(secrets);
        let scene = Self {
            policy,
            env,
            issuer,
            upstreams,
            received,
            certificates,
            places,
            claims,
            secrets,
            clock: clock::unix_seconds,
        };
        scene.publish(&file.documents, &file.faults)?;
        Ok(scene)
    }

    /// Returns this scene with another clock for issuing tokens.
    pub fn at(self, clock: fn() -> i64) -> Self {
        Self { clock, ..self }
    }

    /// Applies the changes that `case` makes before its request. Returns the paths of the changed documents.
    pub fn prepare(&self, case: &Case) -> Result<Vec<String>> {
        if let Some(fault) = case.before.issuer {
            self.issuer.fail(fault);
        }
        if let Some(kids) = &case.before.publish {
            self.issuer.publish(kids);
        }
        let (documents, faults) = case.before.changes();
        let changed = self.publish(&documents, faults)?;
        self.received.take();
        Ok(changed)
    }

    fn publish(&self, texts: &BTreeMap<String, Value>, faults: &BTreeMap<String, Fault>) -> Result<Vec<String>> {
        for (name, document) in texts {
            self.issuer.documents.publish(&document_path(name), self.places.fill_all(document).context("documents")?);
        }
        for (name, fault) in faults {
            self.issuer.documents.fail(&document_path(name), *fault);
        }
        Ok(texts.keys().chain(faults.keys()).map(|name| document_path(name)).collect())
    }

    /// Returns the request of `case` with a newly signed token.
    pub fn request(&self, case: &Case) -> Result<Request> {
        let spec = &case.request;
        let token = match &spec.token {
            Some(token) => Some(self.token(token)?),
            None => None,
        };
        let mut places = self.places.clone();
        places.set("TOKEN", token.clone().unwrap_or_default());
        let read = |text: &str| octets::parse(&places.fill(text)?);
        let pair = |(name, value): &(String, String)| Ok((read(name)?, read(value)?));
        let mut headers: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        if spec.host != "-" {
            headers.push((b"host".to_vec(), read(&spec.host)?));
        }
        for header in &spec.headers {
            headers.push(pair(header)?);
        }
        if let Some(token) = token.filter(|_| !names_token(spec)) {
            headers.push((b"authorization".to_vec(), format!("Bearer {token}").into_bytes()));
        }
        Ok(Request {
            method: read(&spec.method)?,
            target: read(&spec.path)?,
            headers,
            body: spec.body_bytes.map_or_else(|| read(&spec.body), |bytes| Ok(vec![b'~'; bytes]))?,
            chunked: spec.chunked,
            trailers: spec.trailers.iter().map(pair).collect::<Result<_>>()?,
            untrimmed: case.http2_only.is_some(),
        })
    }

    /// Returns the strings that must never be logged: the secrets of the case file, the values of its environment variables
    /// except URLs, and the claims and signatures of all tokens that were issued so far.
    pub fn secrets(&self) -> Vec<String> {
        self.secrets.borrow().clone()
    }

    fn token(&self, spec: &TokenSpec) -> Result<String> {
        let mut spec = spec.clone();
        spec.claims = self.places.fill_object(&spec.claims)?;
        spec.header = self.places.fill_object(&spec.header)?;
        let token = spec.mint((self.clock)(), &self.claims)?;
        let parts = token.split('.').skip(1).filter(|part| part.len() > 8).map(str::to_owned);
        self.secrets.borrow_mut().extend(parts);
        Ok(token)
    }
}

/// Returns the document of the case file. If the file imports a document, the members of the case file replace the imported
/// members.
fn policy(file: &CaseFile, places: &Places) -> Result<Value> {
    let own = places.fill_object(&file.policy)?;
    let Some(import) = &file.import else { return Ok(own.into()) };
    let arguments: Vec<String> = import.arguments.iter().map(|text| places.fill(text)).collect::<Result<_>>()?;
    let mut imported = program::import(&import.file, &arguments)?;
    imported.as_object_mut().context("the imported document is not an object")?.extend(own);
    Ok(imported)
}

/// Returns the path at which the issuer publishes a document.
pub fn document_path(name: &str) -> String {
    format!("/documents/{name}")
}

fn names_token(spec: &RequestSpec) -> bool {
    spec.path.contains(TOKEN) || spec.headers.iter().any(|(_, value)| value.contains(TOKEN))
}

const TOKEN: &str = "${TOKEN}";
