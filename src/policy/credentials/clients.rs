//! The directory of clients: whose a key or a certificate is, whether it still counts, and what may be done with it.
//!
//! It comes from the gateway's document, or from one that is polled: a key is revoked without a new configuration.

use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use subtle::ConstantTimeEq;

use super::api_key::ApiKey;
use super::caller::Caller;
use super::client::Client;
use crate::config::client::Period;
use crate::policy::request::peer::Certificate;
use crate::policy::verdict::rejection::{Kind, Rejection};

/// Every client, by what proves it.
#[derive(Debug, Default)]
pub struct ClientDirectory {
    pub(in crate::policy) clients: HashMap<Rc<str>, Rc<Client>>,
    pub(in crate::policy) keys: HashMap<Box<str>, Key>,
    pub(in crate::policy) certificates: Certificates,
}

/// Reads documents of clients, against the policy that looks the clients up.
pub trait ReadClients {
    /// Reads a document, `{ "version": "1.0", "clients": […] }`.
    ///
    /// # Errors
    /// The problems of the document, in a sentence for the log. The document is then not used at all.
    fn parse(&self, text: &[u8]) -> Result<ClientDirectory, String>;

    /// The largest number of clients, keys and certificates in a document.
    fn most_entries(&self) -> usize;

    /// The longest text that is read, in bytes.
    fn most_bytes(&self) -> usize;
}

/// Without the reader's contents: they are the whole policy.
impl fmt::Debug for dyn ReadClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadClients")
    }
}

/// A key as compiled.
#[derive(Debug)]
pub(in crate::policy) struct Key {
    pub(in crate::policy) digest: [u8; 32],
    pub(in crate::policy) here: bool,
    pub(in crate::policy) revoked: bool,
    pub(in crate::policy) period: Period,
    /// Whom it proves, made once.
    pub(in crate::policy) caller: Rc<Caller>,
}

/// Whom certificates prove, by what of them shows it.
#[derive(Debug, Default)]
pub(in crate::policy) struct Certificates {
    pub(in crate::policy) by_digest: HashMap<[u8; 32], Rc<Caller>>,
    pub(in crate::policy) by_uri: HashMap<String, Rc<Caller>>,
    pub(in crate::policy) by_dns: HashMap<String, Rc<Caller>>,
}

impl ClientDirectory {
    /// How many clients it has.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// True when nobody is listed.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// The client with this id.
    pub fn client(&self, id: &str) -> Option<&Rc<Client>> {
        self.clients.get(id)
    }

    /// Whether somebody's key begins like this one.
    pub fn has_key(&self, key: &ApiKey<'_>) -> bool {
        self.keys.contains_key(key.prefix)
    }

    /// Whom a presented key proves. A prefix that nobody has takes the same way as one that somebody has, and hashes are compared
    /// in constant time: neither the time nor the answer tells how much of a guess was right.
    pub fn by_key(&self, key: &ApiKey<'_>, now: Duration) -> Result<Rc<Caller>, Rejection> {
        let known = self.keys.get(key.prefix);
        let digest = known.map_or(&NOBODYS, |known| &known.digest);
        let same = bool::from(digest.ct_eq(&key.digest));
        let Some(known) = known else { return Err(refused("api_key_unknown")) };
        let standing = match &known.caller.client {
            _ if !same => Err("api_key_wrong"),
            _ if known.revoked => Err("api_key_revoked"),
            _ if !known.here => Err("api_key_of_another_environment"),
            _ if known.period.is_early(now) => Err("api_key_not_yet_valid"),
            _ if known.period.is_over(now) => Err("api_key_expired"),
            Some(client) => client.standing(now),
            None => Ok(()),
        };
        standing.map(|()| known.caller.clone()).map_err(|reason| refused(reason).with(known.describe()))
    }

    /// Whom a verified certificate proves. Everything of it that some client claims must lead to the same client, whichever of the
    /// directories lists it.
    pub fn by_certificate(
        directories: &[&ClientDirectory],
        shown: &Certificate,
        now: Duration,
    ) -> Result<Rc<Caller>, Rejection> {
        // A name cut short at a NUL would be another's name (CVE-2025-66220).
        let has_nul = |name: &Option<String>| name.as_ref().is_some_and(|name| name.contains('\0'));
        if has_nul(&shown.uri) || has_nul(&shown.dns) {
            return Err(refused("certificate_malformed"));
        }
        let dns = shown.dns.as_ref().map(|name| name.to_ascii_lowercase());
        let matches = directories.iter().map(|directory| {
            let known = &directory.certificates;
            [
                known.by_digest.get(&shown.sha256),
                shown.uri.as_ref().and_then(|uri| known.by_uri.get(uri)),
                dns.as_ref().and_then(|name| known.by_dns.get(name)),
            ]
        });
        let mut matches = matches.flatten().flatten();
        let Some(caller) = matches.next() else { return Err(refused("certificate_unknown")) };
        if matches.any(|other| !Rc::ptr_eq(other, caller)) {
            return Err(refused("certificate_of_several_clients"));
        }
        let standing = caller.client.as_ref().map_or(Ok(()), |client| client.standing(now));
        standing.map(|()| caller.clone()).map_err(|reason| {
            let id = caller.client_id.as_deref().unwrap_or_default();
            refused(reason).with(format!("client {id}"))
        })
    }
}

impl Key {
    fn describe(&self) -> String {
        let text = |value: Option<&Rc<str>>| value.map(ToString::to_string).unwrap_or_default();
        format!("client {}, key {}", text(self.caller.client_id.as_ref()), text(self.caller.key()))
    }
}

pub(in crate::policy) fn refused(reason: &'static str) -> Rejection {
    Rejection::new(Kind::InvalidCredential, reason)
}

/// Compared when nobody has the prefix. No key is known that has this hash, and one that had would still be nobody's.
const NOBODYS: [u8; 32] = [0; 32];

#[cfg(test)]
mod tests;
