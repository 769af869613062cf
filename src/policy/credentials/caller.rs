//! An authenticated caller: its proof, issuer, client id and permissions.

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

/// A caller whose credential was verified.
#[derive(Debug)]
pub struct Caller {
    /// The credential that proved the caller.
    pub proof: Proof,
    /// The `sub` claim of the token.
    pub subject: Option<Rc<str>>,
    /// The client id: the owner of the key or certificate, or the `client_id` or `azp` claim of the token.
    pub client_id: Option<Rc<str>>,
    /// The client's entry in the client list. A token may name a client that is not listed.
    pub client: Option<Rc<Client>>,
    /// All claims of the token; null without a token.
    pub claims: Value,
    /// The caller's scopes, limited to those that some route requires.
    pub scopes: ScopeSet,
    /// The permissions granted to the caller.
    pub permissions: PermissionSet,
    /// The identity headers and other data about the caller for the upstream.
    pub identity: Identity,
}

/// The credential that proved a caller.
#[derive(Debug)]
pub enum Proof {
    /// A token.
    Token(TokenProof),
    /// The API key with this id.
    ApiKey(Rc<str>),
    /// A client certificate.
    Certificate,
}

/// The conditions for using a cached token again.
#[derive(Debug)]
pub struct TokenProof {
    /// The issuer, as an index into the policy's list.
    pub issuer: usize,
    /// The name of the issuer.
    pub issuer_name: Rc<str>,
    /// Identifies the token by its signing input, so that another encoding of the signature does not make it a different token.
    pub id: u128,
    /// The time range in which the token is valid.
    pub validity: Validity,
    /// The generation of the remote key set that verified the signature; 0 for keys in the configuration.
    pub generation: u64,
    /// The generation of the polled client document used for the lookup; `None` if it was not used.
    pub clients: Option<u64>,
    /// The place of the token in the request.
    pub source: usize,
    /// The SHA-256 of the certificate that the token is bound to (RFC 8705 §3.1).
    pub bound: Option<[u8; 32]>,
}

impl Caller {
    /// Returns the kind of the credential.
    pub fn kind(&self) -> CredentialKind {
        match self.proof {
            Proof::Token(_) => CredentialKind::Token,
            Proof::ApiKey(_) => CredentialKind::ApiKey,
            Proof::Certificate => CredentialKind::Certificate,
        }
    }

    /// Returns the token's data, if a token proved the caller.
    pub fn token(&self) -> Option<&TokenProof> {
        match &self.proof {
            Proof::Token(token) => Some(token),
            Proof::ApiKey(_) | Proof::Certificate => None,
        }
    }

    /// Returns the name of the token's issuer.
    pub fn issuer_name(&self) -> Option<&Rc<str>> {
        self.token().map(|token| &token.issuer_name)
    }

    /// Returns the id of the API key, if a key proved the caller.
    pub fn key(&self) -> Option<&Rc<str>> {
        match &self.proof {
            Proof::ApiKey(key) => Some(key),
            Proof::Token(_) | Proof::Certificate => None,
        }
    }

    /// Returns `true` if the client id is valid only within its token's issuer. A key, a certificate, and a token of the only
    /// issuer that may name a listed client all prove the same client. Any other id is scoped to its issuer.
    pub fn is_client_of_its_issuer(&self) -> bool {
        self.token().is_some() && self.client.as_ref().is_none_or(|client| client.several_issuers)
    }

    /// Returns the plan for rate limits.
    pub fn plan(&self) -> Option<&Rc<str>> {
        self.client.as_ref()?.plan.as_ref()
    }

    /// Returns the memory allocated for this caller. Shared data does not count: the client, the header names and the issuer's
    /// name.
    pub fn allocated(&self) -> usize {
        let text = |text: &Option<Rc<str>>| text.as_ref().map_or(0, |text| shared(text.len()));
        shared(size_of::<Caller>())
            + [&self.subject, &self.client_id, &self.identity.filter_state].into_iter().map(text).sum::<usize>()
            + footprint::json(&self.claims)
            + self.scopes.allocated()
            + self.permissions.allocated()
            + self.identity.allocated()
    }

    /// Creates a caller from a proof, without any other data.
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

/// An `Rc` allocation starts with two reference counts.
fn shared(bytes: usize) -> usize {
    block(bytes + 2 * size_of::<usize>())
}

/// The callers proved by one request. The first one's authority applies.
#[derive(Debug)]
pub struct Callers {
    /// The caller whose authority applies.
    pub first: Rc<Caller>,
    /// Callers proved by additional credentials.
    pub others: Vec<Rc<Caller>>,
}
