//! Somebody who was proven to call: by what, on whose word, as which client, and with which authority.

use std::rc::Rc;

use serde_json::Value;

use super::client::Client;
use super::footprint;
use super::footprint::block;
use super::issuer::Validity;
use crate::config::auth::CredentialKind;
use crate::policy::authority::identity::Identity;
use crate::policy::authority::permission_set::PermissionSet;
use crate::policy::authority::scopes::ScopeSet;

/// Somebody whose credential was verified.
#[derive(Debug)]
pub struct Caller {
    /// What proved it.
    pub proof: Proof,
    /// The `sub` claim of its token.
    pub subject: Option<Rc<str>>,
    /// Which client calls: the owner of the key or certificate, the `client_id` or `azp` claim of the token.
    pub client_id: Option<Rc<str>>,
    /// That client as the directory lists it; a token may name one that is not listed.
    pub client: Option<Rc<Client>>,
    /// Every claim of its token; null without one.
    pub claims: Value,
    /// The scopes that some route asks for.
    pub scopes: ScopeSet,
    /// What was granted of the permissions there are.
    pub permissions: PermissionSet,
    /// The identity headers, and what else is told of the caller.
    pub identity: Identity,
}

/// What proved a caller.
#[derive(Debug)]
pub enum Proof {
    /// A token.
    Token(TokenProof),
    /// The API key with this id.
    ApiKey(Rc<str>),
    /// A client certificate.
    Certificate,
}

/// What must still be so for a verified token to count again.
#[derive(Debug)]
pub struct TokenProof {
    /// Which issuer vouches, as an index into the policy's list.
    pub issuer: usize,
    /// That issuer's name.
    pub issuer_name: Rc<str>,
    /// Identifies the token by what was signed, so that no other spelling of its signature makes it another token.
    pub id: u128,
    /// When it holds.
    pub validity: Validity,
    /// The generation of the remote key set the signature was checked with; 0 for keys in the configuration.
    pub generation: u64,
    /// The generation of the polled document that was asked for the client; none when it was not.
    pub clients: Option<u64>,
    /// The place the token stood in.
    pub source: usize,
    /// The certificate that must come along, by its SHA-256 (RFC 8705 §3.1).
    pub bound: Option<[u8; 32]>,
}

impl Caller {
    /// The kind of credential that proved it.
    pub fn kind(&self) -> CredentialKind {
        match self.proof {
            Proof::Token(_) => CredentialKind::Token,
            Proof::ApiKey(_) => CredentialKind::ApiKey,
            Proof::Certificate => CredentialKind::Certificate,
        }
    }

    /// What is known of the token that proved it.
    pub fn token(&self) -> Option<&TokenProof> {
        match &self.proof {
            Proof::Token(token) => Some(token),
            Proof::ApiKey(_) | Proof::Certificate => None,
        }
    }

    /// The name of the issuer that vouches for it.
    pub fn issuer_name(&self) -> Option<&Rc<str>> {
        self.token().map(|token| &token.issuer_name)
    }

    /// The id of the API key that proved it.
    pub fn key(&self) -> Option<&Rc<str>> {
        match &self.proof {
            Proof::ApiKey(key) => Some(key),
            Proof::Token(_) | Proof::Certificate => None,
        }
    }

    /// Whether its client id counts within the issuer of its token only. A key, a certificate, and a token of the only issuer
    /// that may name a listed client prove the same client. Any other id is only as good as the issuer that wrote it.
    pub fn is_client_of_its_issuer(&self) -> bool {
        self.token().is_some() && self.client.as_ref().is_none_or(|client| client.several_issuers)
    }

    /// The plan that limits go by.
    pub fn plan(&self) -> Option<&Rc<str>> {
        self.client.as_ref()?.plan.as_ref()
    }

    /// The memory that is allocated for this caller alone. What it shares with others does not count: its client, the names of
    /// headers and of its issuer.
    pub fn allocated(&self) -> usize {
        let text = |text: &Option<Rc<str>>| text.as_ref().map_or(0, |text| shared(text.len()));
        shared(size_of::<Caller>())
            + [&self.subject, &self.client_id, &self.identity.filter_state].into_iter().map(text).sum::<usize>()
            + footprint::json(&self.claims)
            + self.scopes.allocated()
            + self.permissions.allocated()
            + self.identity.allocated()
    }

    /// One of whom nothing is known but what proved it.
    #[cfg(test)]
    pub fn proven(proof: Proof) -> Caller {
        Caller {
            proof,
            subject: None,
            client_id: None,
            client: None,
            claims: Value::Null,
            scopes: ScopeSet::default(),
            permissions: PermissionSet::default(),
            identity: Identity::default(),
        }
    }
}

/// An `Rc` allocation has two reference counts before its value.
fn shared(bytes: usize) -> usize {
    block(bytes + 2 * size_of::<usize>())
}

/// Those whom one request proves: the first is the one who calls, and the others stand beside.
#[derive(Debug)]
pub struct Callers {
    /// Whose authority counts.
    pub first: Rc<Caller>,
    /// Who was proven besides.
    pub others: Vec<Rc<Caller>>,
}
