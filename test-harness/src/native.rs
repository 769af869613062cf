//! Runs the cases natively: against the core in this process, without Envoy, and with a clock that a case can advance.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result};
use portcullis::policy::request::peer::Certificate;
use serde_json::Value;

use crate::case::{Case, CaseFile};
use crate::client::Request;
use crate::outcome::Outcome;
use crate::scene::{Scene, document_path};
use crate::{issuer, keys};

/// A gateway with a policy. The gateway keeps its state between requests.
pub trait Gateway {
    /// Processes one request and returns its outcome.
    fn decide(&mut self, arrival: &Arrival<'_>) -> Result<Outcome>;

    /// Sets the response of the endpoint at `path`, which serves a polled document. `None` means that the endpoint returns no
    /// readable response.
    fn publish(&mut self, path: &str, text: Option<String>);
}

/// A request as it arrives at the gateway, with the client's identity and the issuer's current keys.
#[derive(Debug)]
pub struct Arrival<'a> {
    /// The time, in Unix seconds.
    pub now: i64,
    /// The request as bytes.
    pub request: &'a Request,
    /// The current response of the issuer's key endpoint, or `None` if it is not usable.
    pub key_set: Option<Value>,
    /// The client's address.
    pub from: Option<IpAddr>,
    /// The client certificate, if the client sent one. It is already verified.
    pub certificate: Option<Certificate>,
    /// Whether the case checks the audit record.
    pub audit: bool,
}

/// A function that creates a gateway from a document and environment variables.
pub type Open = fn(policy: &Value, env: &[(String, String)]) -> Result<Box<dyn Gateway>>;

/// A case file that runs natively, with its gateway.
pub struct NativeStage {
    /// The servers of the case file. The native run uses only their addresses, keys and documents.
    pub scene: Scene,
    gateway: Box<dyn Gateway>,
    published: Vec<String>,
    fault: issuer::Fault,
    /// The total number of seconds by which the clock was advanced to make the gateway poll changed documents.
    elapsed: i64,
}

impl NativeStage {
    /// Creates the gateway of a scene.
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

    /// Sends the request of `case` as often as `times` specifies, and returns the last outcome.
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

/// A time in seconds after which every gateway in the case files has polled its documents again.
const POLLED_WITHIN: i64 = 5;
