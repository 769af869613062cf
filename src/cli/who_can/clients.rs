//! Finds the clients that may use a route: the filter's core decides on each combination of their credentials.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::cast::{Cast, StandInCredential, bound_to, credentials};
use crate::cli::explain::supposed::Supposed;
use crate::cli::explain::{HypotheticalGateway, PresentedCredentials};
use crate::cli::{Failure, asking};
use crate::config::auth::{Auth, CredentialKind};
use crate::config::client::ClientSettings;
use crate::config::document::Route;

/// A client, and the verdict for each of its credentials.
pub struct ListedCaller<'c> {
    client: &'c ClientSettings,
    ways: Vec<Way>,
}

/// One simulated request of a client.
struct Way {
    shows: Vec<String>,
    allowed: bool,
    reason: String,
}

/// The credentials of one simulated request.
#[derive(Clone, Default)]
struct Offer {
    shows: Vec<String>,
    token: Option<Rc<Supposed>>,
    key: Option<String>,
    certificate: Option<crate::policy::request::peer::Certificate>,
}

/// Every client with its verdicts; empty if the route does not authenticate callers.
pub fn client_verdicts<'c>(
    cast: &'c Cast,
    asked: &mut HypotheticalGateway<'_>,
    route: &Route,
    name: &str,
    now: Duration,
) -> Result<Vec<ListedCaller<'c>>, Failure> {
    if matches!(route.auth.value, Auth::None | Auth::Optional) {
        return Ok(Vec::new());
    }
    let mut callers = Vec::new();
    for client in &cast.clients {
        let mut ways = Vec::new();
        for offer in offers(cast, client, route, now)? {
            let shown = PresentedCredentials {
                token: offer.token.as_deref(),
                key: offer.key.as_deref(),
                certificate: offer.certificate.clone(),
            };
            let answer = asking::about(asked, route, name, &shown)?;
            ways.push(Way { shows: offer.shows, allowed: answer.allowed, reason: answer.reason });
        }
        callers.push(ListedCaller { client, ways });
    }
    Ok(callers)
}

/// For `any_of`, each credential alone; for `all_of`, all kinds together, as far as the client has them.
fn offers(cast: &Cast, client: &ClientSettings, route: &Route, now: Duration) -> Result<Vec<Offer>, Failure> {
    let auth = &route.auth.value;
    let mut all = vec![Offer::default()];
    let mut each = Vec::new();
    for kind in auth.kinds() {
        let further = of_kind(cast, client, *kind, route, now)?;
        if !further.is_empty() {
            all = all.iter().flat_map(|offer| further.iter().map(|more| offer.with(more))).collect();
        }
        each.extend(further);
    }
    Ok(if matches!(auth, Auth::AllOf(_)) { all } else { each })
}

fn of_kind(
    cast: &Cast,
    client: &ClientSettings,
    kind: CredentialKind,
    route: &Route,
    now: Duration,
) -> Result<Vec<Offer>, Failure> {
    if kind == CredentialKind::Token {
        let token = |issuer| {
            let token = Some(Rc::new(cast.token(client, issuer, route, now)?));
            let certificate = bound_to(client, issuer);
            let bound = if certificate.is_some() { " bound to its certificate" } else { "" };
            let shows = vec![format!("a token of {}{bound}", issuer.name.value)];
            Ok(Offer { shows, token, certificate, key: None })
        };
        return cast.issuers(route).map(token).collect();
    }
    let offer = |credential| match credential {
        StandInCredential::Key(id, key) => {
            Offer { shows: vec![format!("key {id}")], key: Some(key), ..Offer::default() }
        }
        StandInCredential::Certificate(certificate) => {
            let shows = vec!["its certificate".to_string()];
            Offer { shows, certificate: Some(certificate), ..Offer::default() }
        }
    };
    Ok(credentials(client, kind).into_iter().map(offer).collect())
}

impl Offer {
    fn with(&self, more: &Offer) -> Offer {
        Offer {
            shows: [self.shows.as_slice(), &more.shows].concat(),
            token: self.token.clone().or_else(|| more.token.clone()),
            key: self.key.clone().or_else(|| more.key.clone()),
            certificate: self.certificate.clone().or_else(|| more.certificate.clone()),
        }
    }
}

/// Text output: the clients that may use the route, and how.
pub fn lines(callers: &[ListedCaller<'_>]) -> Vec<String> {
    let line = |caller: &ListedCaller<'_>| {
        let ways = caller.ways.iter().filter(|way| way.allowed);
        let ways: Vec<String> = ways.map(|way| way.shows.join(" and ")).collect();
        let id = &caller.client.id.value;
        let plan = caller.client.plan.as_ref().map(|plan| format!(" (plan {})", plan.value)).unwrap_or_default();
        (!ways.is_empty()).then(|| format!("{id}{plan}: {}", ways.join(", or ")))
    };
    let lines: Vec<String> = callers.iter().filter_map(line).collect();
    match callers.len() {
        0 => Vec::new(),
        known if lines.is_empty() => {
            let reasons: BTreeSet<&str> =
                callers.iter().flat_map(|caller| &caller.ways).map(|way| way.reason.as_str()).collect();
            let reasons: Vec<&str> = reasons.into_iter().collect();
            vec![format!("none of the {known} that are known: {}", reasons.join(", "))]
        }
        _ => lines,
    }
}

/// JSON output: all clients, with the filter's reasons.
pub fn json(callers: &[ListedCaller<'_>]) -> Value {
    let one = |caller: &ListedCaller<'_>| {
        let ListedCaller { client, ways } = caller;
        let by = ways.iter().map(|way| json!({ "shows": way.shows, "allowed": way.allowed, "reason": way.reason }));
        json!({
            "client": client.id.value, "owner": client.owner, "plan": client.plan.as_ref().map(|plan| &plan.value),
            "tags": client.tags, "allowed": ways.iter().any(|way| way.allowed), "by": by.collect::<Vec<_>>(),
        })
    };
    callers.iter().map(one).collect()
}
