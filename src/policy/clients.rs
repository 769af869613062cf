//! The directory of clients: whose a key or a certificate is, whether it still counts, and what may be done with it.
//!
//! It comes from the gateway's document, or from one that is polled: a key is revoked without a new configuration.

mod lookup;

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use subtle::ConstantTimeEq;

pub use super::compile::clients::ClientReader;
pub use lookup::{Clients, Found};

use super::api_key::ApiKey;
use super::caller::Caller;
use super::peer::Certificate;
use super::permission::PermissionSet;
use super::rejection::{Kind, Rejection};
use super::scopes::ScopeSet;
use crate::config::client::Period;

/// Every client, by what proves it.
#[derive(Debug, Default)]
pub struct ClientDirectory {
    pub(super) clients: HashMap<Rc<str>, Rc<Client>>,
    pub(super) keys: HashMap<Box<str>, Key>,
    pub(super) certificates: Certificates,
}

/// A client as compiled.
#[derive(Debug)]
pub struct Client {
    /// Its id.
    pub id: Rc<str>,
    /// Who answers for it.
    pub owner: Rc<str>,
    /// The plan that limits go by.
    pub plan: Option<Rc<str>>,
    /// Words that rules and limits may go by.
    pub tags: Vec<Rc<str>>,
    /// What its keys and certificates may do; a token's scopes are cut down to them.
    pub scopes: Option<ScopeSet>,
    /// The same for permissions.
    pub permissions: Option<PermissionSet>,
    /// The issuers whose tokens may name it, as indexes into the policy's list; `None` means all of them, an empty list none.
    pub token_issuers: Option<Vec<usize>>,
    /// Several issuers' tokens may name it. Limits then count each issuer's tokens apart: no issuer uses up what the client may
    /// do by another's tokens.
    pub several_issuers: bool,
    /// Whether it exists in this environment.
    pub here: bool,
    /// This environment: the only one in which it can call here.
    pub environment: Option<Rc<str>>,
    /// When it may call.
    pub period: Period,
}

/// A key as compiled.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) digest: [u8; 32],
    pub(super) here: bool,
    pub(super) revoked: bool,
    pub(super) period: Period,
    /// Whom it proves, made once.
    pub(super) caller: Rc<Caller>,
}

/// Whom certificates prove, by what of them shows it.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    pub(super) by_digest: HashMap<[u8; 32], Rc<Caller>>,
    pub(super) by_uri: HashMap<String, Rc<Caller>>,
    pub(super) by_dns: HashMap<String, Rc<Caller>>,
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

impl Client {
    /// Whether tokens of this issuer may name it.
    pub fn takes_tokens_of(&self, issuer: usize) -> bool {
        self.token_issuers.as_ref().is_none_or(|issuers| issuers.contains(&issuer))
    }

    /// Whether it may call now; the error is the reason for the record.
    pub fn standing(&self, now: Duration) -> Result<(), &'static str> {
        match () {
            () if !self.here => Err("client_of_another_environment"),
            () if self.period.is_early(now) => Err("client_not_yet_valid"),
            () if self.period.is_over(now) => Err("client_expired"),
            () => Ok(()),
        }
    }
}

impl Key {
    fn describe(&self) -> String {
        let text = |value: Option<&Rc<str>>| value.map(ToString::to_string).unwrap_or_default();
        format!("client {}, key {}", text(self.caller.client_id.as_ref()), text(self.caller.key()))
    }
}

impl Period {
    fn is_early(&self, now: Duration) -> bool {
        self.not_before.is_some_and(|from| now < from)
    }

    fn is_over(&self, now: Duration) -> bool {
        self.expires.is_some_and(|until| now >= until)
    }
}

fn refused(reason: &'static str) -> Rejection {
    Rejection::new(Kind::InvalidCredential, reason)
}

/// Compared when nobody has the prefix. No key is known that has this hash, and one that had would still be nobody's.
const NOBODYS: [u8; 32] = [0; 32];

#[cfg(test)]
mod tests;
