//! Finds the clients that can use a route, by simulating one request for each set of credentials that a client can send.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::explain::hypothetical_token::HypotheticalToken;
use crate::cli::explain::{PresentedCredentials, SimulatedGateway};
use crate::cli::stand_in_clients::{StandInClients, StandInCredential, bound_to, credentials};
use crate::cli::{Failure, try_routes};
use crate::config::auth::{Auth, CredentialKind};
use crate::config::client::ClientSettings;
use crate::config::document::Route;

/// A client, and the verdict for each of its credential sets.
pub struct ListedCaller<'c> {
    client: &'c ClientSettings,
    verdicts: Vec<CredentialVerdict>,
}

/// The verdict on one simulated request of a client.
struct CredentialVerdict {
    names: Vec<String>,
    allowed: bool,
    reason: String,
}

/// The credentials of one simulated request.
#[derive(Clone, Default)]
struct CredentialSet {
    names: Vec<String>,
    token: Option<Arc<HypotheticalToken>>,
    key: Option<String>,
    certificate: Option<crate::policy::request::peer::Certificate>,
}

/// Returns every client with its verdicts. Returns an empty list if the route does not require authentication.
pub fn client_verdicts<'c>(
    all_clients: &'c StandInClients,
    simulated: &mut SimulatedGateway<'_>,
    route: &Route,
    name: &str,
    now: Duration,
) -> Result<Vec<ListedCaller<'c>>, Failure> {
    if matches!(route.auth.value, Auth::None | Auth::Optional) {
        return Ok(Vec::new());
    }
    let mut callers = Vec::new();
    for client in &all_clients.clients {
        let mut verdicts = Vec::new();
        for set in credential_sets(all_clients, client, route, now)? {
            let presented = PresentedCredentials {
                token: set.token.as_deref(),
                key: set.key.as_deref(),
                certificate: set.certificate.clone(),
            };
            let answer = try_routes::try_route(simulated, route, name, &presented)?;
            verdicts.push(CredentialVerdict { names: set.names, allowed: answer.allowed, reason: answer.reason });
        }
        callers.push(ListedCaller { client, verdicts });
    }
    Ok(callers)
}

/// Returns the credential sets with which a client can call a route. For `any_of`, each set has one credential. For `all_of`,
/// each set has one credential of each required kind, except kinds that the client does not have. If an issuer binds its tokens
/// to certificates, the set of its token also has the certificate.
fn credential_sets(
    all_clients: &StandInClients,
    client: &ClientSettings,
    route: &Route,
    now: Duration,
) -> Result<Vec<CredentialSet>, Failure> {
    let auth = &route.auth.value;
    let mut all = vec![CredentialSet::default()];
    let mut each = Vec::new();
    for kind in auth.kinds() {
        let further = credential_sets_of_kind(all_clients, client, *kind, route, now)?;
        if !further.is_empty() {
            all = all.iter().flat_map(|set| further.iter().map(|more| set.with(more))).collect();
        }
        each.extend(further);
    }
    Ok(if matches!(auth, Auth::AllOf(_)) { all } else { each })
}

fn credential_sets_of_kind(
    all_clients: &StandInClients,
    client: &ClientSettings,
    kind: CredentialKind,
    route: &Route,
    now: Duration,
) -> Result<Vec<CredentialSet>, Failure> {
    if kind == CredentialKind::Token {
        let token = |issuer| {
            let token = Some(Arc::new(all_clients.token(client, issuer, route, now)?));
            let certificate = bound_to(client, issuer);
            let bound = if certificate.is_some() { " bound to its certificate" } else { "" };
            let names = vec![format!("a token from issuer {}{bound}", issuer.name.value)];
            Ok(CredentialSet { names, token, certificate, key: None })
        };
        return all_clients.issuers(route).map(token).collect();
    }
    let set = |credential| match credential {
        StandInCredential::Key(id, key) => {
            CredentialSet { names: vec![format!("key {id}")], key: Some(key), ..CredentialSet::default() }
        }
        StandInCredential::Certificate(certificate) => {
            let names = vec!["its certificate".to_string()];
            CredentialSet { names, certificate: Some(certificate), ..CredentialSet::default() }
        }
    };
    Ok(credentials(client, kind).into_iter().map(set).collect())
}

impl CredentialSet {
    fn with(&self, more: &CredentialSet) -> CredentialSet {
        CredentialSet {
            names: [self.names.as_slice(), &more.names].concat(),
            token: self.token.clone().or_else(|| more.token.clone()),
            key: self.key.clone().or_else(|| more.key.clone()),
            certificate: self.certificate.clone().or_else(|| more.certificate.clone()),
        }
    }
}

/// Lists the clients that can use the route, each with the credential sets that the filter accepts. If no client can use it,
/// returns one line with the filter's reasons.
pub fn lines(callers: &[ListedCaller<'_>]) -> Vec<String> {
    let line = |caller: &ListedCaller<'_>| {
        let verdicts = caller.verdicts.iter().filter(|verdict| verdict.allowed);
        let verdicts: Vec<String> = verdicts.map(|verdict| verdict.names.join(" and ")).collect();
        let id = &caller.client.id.value;
        let plan = caller.client.plan.as_ref().map(|plan| format!(" (plan {})", plan.value)).unwrap_or_default();
        (!verdicts.is_empty()).then(|| format!("{id}{plan}: {}", verdicts.join(", or ")))
    };
    let lines: Vec<String> = callers.iter().filter_map(line).collect();
    match callers.len() {
        0 => Vec::new(),
        known if lines.is_empty() => {
            let reasons: BTreeSet<&str> =
                callers.iter().flat_map(|caller| &caller.verdicts).map(|verdict| verdict.reason.as_str()).collect();
            let reasons: Vec<&str> = reasons.into_iter().collect();
            vec![format!("none of the {known} known clients; reasons: {}", reasons.join(", "))]
        }
        _ => lines,
    }
}

/// Returns all clients with the filter's reasons as JSON.
pub fn json(callers: &[ListedCaller<'_>]) -> Value {
    let one = |caller: &ListedCaller<'_>| {
        let ListedCaller { client, verdicts } = caller;
        let by = verdicts.iter().map(
            |verdict| json!({ "credentials": verdict.names, "allowed": verdict.allowed, "reason": verdict.reason }),
        );
        json!({
            "client": client.id.value, "owner": client.owner, "plan": client.plan.as_ref().map(|plan| &plan.value),
            "tags": client.tags, "allowed": verdicts.iter().any(|verdict| verdict.allowed), "by": by.collect::<Vec<_>>(),
        })
    };
    callers.iter().map(one).collect()
}
