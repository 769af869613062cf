//! Compiles `issuers`: parses keys, checks the algorithms for these keys, and assigns an index to each place of tokens.

use std::sync::Arc;

use super::super::polled::{DocumentKind, PollPlan};
use crate::config::document;
use crate::config::document::{Document, IssuerKeySettings, TokenSource};
use crate::config::environment::Environment;
use crate::config::problem::{At, Problems, near_miss};
use crate::policy::credentials::algorithm::Algorithm;
use crate::policy::credentials::issuer::{AcceptedClients, Issuer, IssuerKeys};
use crate::policy::credentials::jwks::{KeySet, KeySource};
use crate::policy::credentials::token::plain_type;
use crate::policy::verdict::wait::PolledId;

/// The compiled issuers, the poll plans of their key sets, and the places of their tokens. An issuer contains indexes into the
/// list of places.
#[derive(Debug, Default)]
pub(super) struct Issuers {
    pub(super) issuers: Vec<Issuer>,
    pub(super) plans: Vec<PollPlan>,
    pub(super) sources: Vec<TokenSource>,
}

impl Issuers {
    pub(super) fn compile(document: &Document, environment: Environment<'_>, problems: &mut Problems) -> Issuers {
        let mut compiled = Issuers::default();
        let written = &document.issuers;
        for (i, issuer) in written.iter().enumerate() {
            let earlier = || written.iter().take(i);
            if earlier().any(|other| other.name.value == issuer.name.value) {
                problems.add(&issuer.name.place, format!("issuer `{}` is declared twice", issuer.name.value));
            }
            if let Some(other) = earlier().find(|other| other.issuer.value == issuer.issuer.value) {
                let message = format!("`{}` is already the issuer of `{}`", issuer.issuer.value, other.name.value);
                problems.add(&issuer.issuer.place, message);
            }
            let algorithms = algorithms(issuer, problems);
            let keys = compiled.keys(&issuer.keys, environment, problems);
            let sources = issuer.token_from.iter().map(|source| compiled.number(source)).collect();
            let cross_origin = issuer.insecure_cross_origin.iter().map(|source| compiled.number(source)).collect();
            compiled.issuers.push(Issuer {
                name: issuer.name.value.as_str().into(),
                issuer: issuer.issuer.value.clone(),
                algorithms,
                keys,
                rules: issuer.rules.clone(),
                token_types: issuer.token_types.iter().map(|typ| plain_type(typ)).collect(),
                sources,
                cross_origin,
                clients: accepted_clients(issuer, document.has_directory),
            });
        }
        compiled
    }

    fn number(&mut self, source: &TokenSource) -> usize {
        self.sources.iter().position(|known| known == source).unwrap_or_else(|| {
            self.sources.push(source.clone());
            self.sources.len() - 1
        })
    }

    fn keys(
        &mut self,
        keys: &At<IssuerKeySettings>,
        environment: Environment<'_>,
        problems: &mut Problems,
    ) -> IssuerKeys {
        match &keys.value {
            IssuerKeySettings::Jwks(remote) => {
                self.plans.push(PollPlan {
                    what: DocumentKind::KeySet,
                    uri: remote.uri.value.clone(),
                    cluster: remote.cluster.clone(),
                    refresh_after: remote.fresh_for * 4 / 5,
                    usable_for: remote.fresh_for + remote.stale_for,
                    cool_down: remote.cool_down,
                    timeout: remote.timeout,
                    wait: remote.wait,
                });
                IssuerKeys::Remote(PolledId(self.plans.len() - 1))
            }
            IssuerKeySettings::Inline(json) => match KeySet::parse(json.to_string().as_bytes(), KeySource::Inline) {
                Ok((set, skipped)) => {
                    for key in skipped {
                        problems.add(&keys.place, key.to_string());
                    }
                    IssuerKeys::Local(Arc::new(set))
                }
                Err(fault) => refuse(keys, fault.to_string(), problems),
            },
            IssuerKeySettings::Secret { env } => match environment(env).filter(|secret| !secret.is_empty()) {
                Some(secret) => match KeySet::from_secret(secret.as_bytes()) {
                    Ok(set) => IssuerKeys::Local(Arc::new(set)),
                    Err(weak) => refuse(keys, format!("variable `{env}`: {weak}"), problems),
                },
                None => refuse(keys, format!("the variable `{env}` is not set"), problems),
            },
        }
    }
}

/// Returns the client ids that an issuer's tokens may contain. If the document has a client directory, tokens with an unlisted
/// client id are refused unless `allow_unlisted_clients` is set. This also applies if the directory is empty.
fn accepted_clients(issuer: &document::IssuerSettings, has_directory: bool) -> AcceptedClients {
    match issuer.require_client {
        Some(true) => AcceptedClients::Listed,
        _ if has_directory && !issuer.allow_unlisted_clients => AcceptedClients::ListedOrNone,
        _ => AcceptedClients::Any,
    }
}

/// Returns the index of each named issuer in `issuers`.
pub(super) fn named(issuers: &[Issuer], names: &[At<String>], problems: &mut Problems) -> Vec<usize> {
    let declared = || issuers.iter().map(|issuer| issuer.name.as_ref());
    let find = |name: &At<String>| {
        let found = declared().position(|declared| declared == name.value);
        if found.is_none() {
            problems.add(&name.place, unknown("issuer", &name.value, declared()));
        }
        found
    };
    names.iter().filter_map(find).collect()
}

/// Returns the algorithms allowed for an issuer's tokens. A secret allows only HMAC. A fetched key set never allows HMAC:
/// otherwise an attacker could use a public key as an HMAC secret (RFC 8725 §2.1).
fn algorithms(issuer: &document::IssuerSettings, problems: &mut Problems) -> Vec<Algorithm> {
    let may_be_symmetric = !matches!(issuer.keys.value, IssuerKeySettings::Jwks(_));
    let may_be_asymmetric = !matches!(issuer.keys.value, IssuerKeySettings::Secret { .. });
    let possible = |a: &Algorithm| if a.is_symmetric() { may_be_symmetric } else { may_be_asymmetric };
    let all: Vec<Algorithm> = Algorithm::ALL.into_iter().filter(possible).collect();
    if issuer.algorithms.is_empty() {
        return all;
    }
    let mut accepted = Vec::new();
    for name in &issuer.algorithms {
        match Algorithm::from_name(&name.value) {
            Some(algorithm) if possible(&algorithm) => accepted.push(algorithm),
            Some(algorithm) => {
                let kind = if algorithm.is_symmetric() { "a key set that is fetched" } else { "a shared secret" };
                problems.add(&name.place, format!("`{}` cannot be used with {kind}", name.value));
            }
            None => problems.add(&name.place, unknown("algorithm", &name.value, all.iter().map(|a| a.name()))),
        }
    }
    accepted
}

/// Builds a message such as "no issuer `acounts` (did you mean `accounts`?)".
pub(super) fn unknown<'w>(what: &str, written: &str, declared: impl Iterator<Item = &'w str>) -> String {
    let declared: Vec<&str> = declared.collect();
    let hint = match near_miss(written, declared.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if declared.is_empty() => "none is declared".to_string(),
        None => format!("known: {}", declared.join(", ")),
    };
    format!("no {what} `{written}` ({hint})")
}

fn refuse(keys: &At<IssuerKeySettings>, message: String, problems: &mut Problems) -> IssuerKeys {
    problems.add(&keys.place, message);
    IssuerKeys::Local(Arc::new(KeySet::default()))
}
