//! The native run: the same cases against the core in this process, without Envoy, and with a clock that a case may move.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result};
use portcullis::policy::request::peer::Certificate;
use serde_json::Value;

use crate::case::{Case, CaseFile};
use crate::client::Request;
use crate::outcome::Outcome;
use crate::scene::{Scene, document_path};
use crate::{issuer, keys};

/// A gateway made of a policy, keeping what it learns between requests.
pub trait Gateway {
    /// What becomes of one request.
    fn decide(&mut self, arrival: &Arrival<'_>) -> Result<Outcome>;

    /// What the endpoint of a polled document answers from now on, by its path; `None` when it gives no answer to be read.
    fn publish(&mut self, path: &str, text: Option<String>);
}

/// One request at the gateway's door, and what the world outside holds at that moment.
#[derive(Debug)]
pub struct Arrival<'a> {
    /// The time, in Unix seconds.
    pub now: i64,
    /// The request, byte for byte.
    pub request: &'a Request,
    /// What the issuer's key endpoint answers now; `None` when it gives no usable answer.
    pub key_set: Option<Value>,
    /// The client's address.
    pub from: Option<IpAddr>,
    /// The client certificate that was verified.
    pub certificate: Option<Certificate>,
    /// The audit record is wanted.
    pub audit: bool,
}

/// Makes a gateway of a document and the variables it may read.
pub type Open = fn(policy: &Value, env: &[(String, String)]) -> Result<Box<dyn Gateway>>;

/// A case file on the native stage.
pub struct NativeStage {
    /// The servers: only their addresses and keys are used.
    pub scene: Scene,
    gateway: Box<dyn Gateway>,
    published: Vec<String>,
    fault: issuer::Fault,
    /// By how many seconds the clock has been moved on, past the polls of documents that were changed.
    elapsed: i64,
}

impl NativeStage {
    /// Makes the gateway of a scene.
    pub fn set(scene: Scene, file: &CaseFile, open: Open) -> Result<Self> {
        let mut gateway = open(&scene.policy, &scene.env)?;
        for name in file.documents.keys() {
            let path = document_path(name);
            gateway.publish(&path, scene.issuer.documents.text(&path));
        }
        let published = file.published().into_iter().map(str::to_owned).collect();
        let fault = file.issuer;
        Ok(Self { scene, gateway, published, fault, elapsed: 0 })
    }

    /// Decides the request of `case` as often as it says.
    pub fn run(&mut self, case: &Case) -> Result<(Request, Outcome)> {
        self.fault = case.before.issuer.unwrap_or(self.fault);
        if let Some(published) = &case.before.publish {
            self.published.clone_from(published);
        }
        for path in self.scene.prepare(case)? {
            self.gateway.publish(&path, self.scene.issuer.documents.text(&path));
            self.elapsed += POLLED_WITHIN;
        }
        let request = self.scene.request(case)?;
        let key_set = match self.fault {
            issuer::Fault::None | issuer::Fault::Late => Some(keys::key_set(&self.published)?),
            issuer::Fault::Empty => Some(serde_json::json!({ "keys": [] })),
            _ => None,
        };
        let arrival = Arrival {
            now: (self.scene.clock)() + self.elapsed + case.at,
            request: &request,
            key_set,
            from: Some(case.request.from.unwrap_or(Ipv4Addr::LOCALHOST.into())),
            certificate: case.request.certificate.as_ref().map(|name| self.certificate(name)).transpose()?,
            audit: case.expect.audit.is_some(),
        };
        let mut outcome = Outcome::default();
        let mut fetches = 0;
        for _ in 0..case.times.max(1) {
            outcome = self.gateway.decide(&arrival)?;
            fetches += outcome.fetches;
        }
        outcome.fetches = fetches;
        Ok((request, outcome))
    }

    fn certificate(&self, name: &str) -> Result<Certificate> {
        let certificates = self.scene.certificates.as_ref().context("the file has no `certificates`")?;
        Ok(certificates.client(name)?.certificate.clone())
    }
}

/// Longer than any case's documents are polled apart.
const POLLED_WITHIN: i64 = 5;
