//! Compiles `clients` of the configuration document or of a client document: maps each key and certificate to its client.

mod reader;
mod unique;

use std::sync::Arc;

use serde_json::Value;

pub use reader::ClientReader;
use unique::UsedNames;

use super::super::polled::{DocumentKind, PollPlan};
use super::issuers::{named, unknown};
use super::revocation::plan;
use crate::config::client;
use crate::config::client::CertificateIdentity;
use crate::config::document::Document;
use crate::config::problem::{At, Problems};
use crate::policy::authority::identity::IdentityHeaders;
use crate::policy::authority::permission::PermissionRegistry;
use crate::policy::authority::scopes::{ScopeRegistry, is_scope};
use crate::policy::credentials::api_key::{environment_of, is_environment};
use crate::policy::credentials::caller::{Caller, Proof};
use crate::policy::credentials::client::Client;
use crate::policy::credentials::client_lookup::Clients;
use crate::policy::credentials::clients::{ClientDirectory, KeyEntry};
use crate::policy::credentials::issuer::Issuer;
use crate::policy::verdict::wait::PolledId;

/// The parts of the configuration document that are needed to compile clients.
#[derive(Clone, Debug)]
pub(super) struct ClientContext {
    pub(super) environment: Option<Arc<str>>,
    pub(super) issuers: Arc<[Issuer]>,
    pub(super) scopes: Arc<ScopeRegistry>,
    pub(super) permissions: Arc<PermissionRegistry>,
    pub(super) identity: Arc<IdentityHeaders>,
    /// The names of the plans that the document defines. If the list is empty, a client's plan is only a label for upstreams.
    pub(super) plans: Arc<[Arc<str>]>,
}

/// Compiles the clients of the configuration document, and the reader of the polled client document. Adds a poll plan for the
/// client document to `plans`.
pub(super) fn compile(
    document: &Document,
    around: &ClientContext,
    plans: &mut Vec<PollPlan>,
    problems: &mut Problems,
) -> (Clients, Option<Arc<ClientReader>>) {
    let taken = unique::check(&document.clients, &UsedNames::new(), problems);
    let own = ClientDirectory::compile(&document.clients, around, problems).into();
    let reader = document.clients_from.as_ref().map(|from| {
        let reader = Arc::new(ClientReader { around: around.clone(), taken, most_entries: from.max_entries });
        plans.push(plan(&from.document, DocumentKind::Clients(reader.clone())));
        reader
    });
    let polled = reader.as_ref().map(|_| PolledId(plans.len() - 1));
    (Clients { own, polled }, reader)
}

impl ClientDirectory {
    /// Builds the directory. The caller has already checked the clients for duplicates.
    fn compile(written: &[client::ClientSettings], around: &ClientContext, problems: &mut Problems) -> ClientDirectory {
        let mut directory = ClientDirectory::default();
        for client in written {
            let compiled = Arc::new(around.client(client, problems));
            directory.clients.insert(compiled.id.clone(), compiled.clone());
            for key in &client.keys {
                let caller = around.caller(&compiled, Proof::ApiKey(key.id.as_str().into()));
                let environment = environment_of(&key.prefix);
                let key_compiled = KeyEntry {
                    digest: key.hash,
                    in_environment: environment.is_some() && environment == around.environment.as_deref(),
                    revoked: key.revoked.is_some(),
                    period: key.period,
                    caller: Arc::new(caller),
                };
                directory.keys.insert(key.prefix.as_str().into(), key_compiled);
            }
            if client.certificates.is_empty() {
                continue;
            }
            let caller = Arc::new(around.caller(&compiled, Proof::Certificate));
            for evidence in &client.certificates {
                let (known, caller) = (&mut directory.certificates, caller.clone());
                match &evidence.value {
                    CertificateIdentity::Sha256(digest) => known.by_digest.insert(*digest, caller),
                    CertificateIdentity::Spiffe(uri) => known.by_uri.insert(uri.clone(), caller),
                    CertificateIdentity::Dns(name) => known.by_dns.insert(name.clone(), caller),
                };
            }
        }
        directory
    }

    /// Checks that the clients of one client document do not conflict with each other. This check needs no configuration
    /// document.
    pub fn check_alone(listed: &[client::ClientSettings], problems: &mut Problems) {
        unique::check(listed, &UsedNames::new(), problems);
    }
}

impl ClientContext {
    fn client(&self, client: &client::ClientSettings, problems: &mut Problems) -> Client {
        if client.environments.is_some() && self.environment.is_none() {
            problems.add(&client.id.place, "`environments` cannot be used: the document does not set `environment`");
        }
        for scope in client.scopes.iter().flatten().filter(|scope| !is_scope(&scope.value)) {
            problems.add(
                &scope.place,
                format!(
                    "`{}` is not a scope: use visible ASCII characters without spaces, quotes and backslashes",
                    scope.value
                ),
            );
        }
        for environment in
            client.environments.iter().flatten().filter(|environment| !is_environment(&environment.value))
        {
            let message = format!("`{}` is not an environment name: use a-z, 0-9 and `-`", environment.value);
            problems.add(&environment.place, message);
        }
        if let Some(At { value, place }) = &client.plan
            && !self.plans.is_empty()
            && !self.plans.iter().any(|plan| **plan == **value)
        {
            problems.add(place, unknown("plan", value, self.plans.iter().map(AsRef::as_ref)));
        }
        let token_issuers = client.token_issuers.as_ref().map(|names| named(&self.issuers, names, problems));
        Client {
            id: client.id.value.as_str().into(),
            owner: client.owner.as_str().into(),
            plan: client.plan.as_ref().map(|plan| plan.value.as_str().into()),
            tags: client.tags.iter().map(|tag| tag.as_str().into()).collect(),
            scopes: client.scopes.as_ref().map(|scopes| self.scopes.listed(scopes.iter().map(|s| s.value.as_str()))),
            permissions: client.permissions.as_ref().map(|names| self.permissions.set_of(names, problems)),
            several_issuers: token_issuers.as_ref().map_or(self.issuers.len(), Vec::len) > 1,
            token_issuers,
            in_environment: client.exists_in(self.environment.as_deref()),
            environment: self.environment.clone(),
            period: client.period,
        }
    }

    /// Builds the caller that is authenticated by a key or certificate of this client.
    fn caller(&self, client: &Arc<Client>, proof: Proof) -> Caller {
        let permissions = client.permissions.clone().unwrap_or_default();
        let mut identity = self.identity.of(&Value::Null, Some(&client.id), Some(client));
        self.permissions.add_to_identity(&permissions, &mut identity);
        Caller {
            proof,
            subject: None,
            client_id: Some(client.id.clone()),
            client: Some(client.clone()),
            claims: Value::Null,
            scopes: client.scopes.clone().unwrap_or_default(),
            permissions,
            identity,
        }
    }
}
