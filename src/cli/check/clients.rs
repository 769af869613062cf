//! Notes on valid but risky settings: tokens of unlisted clients, and client ids that every issuer can write into its tokens.

use crate::config::client::ClientSettings;
use crate::config::document::{Document, IssuerSettings};
use crate::config::limit::{Allowance, PlanFrom, PlanSource};
use crate::config::problem::{At, Place};

/// Returns the notes on a document, each with its location.
pub fn notes(document: &Document) -> Vec<(Place, String)> {
    let mut notes: Vec<_> = document.issuers.iter().filter_map(|issuer| about_unlisted(issuer, document)).collect();
    notes.extend(named_by_several(&document.clients, &document.issuers));
    notes.extend(plans_by_name(document));
    notes
}

/// Reports each plan that a limit assigns to the id of an unlisted client, if the document has several issuers. Every issuer can
/// write that id into its tokens.
fn plans_by_name(document: &Document) -> Vec<(Place, String)> {
    let limits = document.limits.iter().chain(document.routes.iter().flat_map(|route| &route.limits));
    let chosen = limits.filter_map(|limit| match &limit.allowance {
        Allowance::PlanFrom(PlanFrom { chooser: PlanSource::Clients(clients), .. }) => Some(clients),
        _ => None,
    });
    let is_listed = |id: &str| document.clients.iter().any(|client| client.id.value == id);
    let open = chosen.flatten().filter(|(client, _)| document.issuers.len() > 1 && !is_listed(&client.value));
    let open = open.filter(|_| document.clients_from.is_none());
    let note = |(client, plan): &(At<String>, At<String>)| {
        let (id, plan) = (&client.value, &plan.value);
        let message = format!(
            "every issuer can write the client id `{id}` into its tokens, and these tokens then get the plan `{plan}` (list `{id}` under `clients`, with `token_issuers`)"
        );
        (client.place.clone(), message)
    };
    open.map(note).collect()
}

/// Returns a note on an issuer's tokens that contain the id of an unlisted client. By default the filter refuses these tokens,
/// and the note reports this unless `require_client` is set. With `allow_unlisted_clients`, the note warns that the tokens of a
/// removed client are no longer restricted.
fn about_unlisted(issuer: &IssuerSettings, document: &Document) -> Option<(Place, String)> {
    if !document.has_directory {
        return None;
    }
    let name = &issuer.name.value;
    let message = match (issuer.allow_unlisted_clients, issuer.require_client) {
        (false, Some(_)) => return None,
        (false, None) => format!(
            "tokens of issuer `{name}` that contain the id of an unlisted client are refused (set `require_client: false` to confirm this and remove this note, or `allow_unlisted_clients: true` to accept them)"
        ),
        (true, _) => {
            let whose = restricted(document)?;
            format!(
                "`allow_unlisted_clients` accepts tokens of issuer `{name}` for unlisted clients, without the restrictions of any client entry: if you remove {whose}, its tokens can do more than before"
            )
        }
    };
    Some((issuer.name.place.clone(), message))
}

/// Returns the ids of the clients whose entry restricts or refuses their tokens, joined with "or" for the note. If the document
/// sets `clients_from`, the text also mentions the clients of that list. Returns `None` if there are no such clients.
fn restricted(document: &Document) -> Option<String> {
    let is_restricted = |client: &&ClientSettings| {
        let period = client.period;
        let cut = client.scopes.is_some() || client.permissions.is_some() || client.token_issuers.is_some();
        cut || client.environments.is_some() || period.not_before.is_some() || period.expires.is_some()
    };
    let restricted = document.clients.iter().filter(is_restricted);
    let mut all: Vec<String> = restricted.map(|client| format!("`{}`", client.id.value)).collect();
    let further = all.len().saturating_sub(MAX_NAMED);
    all.truncate(MAX_NAMED);
    all.extend((further > 0).then(|| format!("one of {further} others")));
    all.extend(document.clients_from.is_some().then(|| "a client of `clients_from`".to_string()));
    (!all.is_empty()).then(|| all.join(" or "))
}

/// Reports each client without `token_issuers`, if the document has several issuers. Every issuer can write the id of this client
/// into its tokens.
pub fn named_by_several(clients: &[ClientSettings], issuers: &[IssuerSettings]) -> Vec<(Place, String)> {
    let names: Vec<&str> = issuers.iter().map(|issuer| issuer.name.value.as_str()).collect();
    let open = clients.iter().filter(|client| client.token_issuers.is_none() && names.len() > 1);
    let note = |client: &ClientSettings| {
        let message = format!(
            "every issuer can write the client id `{}` into its tokens, and these tokens then get the plan and tags of this client (list the issuers of its tokens in its entry, such as `token_issuers: [{}]`; declared issuers: {})",
            client.id.value,
            names.first().copied().unwrap_or_default(),
            names.join(", "),
        );
        (client.id.place.clone(), message)
    };
    open.map(note).collect()
}

const MAX_NAMED: usize = 3;
