//! An authenticated caller, with the verified credential, the client id and the permissions.

use std::sync::Arc;

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
    /// The credential that authenticated the caller.
    pub proof: Proof,
    /// The `sub` claim of the token; `None` for other credentials, or if the token has no `sub`.
    pub subject: Option<Arc<str>>,
    /// The client id: the id of the client to which the key or certificate belongs, or the `client_id` or `azp` claim of the
    /// token.
    pub client_id: Option<Arc<str>>,
    /// The client's entry in the client directory; `None` for a token without a client id, or with the id of an unlisted client.
    pub client: Option<Arc<Client>>,
    /// All claims of the token; null without a token.
    pub claims: Value,
    /// The caller's scopes, without scopes that no route requires.
    pub scopes: ScopeSet,
    /// The permissions of the caller, restricted to those of its client.
    pub permissions: PermissionSet,
    /// The identity headers for the upstream, and the permissions for Envoy's filter state.
    pub identity: Identity,
}

/// The kind of credential that authenticated a caller, with its data.
#[derive(Debug)]
pub enum Proof {
    /// A token with a verified signature.
    Token(TokenProof),
    /// The API key with this id.
    ApiKey(Arc<str>),
    /// A client certificate that Envoy verified.
    Certificate,
}

/// The data of a verified token. Some of it is checked again whenever the token is found in the cache.
#[derive(Debug)]
pub struct TokenProof {
    /// The issuer, as an index into the policy's list of issuers.
    pub issuer: usize,
    /// The configured name of the issuer, for the audit record.
    pub issuer_name: Arc<str>,
    /// An identifier of the token, computed from the signing input. A different encoding of the signature does not change the
    /// identifier.
    pub id: u128,
    /// The time range in which the token is valid.
    pub validity: Validity,
    /// The generation of the remote key set that verified the signature; 0 for keys in the configuration.
    pub generation: u64,
    /// The generation of the polled client document; `None` if the client lookup did not use the document.
    pub clients: Option<u64>,
    /// The place in which the token was found, as an index into the policy's list of places.
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

    /// Returns the token's data, if a token authenticated the caller.
    pub fn token(&self) -> Option<&TokenProof> {
        match &self.proof {
            Proof::Token(token) => Some(token),
            Proof::ApiKey(_) | Proof::Certificate => None,
        }
    }

    /// Returns the name of the token's issuer.
    pub fn issuer_name(&self) -> Option<&Arc<str>> {
        self.token().map(|token| &token.issuer_name)
    }

    /// Returns the id of the API key, if a key authenticated the caller.
    pub fn key(&self) -> Option<&Arc<str>> {
        match &self.proof {
            Proof::ApiKey(key) => Some(key),
            Proof::Token(_) | Proof::Certificate => None,
        }
    }

    /// Returns `true` if the client id is unique only together with the issuer, because tokens of another issuer may contain the
    /// same id for a different client. Returns `false` for API keys and certificates, and for a token of a listed client if the
    /// tokens of no other issuer may contain this client's id.
    pub fn is_client_of_its_issuer(&self) -> bool {
        self.token().is_some() && self.client.as_ref().is_none_or(|client| client.several_issuers)
    }

    /// Returns the client's plan for rate limits; `None` if the client is not listed or has no plan.
    pub fn plan(&self) -> Option<&Arc<str>> {
        self.client.as_ref()?.plan.as_ref()
    }

    /// Returns the bytes allocated for this caller, without shared data: the client, the header names and the issuer's name.
    pub fn allocated(&self) -> usize {
        let text = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| shared(text.len()));
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

/// Returns the size of an `Arc` allocation, which starts with two reference counts.
fn shared(bytes: usize) -> usize {
    block(bytes + 2 * size_of::<usize>())
}

/// The callers that the credentials of one request authenticated. Authorization uses the permissions of the first caller.
#[derive(Debug)]
pub struct Callers {
    /// The caller whose scopes, permissions and claims are checked.
    pub first: Arc<Caller>,
    /// The callers that additional credentials authenticated.
    pub others: Vec<Arc<Caller>>,
}
