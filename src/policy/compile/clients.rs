//! Compiles `clients`, from the gateway's document or from one of their own: whose each key and certificate is, once and for all.

use std::collections::HashMap;
use std::rc::Rc;

use serde_json::Value;

use super::super::Policy;
use super::super::api_key::environment_of;
use super::super::caller::{Caller, Proof};
use super::super::clients::{Client, ClientDirectory, Key};
use super::super::identity::IdentityHeaders;
use super::super::issuer::Issuer;
use super::super::permission::PermissionRegistry;
use super::super::scopes::{ScopeRegistry, is_scope};
use super::issuers::named;
use crate::config::client::{self, ClientKey, Evidence};
use crate::config::problem::{Problem, Problems};
use crate::config::source;

/// What clients are compiled against.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'p> {
    pub(super) environment: Option<&'p str>,
    pub(super) issuers: &'p [Issuer],
    pub(super) scopes: &'p ScopeRegistry,
    pub(super) permissions: &'p PermissionRegistry,
    pub(super) identity: &'p IdentityHeaders,
}

impl ClientDirectory {
    /// Reads a document of clients alone, `{ "version": "1.0", "clients": […] }`, for a policy at work. Depends on nothing but its
    /// two arguments; the directory takes the place of the one before it when the caller puts it into the world.
    ///
    /// # Errors
    /// Every problem of the document: then the directory before it stays.
    pub fn parse(bytes: &[u8], policy: &Policy) -> Result<ClientDirectory, Vec<Problem>> {
        let node = source::read(bytes).map_err(|message| vec![Problem { place: Default::default(), message }])?;
        let (clients, mut problems) = client::Client::read_document(&node);
        let around = Surroundings {
            environment: policy.environment.as_deref(),
            issuers: &policy.issuers,
            scopes: &policy.scopes,
            permissions: &policy.permissions,
            identity: &policy.identity,
        };
        let mut directory = ClientDirectory::compile(&clients, around, &mut problems);
        // FNV-1a tells two documents of one author apart; odd, so that it is never that of the policy's own clients.
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        directory.generation = bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix) | 1;
        if problems.is_empty() { Ok(directory) } else { Err(problems.sorted()) }
    }

    pub(super) fn compile(
        written: &[client::Client],
        around: Surroundings<'_>,
        problems: &mut Problems,
    ) -> ClientDirectory {
        let mut directory = ClientDirectory::default();
        let mut seen: HashMap<String, String> = HashMap::new();
        for client in written {
            let compiled = Rc::new(around.client(client, problems));
            if directory.clients.insert(compiled.id.clone(), compiled.clone()).is_some() {
                problems.add(&client.id.place, format!("client `{}` is listed twice", client.id.value));
            }
            for key in &client.keys {
                check_key(client, key, &mut seen, problems);
                let caller = around.caller(&compiled, Proof::ApiKey(key.id.as_str().into()));
                let environment = environment_of(&key.prefix);
                let key_compiled = Key {
                    digest: key.hash,
                    here: environment.is_some() && environment == around.environment,
                    revoked: key.revoked.is_some(),
                    period: key.period,
                    caller: Rc::new(caller),
                };
                directory.keys.insert(key.prefix.as_str().into(), key_compiled);
            }
            check_rotation(client, problems);
            let caller = Rc::new(around.caller(&compiled, Proof::Certificate));
            for evidence in &client.certificates {
                let known = &mut directory.certificates;
                let before = match &evidence.value {
                    Evidence::Sha256(digest) => known.by_digest.insert(*digest, caller.clone()),
                    Evidence::Spiffe(uri) => known.by_uri.insert(uri.clone(), caller.clone()),
                    Evidence::Dns(name) => known.by_dns.insert(name.clone(), caller.clone()),
                };
                if let Some(other) = before {
                    let other = other.client_id.as_deref().unwrap_or_default().to_string();
                    problems.add(&evidence.place, format!("this certificate is already that of client `{other}`"));
                }
            }
        }
        directory
    }
}

