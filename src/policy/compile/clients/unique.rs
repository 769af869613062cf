//! Checks that clients do not share ids, keys or certificates, and that the keys of one client are consistent.

use std::collections::HashMap;
use std::time::Duration;

use crate::config::client::{CertificateIdentity, ClientKey, ClientSettings};
use crate::config::problem::Problems;
use crate::policy::credentials::api_key::environment_of;

/// The ids, keys and certificates in use, each with a description of its client.
pub(super) type UsedNames = HashMap<String, String>;

/// Checks that `clients` do not conflict with each other or with the identifiers in `own`. Returns the identifiers that `clients`
/// use.
pub(super) fn check(clients: &[ClientSettings], own: &UsedNames, problems: &mut Problems) -> UsedNames {
    let mut names = TakenNames { own, taken: UsedNames::new() };
    for client in clients {
        let id = &client.id.value;
        if let Some(whose) = names.take("client", id, format!("client `{id}`")) {
            problems.add(&client.id.place, format!("{whose} is listed twice"));
        }
        for key in &client.keys {
            names.check_key(client, key, problems);
        }
        check_rotation(client, problems);
        for evidence in &client.certificates {
            let (what, value) = match &evidence.value {
                CertificateIdentity::Spiffe(uri) => ("spiffe", uri.clone()),
                CertificateIdentity::Dns(name) => ("dns", name.clone()),
                CertificateIdentity::Sha256(digest) => ("sha256", spelled(digest)),
            };
            if let Some(whose) = names.take(what, &value, format!("client `{id}`")) {
                problems.add(&evidence.place, format!("this certificate already belongs to {whose}"));
            }
        }
    }
    names.taken
}

struct TakenNames<'t> {
    own: &'t UsedNames,
    taken: UsedNames,
}

impl TakenNames<'_> {
    /// Registers an identifier. If an earlier entry or the configuration document already uses it, returns a description of the
    /// client or key that uses it.
    fn take(&mut self, what: &str, value: &str, whose: String) -> Option<String> {
        let name = format!("{what} {value}");
        let of_the_gateway = self.own.get(&name).map(|whose| format!("{whose} of the configuration document"));
        self.taken.insert(name, whose).or(of_the_gateway)
    }

    fn check_key(&mut self, client: &ClientSettings, key: &ClientKey, problems: &mut Problems) {
        match environment_of(&key.prefix) {
            None => problems.add(
                &key.place,
                "`prefix` is not the prefix of a key: write the part of the key before its last `_`, pck_ENVIRONMENT_LOOKUP",
            ),
            Some(environment) if !client.exists_in(Some(environment)) => {
                problems.add(&key.place, format!("the key is for `{environment}`, where its client does not exist"));
            }
            Some(_) => {}
        }
        let (key_id, id) = (&key.id, &client.id.value);
        let same_client = format!("{id} {key_id}");
        let named = format!("key `{key_id}` of client `{id}`");
        for (what, value) in [("prefix", &key.prefix), ("hash", &spelled(&key.hash)), ("id", &same_client)] {
            if let Some(other) = self.take(what, value, named.clone()) {
                problems.add(&key.place, format!("{named} has the {what} of {other}"));
            }
        }
    }
}

/// Maps each byte to one character, because the keys of [`UsedNames`] are strings.
fn spelled(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Reports a client that has more than two keys valid at the same time in one environment. A rotation needs two keys; a third key
/// was probably forgotten.
fn check_rotation(client: &ClientSettings, problems: &mut Problems) {
    let mut usable: Vec<&ClientKey> = Vec::new();
    for key in client.keys.iter().filter(|key| key.revoked.is_none()) {
        usable.insert(usable.partition_point(|other| order(other) <= order(key)), key);
    }
    let mut live: Vec<&ClientKey> = Vec::new();
    for key in usable {
        let holds = |other: &&ClientKey| other.period.expires.is_none_or(|end| order(key).1 < end);
        live.retain(|other| environment_of(&other.prefix) == environment_of(&key.prefix) && holds(other));
        live.push(key);
        if live.len() > MAX_LIVE_KEYS {
            let names: Vec<String> = live.iter().map(|key| format!("`{}`", key.id)).collect();
            let message = format!(
                "keys {} are valid at the same time, but at most {MAX_LIVE_KEYS} are accepted: set `expires` on the older ones",
                names.join(", ")
            );
            return problems.add(&client.id.place, message);
        }
    }
}

/// Returns the sort key of a client key: its environment and the start of its validity.
fn order(key: &ClientKey) -> (Option<&str>, Duration) {
    (environment_of(&key.prefix), key.period.not_before.unwrap_or_default())
}

const MAX_LIVE_KEYS: usize = 2;
