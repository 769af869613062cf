//! Requests of somebody who is only supposed: what they show, and what the filter says about them.

use std::time::Duration;

use super::supposed::Supposed;
use super::{published, run_request, supposed};
use crate::cli::Failure;
use crate::cli::gateway::GatewayFile;
use crate::config::auth::KeySource;
use crate::config::document::Document;
use crate::gateway as running;
use crate::gateway::shared::LocalData;
use crate::gateway::simulation::SimulatedHost;
use crate::gateway::transaction::Transaction;
use crate::gateway::waiting::StreamId;
use crate::policy::request::peer::Certificate;
use crate::policy::verdict::audit;

/// A gateway that can be asked many things at one moment.
pub struct Asked<'g> {
    /// The gateway.
    pub gateway: &'g GatewayFile,
    running: running::Gateway,
    now: Duration,
}

/// What a request shows of who sends it.
#[derive(Default)]
pub struct Shown<'s> {
    /// A token.
    pub token: Option<&'s Supposed>,
    /// An API key.
    pub key: Option<&'s str>,
    /// A client certificate.
    pub certificate: Option<Certificate>,
}

/// A verdict in short.
pub struct Supposition {
    /// The route that took the request.
    pub route: Option<String>,
    /// Whether it was forwarded or answered.
    pub allowed: bool,
    /// The precise reason.
    pub reason: &'static str,
    /// More about it.
    pub detail: Option<String>,
}

impl<'g> Asked<'g> {
    /// A gateway whose remote issuers publish the keys of a file, or keys that matter to nobody while tokens are only supposed. The
    /// document of clients that it polls is this text, or lists nobody; its revocation list is empty.
    pub fn new(
        gateway: &'g GatewayFile,
        keys: Option<&str>,
        clients: Option<&str>,
        now: Duration,
    ) -> Result<Asked<'g>, Failure> {
        let running = running::Gateway::new(gateway.policy.clone(), &LocalData::default());
        {
            let polled = &mut *running.polled();
            match keys {
                Some(file) => published::keys(polled, file, now)?,
                None => supposed::publish(polled, now),
            }
            published::revocations(polled, gateway, None, now)?;
            published::client_text(polled, clients, now)?;
        }
        Ok(Asked { gateway, running, now })
    }

    /// What the filter says about a request that shows this.
    pub fn about(&mut self, mut request: Vec<(String, String)>, shown: &Shown<'_>) -> Result<Supposition, Failure> {
        if let Some(token) = shown.token {
            token.attach(&mut request);
        }
        if let Some(key) = shown.key {
            attach_key(&self.gateway.document, key, &mut request);
        }
        let mut host = SimulatedHost::new(self.now);
        if let Some(token) = shown.token {
            host.verifier = token;
        }
        host.stream.peer.certificate = shown.certificate.clone();
        let mut transaction = Transaction::new(StreamId::default());
        run_request(&self.running, &mut transaction, &mut host, &request, &mut Vec::new())?;
        let audit = transaction.record();
        Ok(Supposition {
            route: audit.route.as_ref().map(|route| route.to_string()),
            // Checks of the query and the body follow when a caller is allowed; what is supposed here has neither.
            allowed: audit.outcome != audit::Outcome::Deny || audit.code == Some("VALIDATION_FAILED"),
            reason: audit.reason,
            detail: audit.detail.as_ref().map(|detail| detail.to_string()),
        })
    }
}

/// Puts a key where the document wants keys, beside a token rather than in its place.
fn attach_key(document: &Document, key: &str, request: &mut Vec<(String, String)>) {
    let has_token = request.iter().any(|(name, _)| name == "authorization");
    let places = || document.api_keys.iter().flat_map(|keys| &keys.from).map(|place| &place.value);
    let is_free = |place: &&KeySource| !has_token || !matches!(place, KeySource::Scheme(_));
    match places().find(is_free).or(places().next()) {
        Some(KeySource::Header(name)) => request.push((name.clone(), key.to_string())),
        Some(KeySource::Scheme(scheme)) => request.push(("authorization".to_string(), format!("{scheme} {key}"))),
        Some(KeySource::InsecureQuery(name)) => {
            if let Some((_, path)) = request.iter_mut().find(|(header, _)| header == ":path") {
                let mark = if path.contains('?') { '&' } else { '?' };
                path.push_str(&format!("{mark}{name}={key}"));
            }
        }
        None => {}
    }
}
