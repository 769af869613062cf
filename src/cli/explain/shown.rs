//! Requests of somebody who is only supposed: what they show, and what the filter says about them.

use std::borrow::Cow;
use std::time::Duration;

use super::supposed::{self, Supposed};
use super::{decide, published};
use crate::cli::Failure;
use crate::cli::gateway::Gateway;
use crate::config::auth::KeySource;
use crate::config::document::Document;
use crate::policy::audit;
use crate::policy::peer::{Certificate, KnownPeer};
use crate::policy::request::RequestParts;
use crate::policy::signature::{SignatureVerifier, Software};

/// What a request shows of who sends it.
#[derive(Default)]
pub struct Shown<'s> {
    /// A token.
    pub token: Option<&'s Supposed>,
    /// A file with the keys that remote issuers publish; those of a supposed token matter to nobody.
    pub keys: Option<&'s str>,
    /// An API key.
    pub key: Option<&'s str>,
    /// A client certificate.
    pub certificate: Option<Certificate>,
}

/// What the filter says about a request that shows this.
pub fn suppose(
    gateway: &Gateway,
    mut request: Vec<(String, String)>,
    shown: &Shown<'_>,
    now: Duration,
) -> Result<Supposition, Failure> {
    let mut polled = gateway.policy.polled();
    match shown.keys {
        Some(file) => published::keys(&mut polled, file, now)?,
        None => supposed::publish(&mut polled, now),
    }
    published::revocations(&mut polled, None, now)?;
    published::clients(&mut polled, None, now)?;
    if let Some(token) = shown.token {
        token.attach(&mut request);
    }
    if let Some(key) = shown.key {
        attach_key(&gateway.document, key, &mut request);
    }
    let verifier: &dyn SignatureVerifier = match shown.token {
        Some(token) => token,
        None => &Software,
    };
    let headers: Vec<(&[u8], &[u8])> = request.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let parts = RequestParts { headers: &headers, received_at: now, again: false, ended: true };
    let peer = KnownPeer { address: None, certificate: shown.certificate.clone() };
    let verdict = decide(gateway, &parts, &mut polled, verifier, &peer, now, &mut Vec::new())?;
    let audit = verdict.audit;
    Ok(Supposition {
        route: audit.route.map(|route| route.to_string()),
        // Checks of the query and the body follow when a caller is allowed; what is supposed here has neither.
        allowed: audit.outcome != audit::Outcome::Deny || audit.code == Some("VALIDATION_FAILED"),
        reason: audit.reason,
        detail: audit.detail.map(Cow::into_owned),
    })
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
