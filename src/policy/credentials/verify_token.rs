//! Authenticates a token: returns the [`Caller`], or the reason for refusing the token.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::caller::{Caller, Proof, TokenProof};
use super::client_lookup::{Clients, FoundClient};
use super::issuer::{AcceptedClients, Issuer, IssuerKeys};
use super::signature;
use super::token::UnverifiedToken;
use super::token_places::PresentedToken;
use crate::config::client::is_plain;
use crate::policy::authority::identity::IdentityHeaders;
use crate::policy::authority::permission::PermissionRegistry;
use crate::policy::authority::scopes::ScopeRegistry;
use crate::policy::polled::Availability;
use crate::policy::verdict::rejection::{Rejection, RejectionKind};
use crate::policy::verdict::stop::Stop;
use crate::policy::verdict::wait::{Await, Awaited};
use crate::policy::world::World;

/// The parts of the policy that authentication needs.
#[derive(Clone, Copy, Debug)]
pub struct Authenticator<'p> {
    /// All issuers of the policy. A token selects one by its `iss` claim.
    pub issuers: &'p [Issuer],
    /// The scopes that routes require.
    pub scopes: &'p ScopeRegistry,
    /// The configured permissions.
    pub permissions: &'p PermissionRegistry,
    /// The identity headers that are computed for each caller.
    pub identity: &'p IdentityHeaders,
    /// The clients of the configuration document and of the polled client document.
    pub clients: &'p Clients,
}

impl Authenticator<'_> {
    /// Returns the caller that a token authenticates. If the token was verified before, the caller comes from the cache. The data
    /// that can change between requests, such as the time and the keys, is checked for every request.
    pub fn authenticate(
        &self,
        credential: &PresentedToken<'_>,
        received_at: Duration,
        world: &mut World<'_>,
    ) -> Result<Arc<Caller>, Stop> {
        let token = credential.token.as_ref();
        if let Some(caller) = world.tokens.get(token) {
            if let Some(proof) = caller.token()
                && self.still_holds(proof, credential.source, world)
            {
                proof.validity.check(world.now)?;
                check_now(&caller, proof, world)?;
                world.note("authenticate", || {
                    "the token was verified before, and its caller is in the cache".to_string()
                });
                return Ok(caller);
            }
            world.tokens.remove(token);
        }
        credential.check_form()?;
        let caller = Arc::new(self.verify(token, credential.source, received_at, world)?);
        world.tokens.insert(token, caller.clone());
        if let Some(proof) = caller.token() {
            check_now(&caller, proof, world)?;
        }
        Ok(caller)
    }

    /// Returns `true` if a cached caller may be used. The token must be in the same place, and the key set and the client
    /// document that were used to verify it must still be current.
    fn still_holds(&self, proof: &TokenProof, source: usize, world: &World<'_>) -> bool {
        let generation = match self.issuers.get(proof.issuer).map(|issuer| &issuer.keys) {
            Some(IssuerKeys::Remote(id)) => world.polled.generation(*id, world.now),
            Some(IssuerKeys::Local(_)) => Some(0),
            None => None,
        };
        proof.source == source
            && generation == Some(proof.generation)
            && self.clients.finds_the_same(proof.clients, world)
    }

    fn verify(
        &self,
        token: &[u8],
        source: usize,
        received_at: Duration,
        world: &mut World<'_>,
    ) -> Result<Caller, Stop> {
        if token.len() > self.issuers.iter().map(|i| i.rules.max_token_bytes).max().unwrap_or(0) {
            return Err(invalid("token_too_long"));
        }
        let read = UnverifiedToken::read(token)?;
        let (index, issuer) = self.issuer_of(&read.claims)?;
        issuer.check_form(&read, token.len(), source)?;
        world.note("authenticate", || {
            let kid = read.kid.as_deref().unwrap_or("not named").escape_debug();
            format!("{} token of issuer {}, key {kid}", read.algorithm.name(), issuer.name)
        });
        let generation = self.check_signature(issuer, &read, received_at, world)?;
        let validity = issuer.check_claims(&read.claims)?;
        validity.check(world.now)?;
        let bound = issuer.binding(&read.claims)?;
        let client_id = client_id(&read.claims);
        let (client, asked) = self.client(client_id.as_deref(), (index, issuer.clients), received_at, world)?;
        let mut scopes = self.scopes.granted(&read.claims, &issuer.rules.scope_claims);
        let mut permissions =
            self.permissions.granted(&read.claims, &issuer.rules.permission_claims).map_err(|fault| {
                Rejection::new(RejectionKind::InvalidToken, "token_permissions_malformed").with(fault.0)
            })?;
        if let Some(client) = &client {
            client.scopes.iter().for_each(|most| scopes.cut_to(most));
            client.permissions.iter().for_each(|most| permissions.cut_to(most));
        }
        let mut identity = self.identity.of(&read.claims, client_id.as_deref(), client.as_deref());
        self.permissions.add_to_identity(&permissions, &mut identity);
        let proof = TokenProof {
            issuer: index,
            issuer_name: issuer.name.clone(),
            id: signature::fingerprint(read.signing_input),
            validity,
            generation,
            clients: asked,
            source,
            bound,
        };
        Ok(Caller {
            proof: Proof::Token(proof),
            subject: read.claims.get("sub").and_then(Value::as_str).map(Arc::from),
            scopes,
            permissions,
            identity,
            client_id,
            client,
            claims: read.claims,
        })
    }

    /// Looks up the client whose id a token contains, and checks that the issuer's tokens may contain this id.
    fn client(
        &self,
        id: Option<&str>,
        (issuer, accepted): (usize, AcceptedClients),
        received_at: Duration,
        world: &World<'_>,
    ) -> Result<FoundClient, Stop> {
        let found = id.map_or(Ok((None, None)), |id| self.clients.by_id(id, received_at, world))?;
        let reason = match (&found.0, id, accepted) {
            (Some(client), ..) if !client.takes_tokens_of(issuer) => "token_client_of_another_issuer",
            (Some(_), ..) | (None, _, AcceptedClients::Any) | (None, None, AcceptedClients::ListedOrNone) => {
                return Ok(found);
            }
            (None, ..) => "token_client_unknown",
        };
        let rejection = Rejection::new(RejectionKind::InvalidToken, reason);
        Err(Stop::Refuse(match id {
            Some(id) if is_plain(id) => rejection.with(format!("client {id}")),
            Some(_) => rejection.with("client with an id that cannot be listed"),
            None => rejection.with("the token has no client id"),
        }))
    }

    fn issuer_of(&self, claims: &Value) -> Result<(usize, &Issuer), Rejection> {
        let Some(iss) = claims.get("iss").and_then(Value::as_str) else {
            return Err(Rejection::new(RejectionKind::InvalidToken, "token_without_issuer"));
        };
        let known = self.issuers.iter().enumerate().find(|(_, issuer)| issuer.issuer == iss);
        known.ok_or_else(|| Rejection::new(RejectionKind::InvalidToken, "token_issuer_unknown"))
    }

    /// Verifies the signature with the keys that match the token's header. Returns the generation of the key set.
    fn check_signature(
        &self,
        issuer: &Issuer,
        token: &UnverifiedToken<'_>,
        received_at: Duration,
        world: &mut World<'_>,
    ) -> Result<u64, Stop> {
        let (keys, generation) = match &issuer.keys {
            IssuerKeys::Local(keys) => (keys.clone(), 0),
            IssuerKeys::Remote(id) => match world.polled.key_set(*id, received_at, world.now) {
                Availability::Usable(keys, generation) => (keys, generation),
                Availability::Wait(until) => return Err(Stop::Wait(Await { on: Awaited::Document(*id), until })),
                Availability::Unavailable => {
                    return Err(Stop::Refuse(Rejection::new(RejectionKind::AuthUnavailable, "keys_unavailable")));
                }
            },
        };
        let fitting = keys.candidates(token.kid.as_deref(), token.algorithm).take(MAX_KEYS_TRIED);
        let mut tried = 0;
        for key in fitting {
            tried += 1;
            if world.verifier.verify(key, token.algorithm, token.signing_input, &token.signature) {
                return Ok(generation);
            }
        }
        // If the key set does not contain the `kid`, the issuer may have published a newer key.
        let is_unknown = token.kid.as_deref().is_some_and(|kid| !keys.has_kid(kid));
        if is_unknown
            && let IssuerKeys::Remote(id) = &issuer.keys
            && let Some(until) = world.polled.want_newer(*id, received_at, world.now)
        {
            return Err(Stop::Wait(Await { on: Awaited::Document(*id), until }));
        }
        Err(invalid(match tried {
            0 if is_unknown => "token_key_unknown",
            0 => "token_key_does_not_fit",
            _ => "token_signature_wrong",
        }))
    }
}