impl Surroundings<'_> {
    fn client(&self, client: &client::Client, problems: &mut Problems) -> Client {
        if !client.environments.is_empty() && self.environment.is_none() {
            problems.add(
                &client.id.place,
                "`environments` cannot hold: the document does not say in which `environment` it stands",
            );
        }
        for scope in client.scopes.iter().flatten().filter(|scope| !is_scope(&scope.value)) {
            problems.add(
                &scope.place,
                format!("`{}` is not a scope: visible ASCII without spaces, quotes and backslashes", scope.value),
            );
        }
        let listed = |environment: &&str| client.environments.iter().any(|here| here == environment);
        Client {
            id: client.id.value.as_str().into(),
            owner: client.owner.as_str().into(),
            plan: client.plan.as_deref().map(Rc::from),
            tags: client.tags.iter().map(|tag| tag.as_str().into()).collect(),
            scopes: client.scopes.as_ref().map(|scopes| self.scopes.listed(scopes.iter().map(|s| s.value.as_str()))),
            permissions: client.permissions.as_ref().map(|names| self.permissions.set_of(names, problems)),
            token_issuers: named(self.issuers, &client.token_issuers, problems),
            here: client.environments.is_empty() || self.environment.as_ref().is_some_and(listed),
            environment: self.environment.map(Rc::from),
            period: client.period,
        }
    }

    /// The caller that a key or certificate of this client proves.
    fn caller(&self, client: &Rc<Client>, proof: Proof) -> Caller {
        let permissions = client.permissions.clone().unwrap_or_default();
        let mut identity = self.identity.of(&Value::Null, Some(&client.id), Some(client));
        self.permissions.tell(&permissions, &mut identity);
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

fn check_key(client: &client::Client, key: &ClientKey, seen: &mut HashMap<String, String>, problems: &mut Problems) {
    let name = format!("`{}` of client `{}`", key.id, client.id.value);
    match environment_of(&key.prefix) {
        None => problems.add(
            &key.place,
            "`prefix` is not that of a key: pck_ENVIRONMENT_LOOKUP, all of the key before its last `_`",
        ),
        Some(environment)
            if !client.environments.is_empty() && !client.environments.iter().any(|e| e == environment) =>
        {
            problems.add(&key.place, format!("the key is for `{environment}`, where its client does not exist"));
        }
        Some(_) => {}
    }
    let hash: String = key.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let same_client = format!("{} {}", client.id.value, key.id);
    for (what, value) in [("prefix", &key.prefix), ("hash", &hash), ("id", &same_client)] {
        if let Some(other) = seen.insert(format!("{what} {value}"), name.clone()) {
            problems.add(&key.place, format!("key {name} has the {what} of key {other}"));
        }
    }
}

/// Two keys of one environment overlap while a client moves from one to the next; a third is one that was forgotten.
fn check_rotation(client: &client::Client, problems: &mut Problems) {
    let usable: Vec<&ClientKey> = client.keys.iter().filter(|key| key.revoked.is_none()).collect();
    for key in &usable {
        let start = key.period.not_before.unwrap_or_default();
        let at_its_start = usable.iter().filter(|other| {
            environment_of(&other.prefix) == environment_of(&key.prefix)
                && other.period.not_before.unwrap_or_default() <= start
                && other.period.expires.is_none_or(|end| start < end)
        });
        let names: Vec<String> = at_its_start.map(|key| format!("`{}`", key.id)).collect();
        if names.len() > MOST_LIVE_KEYS {
            let message = format!(
                "keys {} hold at the same time: {MOST_LIVE_KEYS} at the most, give the older ones an end",
                names.join(", ")
            );
            return problems.add(&client.id.place, message);
        }
    }
}

const MOST_LIVE_KEYS: usize = 2;
