//! The client directory: maps keys and certificates to clients, and checks their validity.
//!
//! The directory is built from the configuration document or from a polled client document. A polled document can revoke a key
//! without a new configuration.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use subtle::ConstantTimeEq;

use super::api_key::ApiKey;
use super::caller::Caller;
use super::client::Client;
use crate::config::client::ValidityPeriod;
use crate::policy::request::peer::Certificate;
use crate::policy::verdict::rejection::{Rejection, RejectionKind};

/// All clients, indexed by their credentials.
#[derive(Debug, Default)]
pub struct ClientDirectory {
    pub(in crate::policy) clients: HashMap<Arc<str>, Arc<Client>>,
    pub(in crate::policy) keys: HashMap<Box<str>, KeyEntry>,
    pub(in crate::policy) certificates: Certificates,
}

/// Parses client documents for a policy.
pub trait ReadClients: Send + Sync {
    /// Parses a document, `{ "version": "1.0", "clients": […] }`.
    ///
    /// # Errors
    /// Returns the problems of the document, as one line for the log. A document with a problem is rejected as a whole.
    fn parse(&self, text: &[u8]) -> Result<ClientDirectory, String>;

    /// Returns the maximum number of entries in a document: clients, keys and certificates together.
    fn most_entries(&self) -> usize;

    /// Returns the maximum document size in bytes.
    fn most_bytes(&self) -> usize;
}

/// Formats only the name of the trait, because a reader contains large parts of the policy.
impl fmt::Debug for dyn ReadClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadClients")
    }
}

/// A compiled API key, with the digest for comparison.
#[derive(Debug)]
pub(in crate::policy) struct KeyEntry {
    pub(in crate::policy) digest: [u8; 32],
    pub(in crate::policy) in_environment: bool,
    pub(in crate::policy) revoked: bool,
    pub(in crate::policy) period: ValidityPeriod,
    /// The caller that the key authenticates. The caller is built once, when the document is parsed.
    pub(in crate::policy) caller: Arc<Caller>,
}

/// Maps digests, URIs and DNS names of certificates to callers.
#[derive(Debug, Default)]
pub(in crate::policy) struct Certificates {
    pub(in crate::policy) by_digest: HashMap<[u8; 32], Arc<Caller>>,
    pub(in crate::policy) by_uri: HashMap<String, Arc<Caller>>,
    pub(in crate::policy) by_dns: HashMap<String, Arc<Caller>>,
}

impl ClientDirectory {
    /// Returns the number of clients.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Returns `true` if there are no clients.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Returns the client with this id; `None` if the directory does not list it.
    pub fn client(&self, id: &str) -> Option<&Arc<Client>> {
        self.clients.get(id)
    }

    /// Returns `true` if the directory has a key with the prefix of `key`.
    pub fn has_key(&self, key: &ApiKey<'_>) -> bool {
        self.keys.contains_key(key.prefix)
    }

    /// Returns the caller for a presented key. A hash is compared for known and for unknown prefixes, in constant time. So
    /// neither the response nor its timing shows which part of a guess was correct.
    pub fn by_key(&self, key: &ApiKey<'_>, now: Duration) -> Result<Arc<Caller>, Rejection> {
        let known = self.keys.get(key.prefix);
        let digest = known.map_or(&DUMMY_DIGEST, |known| &known.digest);
        let same = bool::from(digest.ct_eq(&key.digest));
        let Some(known) = known else { return Err(refused("api_key_unknown")) };
        let checked = match &known.caller.client {
            _ if !same => Err("api_key_wrong"),
            _ if known.revoked => Err("api_key_revoked"),
            _ if !known.in_environment => Err("api_key_of_another_environment"),
            _ if known.period.is_early(now) => Err("api_key_not_yet_valid"),
            _ if known.period.is_over(now) => Err("api_key_expired"),
            Some(client) => client.check_active(now),
            None => Ok(()),
        };
        checked.map(|()| known.caller.clone()).map_err(|reason| refused(reason).with(known.describe()))
    }

    /// Returns the caller for a verified certificate. A certificate whose fields match different clients, in one or several
    /// directories, is refused.
    pub fn by_certificate(
        directories: &[&ClientDirectory],
        shown: &Certificate,
        now: Duration,
    ) -> Result<Arc<Caller>, Rejection> {
        // A name with a NUL could be mistaken for the name before the NUL (CVE-2025-66220).
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
        if matches.any(|other| !Arc::ptr_eq(other, caller)) {
            return Err(refused("certificate_of_several_clients"));
        }
        let checked = caller.client.as_ref().map_or(Ok(()), |client| client.check_active(now));
        checked.map(|()| caller.clone()).map_err(|reason| {
            let id = caller.client_id.as_deref().unwrap_or_default();
            refused(reason).with(format!("client {id}"))
        })
    }
}

impl KeyEntry {
    fn describe(&self) -> String {
        let text = |value: Option<&Arc<str>>| value.map(ToString::to_string).unwrap_or_default();
        format!("client {}, key {}", text(self.caller.client_id.as_ref()), text(self.caller.key()))
    }
}

pub(in crate::policy) fn refused(reason: &'static str) -> Rejection {
    Rejection::new(RejectionKind::InvalidCredential, reason)
}

/// The hash that is compared if the prefix of a key is unknown. Such a key is refused in any case.
const DUMMY_DIGEST: [u8; 32] = [0; 32];

#[cfg(test)]
mod tests;