/// Checks the data that can change between uses of a cached token: the client's validity, and the certificate of the connection.
fn check_now(caller: &Caller, proof: &TokenProof, world: &World<'_>) -> Result<(), Rejection> {
    if let Some(client) = &caller.client {
        let refused =
            |reason| Rejection::new(RejectionKind::InvalidToken, reason).with(format!("client {}", client.id));
        client.check_active(world.now).map_err(refused)?;
    }
    let Some(bound) = &proof.bound else { return Ok(()) };
    match world.peer.certificate() {
        Some(shown) if shown.sha256 == *bound => Ok(()),
        Some(_) => Err(Rejection::new(RejectionKind::InvalidToken, "token_bound_to_another_certificate")),
        None => Err(Rejection::new(RejectionKind::InvalidToken, "token_bound_certificate_missing")),
    }
}

/// Returns the client id of the token: `client_id` (RFC 9068 §2.2), or else `azp` (OpenID Connect Core §2).
fn client_id(claims: &Value) -> Option<Arc<str>> {
    let named = ["client_id", "azp"].iter().filter_map(|name| claims.get(*name)?.as_str());
    named.filter(|id| !id.is_empty()).map(Arc::from).next()
}

fn invalid(reason: &'static str) -> Stop {
    Stop::Refuse(Rejection::new(RejectionKind::InvalidToken, reason))
}

/// The maximum number of keys that are tried for one token. Each attempt costs a full verification.
const MAX_KEYS_TRIED: usize = 4;
