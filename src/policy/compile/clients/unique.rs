//! What no two clients may share: ids, keys, certificates; and what the keys of one client must agree on.

use std::collections::HashMap;
use std::time::Duration;

use crate::config::client::{Client, ClientKey, Evidence};
use crate::config::problem::Problems;
use crate::policy::credentials::api_key::environment_of;

/// Whatever clients are told apart by, each with whose it is.
pub(super) type Taken = HashMap<String, String>;

/// Checks clients among themselves, and against those of the gateway's own document; what they take comes back.
pub(super) fn check(clients: &[Client], own: &Taken, problems: &mut Problems) -> Taken {
    let mut names = Names { own, taken: Taken::new() };
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
                Evidence::Spiffe(uri) => ("spiffe", uri.clone()),
                Evidence::Dns(name) => ("dns", name.clone()),
                Evidence::Sha256(digest) => ("sha256", spelled(digest)),
            };
            if let Some(whose) = names.take(what, &value, format!("client `{id}`")) {
                problems.add(&evidence.place, format!("this certificate is already that of {whose}"));
            }
        }
    }
    names.taken
}

struct Names<'t> {
    own: &'t Taken,
    taken: Taken,
}

impl Names<'_> {
    /// Takes a name for somebody; whose it was already, if anybody's.
    fn take(&mut self, what: &str, value: &str, whose: String) -> Option<String> {
        let name = format!("{what} {value}");
        let of_the_gateway = self.own.get(&name).map(|whose| format!("{whose} of the gateway's own document"));
        self.taken.insert(name, whose).or(of_the_gateway)
    }

    fn check_key(&mut self, client: &Client, key: &ClientKey, problems: &mut Problems) {
        match environment_of(&key.prefix) {
            None => problems.add(
                &key.place,
                "`prefix` is not that of a key: pck_ENVIRONMENT_LOOKUP, all of the key before its last `_`",
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

/// Bytes as a text of their own, which nobody will read.
fn spelled(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Two keys of one environment overlap while a client moves from one to the next; a third is one that was forgotten.
fn check_rotation(client: &Client, problems: &mut Problems) {
    let mut usable: Vec<&ClientKey> = Vec::new();
    for key in client.keys.iter().filter(|key| key.revoked.is_none()) {
        usable.insert(usable.partition_point(|other| order(other) <= order(key)), key);
    }
    let mut live: Vec<&ClientKey> = Vec::new();
    for key in usable {
        let holds = |other: &&ClientKey| other.period.expires.is_none_or(|end| order(key).1 < end);
        live.retain(|other| environment_of(&other.prefix) == environment_of(&key.prefix) && holds(other));
        live.push(key);
        if live.len() > MOST_LIVE_KEYS {
            let names: Vec<String> = live.iter().map(|key| format!("`{}`", key.id)).collect();
            let message = format!(
                "keys {} hold at the same time: {MOST_LIVE_KEYS} at the most, give the older ones an end",
                names.join(", ")
            );
            return problems.add(&client.id.place, message);
        }
    }
}

/// The environment of a key, and its start.
fn order(key: &ClientKey) -> (Option<&str>, Duration) {
    (environment_of(&key.prefix), key.period.not_before.unwrap_or_default())
}

const MOST_LIVE_KEYS: usize = 2;
