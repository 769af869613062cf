//! Simulates requests: adds the given credentials to each request and returns the filter's verdict.

use std::time::Duration;

use super::hypothetical_token::HypotheticalToken;
use super::{hypothetical_token, published, run_request};
use crate::cli::Failure;
use crate::cli::gateway::GatewayFile;
use crate::config::auth::KeyPlace;
use crate::config::document::Document;
use crate::gateway as running;
use crate::gateway::shared::LocalData;
use crate::gateway::simulation::SimulatedHost;
use crate::gateway::transaction::Transaction;
use crate::gateway::waiting::StreamId;
use crate::policy::request::peer::Certificate;
use crate::policy::verdict::audit;

/// A gateway that decides many simulated requests. The clock does not advance between them.
pub struct SimulatedGateway<'g> {
    /// The gateway document and its compiled policy.
    pub gateway: &'g GatewayFile,
    running: running::Gateway,
    now: Duration,
}

/// The credentials that a simulated request sends.
#[derive(Default)]
pub struct PresentedCredentials<'s> {
    /// The token to send, if any.
    pub token: Option<&'s HypotheticalToken>,
    /// The API key to send, if any.
    pub key: Option<&'s str>,
    /// The client certificate to send, if any.
    pub certificate: Option<Certificate>,
}

/// The verdict on a simulated request.
pub struct SimulatedVerdict {
    /// The route that matched.
    pub route: Option<String>,
    /// Whether the filter forwarded or answered the request. Also true if only a check of the query or body refused it.
    pub allowed: bool,
    /// The reason in the audit record.
    pub reason: &'static str,
    /// More detail on the reason, if the audit record has it.
    pub detail: Option<String>,
}

impl<'g> SimulatedGateway<'g> {
    /// Starts a gateway with fixed polled documents. `keys` is the name of a file with the key set of all issuers with `jwks`;
    /// without it, these issuers get stand-in keys. `clients` is the text of the document of clients; without it, that document
    /// is empty. The revocation list is always empty.
    pub fn new(
        gateway: &'g GatewayFile,
        keys: Option<&str>,
        clients: Option<&str>,
        now: Duration,
    ) -> Result<SimulatedGateway<'g>, Failure> {
        let running = running::Gateway::new(gateway.policy.clone(), &LocalData::default());
        {
            let polled = &mut *running.polled();
            match keys {
                Some(file) => published::keys(polled, file, now)?,
                None => hypothetical_token::publish_keys(polled, now),
            }
            published::revocations(polled, gateway, None, now)?;
            published::client_text(polled, clients, now)?;
        }
        Ok(SimulatedGateway { gateway, running, now })
    }

    /// Runs a request with these credentials and returns the filter's verdict.
    pub fn verdict_on(
        &mut self,
        mut request: Vec<(String, String)>,
        presented: &PresentedCredentials<'_>,
    ) -> Result<SimulatedVerdict, Failure> {
        if let Some(token) = presented.token {
            token.attach(&mut request);
        }
        if let Some(key) = presented.key {
            attach_key(&self.gateway.document, key, &mut request);
        }
        let mut host = SimulatedHost::new(self.now);
        if let Some(token) = presented.token {
            host.verifier = token;
        }
        host.stream.peer.certificate = presented.certificate.clone();
        let mut transaction = Transaction::new(StreamId::default());
        run_request(&self.running, &mut transaction, &mut host, &request, &mut Vec::new())?;
        let audit = transaction.record();
        Ok(SimulatedVerdict {
            route: audit.route.as_ref().map(|route| route.to_string()),
            // A refusal by a check of the query or body counts as allowed: such checks run only for an authorized caller, and
            // they can fail because simulated requests have no query and no body.
            allowed: audit.outcome != audit::Outcome::Deny || audit.code == Some("VALIDATION_FAILED"),
            reason: audit.reason,
            detail: audit.detail.as_ref().map(|detail| detail.to_string()),
        })
    }
}

/// Adds an API key to the request, in a place where the document expects keys. Does not use the `authorization` header if it
/// already contains a token, unless the document has no other place.
fn attach_key(document: &Document, key: &str, request: &mut Vec<(String, String)>) {
    let has_token = request.iter().any(|(name, _)| name == "authorization");
    let places = || document.api_keys.iter().flat_map(|keys| &keys.from).map(|place| &place.value);
    let is_free = |place: &&KeyPlace| !has_token || !matches!(place, KeyPlace::Scheme(_));
    match places().find(is_free).or(places().next()) {
        Some(KeyPlace::Header(name)) => request.push((name.clone(), key.to_string())),
        Some(KeyPlace::Scheme(scheme)) => request.push(("authorization".to_string(), format!("{scheme} {key}"))),
        Some(KeyPlace::InsecureQuery(name)) => {
            if let Some((_, path)) = request.iter_mut().find(|(header, _)| header == ":path") {
                let mark = if path.contains('?') { '&' } else { '?' };
                path.push_str(&format!("{mark}{name}={key}"));
            }
        }
        None => {}
    }
}
